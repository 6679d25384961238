"""Probabilities from logits, in NumPy."""

import numpy as np


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities that sum to 1 over the last axis, in the dtype of the logits."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Return independent probabilities, in the dtype of the logits."""
    return np.asarray(np.exp(-np.logaddexp(0, -logits)))  # without overflow for logits far below 0
