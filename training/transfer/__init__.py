"""Adapting a pretrained model to other data."""
