"""What is TF-MOT's in pruning: its schedules, and what it takes for the magnitude of blocks and of M:N.

With `centroids.py` the only module that imports TF-MOT. Its public API refuses Keras 3 models
(tensorflow/model-optimization#1119), so these are parts from inside it; `pyproject.toml` caps its version, and
`tests/training/compression/test_tfmot.py` holds the masks against those of its `prune_low_magnitude`. Masks are
found in `masks.py`: TF-MOT's own engine sorts all weights to find one threshold, refuses blocks of convolutions, and
knows neither a global threshold nor a gradual M:N.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

# Importing TF-MOT turns `tf.keras` into tf_keras for the whole process: harmless, since nothing here uses `tf.keras`.
from tensorflow_model_optimization.python.core.sparsity.keras import pruning_schedule, pruning_utils

from .mask_schedule import Timetable
from .sparsity import Sparsity


def schedule_of(how: Sparsity, target: float, times: Timetable) -> Callable[[int], float]:
    """The share of zeros, 0..1, that TF-MOT's `PolynomialDecay` or `ConstantSparsity` sets at a step."""
    if how.schedule == "constant":
        schedule = pruning_schedule.ConstantSparsity(target, times.begin)
    else:
        schedule = pruning_schedule.PolynomialDecay(
            min(how.initial, target), target, times.begin, times.end, frequency=times.frequency
        )
    return lambda step: float(schedule(tf.constant(step, tf.int64))[1])


def block_magnitudes(matrix: np.ndarray, block: tuple[int, int], pooling: str) -> np.ndarray:
    """The mean (`"avg"`) or the greatest (`"max"`) magnitude in each block of a `(rows, columns)` matrix.

    Blocks of H x W give `(ceil(rows / H), ceil(columns / W))`; where they do not divide the matrix, the last are
    smaller. TF-MOT goes another way there: it measures windows that begin before the matrix and removes blocks that
    begin with it, so that what was removed has a magnitude again.
    """
    missing = [-side % step for side, step in zip(matrix.shape, block, strict=True)]
    whole = np.pad(np.abs(matrix), [(0, missing[0]), (0, missing[1])])
    pooled = pruning_utils.factorized_pool(
        tf.constant(whole), window_shape=block, pooling_type=pooling.upper(), strides=block, padding="SAME"
    )
    magnitudes = pooled.numpy().reshape(whole.shape[0] // block[0], whole.shape[1] // block[1])
    if pooling == "avg":
        magnitudes[-1] *= block[0] / (block[0] - missing[0])
        magnitudes[:, -1] *= block[1] / (block[1] - missing[1])
    return magnitudes


def largest_of_each_n(kernel: np.ndarray, m_by_n: tuple[int, int]) -> np.ndarray:
    """Which weights M:N keeps: of every N consecutive input channels the N - M largest. Bool, of `kernel`'s shape."""
    rows = pruning_utils.weights_rearrange(tf.constant(kernel))
    mask = pruning_utils.generate_m_by_n_mask(rows, m_by_n)
    return pruning_utils.m_by_n_sparsity_mask_prepare(mask, tf.TensorShape(kernel.shape)).numpy() > 0
