"""ONNX files: from the export form, in floats and in integers."""
