"""Runtimes that open an artifact and run it. None imports TensorFlow."""
