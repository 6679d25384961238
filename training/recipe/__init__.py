"""Recipes: how to train, as one validated file. Nothing here imports Keras."""
