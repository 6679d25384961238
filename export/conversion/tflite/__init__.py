"""From the export graph to TFLite files."""
