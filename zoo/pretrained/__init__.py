"""Pretrained weights: download, file formats, and conversion to the layers of the zoo."""
