"""Reading and editing `.tflite` files. Imports no TensorFlow."""
