"""Exported files as values: tensors, metadata, manifest, certificate and report. Imports no TensorFlow."""
