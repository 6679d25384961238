"""Published weights: from a name or a file to the weights of a model."""
