"""From a Keras model to the bytes of every format."""
