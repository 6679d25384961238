"""Magnitude pruning of weights, with TF-MOT's schedules and masks."""
