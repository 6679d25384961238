"""Removing whole channels of a trained model: structured pruning."""
