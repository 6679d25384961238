"""Images made of random numbers."""

import numpy as np


def random_pixels(*shape: int, seed: int = 0) -> np.ndarray:
    """Random raw pixels of a shape (count, height, width, channels)."""
    return np.random.default_rng(seed).integers(0, 256, shape).astype("float32")
