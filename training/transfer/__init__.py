"""Transfer learning: adapting a pretrained model to new data."""
