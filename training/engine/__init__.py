"""Training a model on a dataset by a recipe, on Keras' own `fit`."""
