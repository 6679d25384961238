"""TFLite files: from the export form, in floats and in integers, and what is in them."""
