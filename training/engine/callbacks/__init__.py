"""Keras callbacks of a training run."""
