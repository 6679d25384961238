"""Checks that an artifact's outputs match the Keras model's on the runtimes it ships to."""
