"""Masks of the smallest weights: of single ones, of blocks, and M in every N.

A pattern says what its units are, and how large each is. Those above a threshold are kept; whether it is that of one
kernel or of all, and how it rises, is the same for every pattern.
"""

from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Protocol

import keras
import numpy as np
import tensorflow as tf

from .sparsity import Sparsity


class Pattern(Protocol):
    """How weights are taken together."""

    def magnitudes(self, kernel: np.ndarray) -> np.ndarray:
        """One for each unit, 0 or more."""

    def kept(self, magnitudes: np.ndarray, sparsity: float) -> int:
        """How many units are kept for that share of zeros, 0..1."""

    def mask(self, kept: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Which weights of a kernel of that shape are kept, bool, where `kept` says it of each unit."""


class Elements:
    """Every weight is a unit."""

    def magnitudes(self, kernel: np.ndarray) -> np.ndarray:
        """Absolute values."""
        return np.abs(kernel)

    def kept(self, magnitudes: np.ndarray, sparsity: float) -> int:
        """As TF-MOT rounds."""
        return kept_of(magnitudes.size, sparsity)

    def mask(self, kept: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """The same."""
        return kept


class Blocks:
    """Blocks of a kernel as a matrix, in which a column is an output channel."""

    def __init__(self, block: tuple[int, int], pooling: str):
        self._block = block
        self._pooling = pooling

    def magnitudes(self, kernel: np.ndarray) -> np.ndarray:
        """Of each block, `(rows, columns)`."""
        from ....core.tfmot_private import block_magnitudes

        return block_magnitudes(kernel.reshape(-1, kernel.shape[-1]), self._block, self._pooling)

    def kept(self, magnitudes: np.ndarray, sparsity: float) -> int:
        """As TF-MOT rounds."""
        return kept_of(magnitudes.size, sparsity)

    def mask(self, kept: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Whole blocks; at the end of the matrix what there is of them."""
        height, width = self._block
        matrix = kept.repeat(height, axis=0).repeat(width, axis=1)
        columns = shape[-1]
        return matrix[: int(np.prod(shape[:-1])), :columns].reshape(shape)


class MByN:
    """Single weights, of which only those are candidates that M:N has no place for."""

    def __init__(self, m_by_n: tuple[int, int]):
        self._m_by_n = m_by_n

    def magnitudes(self, kernel: np.ndarray) -> np.ndarray:
        """Absolute values; infinite where M:N keeps the weight."""
        from ....core.tfmot_private import m_by_n_mask

        return np.where(m_by_n_mask(kernel, self._m_by_n), np.inf, np.abs(kernel))

    def kept(self, magnitudes: np.ndarray, sparsity: float) -> int:
        """All but the share of the candidates that `sparsity` is of M/N."""
        zeros, of = self._m_by_n
        candidates = np.count_nonzero(np.isfinite(magnitudes))
        share = round(sparsity * of / zeros, 6)  # float32's error, of which the end of the schedule must have none
        return magnitudes.size - round(candidates * share)

    def mask(self, kept: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """The same."""
        return kept


def pattern_of(how: Sparsity) -> Pattern:
    """The pattern that the settings name."""
    if how.m_by_n:
        return MByN(how.m_by_n)
    return Blocks(how.block, how.pooling) if how.block else Elements()


def kept_of(size: int, sparsity: float) -> int:
    """How many of `size` units TF-MOT keeps, in the float32 arithmetic that it counts with."""
    kept = np.round(np.float32(size) * (np.float32(1) - np.float32(sparsity)))
    return min(max(int(kept), 1), size)


class Masks:
    """One bool variable for each of `kernels`: True where the weight is kept.

    What is zero stays zero: the masks can always be told from the weights. So a resumed run needs no record of them.
    """

    def __init__(self, kernels: Sequence[keras.Variable], how: Sparsity):
        self._kernels = kernels
        self._pattern = pattern_of(how)
        self._is_global = how.scope == "global"
        self.variables = [tf.Variable(np.ones(kernel.shape, bool), trainable=False) for kernel in kernels]

    def update(self, sparsities: Sequence[float]) -> None:
        """Masks the smallest units of each kernel up to its share of zeros, 0..1, and sets them to zero."""
        weights = self._weights()
        with ThreadPoolExecutor() as pool:  # NumPy leaves Python free while it looks through a kernel
            magnitudes = list(pool.map(self._pattern.magnitudes, weights))
            thresholds = self._thresholds(magnitudes, sparsities, pool)
            masks = list(pool.map(self._mask, magnitudes, thresholds, weights))
            pruned = list(pool.map(_pruned, masks, weights))
        for kernel, variable, mask, values in zip(self._kernels, self.variables, masks, pruned, strict=True):
            variable.assign(mask)
            kernel.assign(values)

    def _mask(self, magnitudes: np.ndarray, threshold: np.floating, weights: np.ndarray) -> np.ndarray:
        return self._pattern.mask((magnitudes >= threshold) & (magnitudes > 0), weights.shape)

    def apply(self) -> None:
        """Sets to zero what is masked."""
        for kernel, variable in zip(self._kernels, self.variables, strict=True):
            kernel.assign(_under(variable, kernel))

    def missing(self, sparsities: Sequence[float]) -> float:
        """The share of all units, 0..1, that are not zero and would be, had the masks been updated to that."""
        magnitudes = self._comparable([self._pattern.magnitudes(values) for values in self._weights()])
        units = sum(sizes.size for sizes in magnitudes)
        there = sum(np.count_nonzero(sizes) for sizes in magnitudes)
        kept = sum(map(self._pattern.kept, magnitudes, sparsities))
        return max(0, there - kept) / units

    def _weights(self) -> list[np.ndarray]:
        return [keras.ops.convert_to_numpy(kernel) for kernel in self._kernels]

    def _comparable(self, magnitudes: list[np.ndarray]) -> list[np.ndarray]:
        """One array for each threshold."""
        return [np.concatenate([sizes.ravel() for sizes in magnitudes])] if self._is_global else magnitudes

    def _thresholds(
        self, magnitudes: list[np.ndarray], sparsities: Sequence[float], pool: Executor
    ) -> list[np.floating]:
        comparable = self._comparable(magnitudes)
        kept = map(self._pattern.kept, comparable, sparsities)
        thresholds = list(pool.map(nth_largest, comparable, kept))
        if self._is_global:
            # Where TF-MOT keeps one weight of every kernel at least, so does this: no layer is cut off.
            return [min(thresholds[0], sizes.max()) for sizes in magnitudes]
        return thresholds


def _pruned(mask: np.ndarray, weights: np.ndarray) -> np.ndarray:
    # Faster than `np.where`. What is added makes 0 of -0, which a product leaves and which does not compress.
    return weights * mask + np.zeros((), weights.dtype)


SAMPLE_OF, SAMPLE_STEP, MARGIN = 100_000, 97, 0.01
"""Arrays of so many numbers are sampled first, at every so many; and the share of ranks by which the sample may err."""


def nth_largest(values: np.ndarray, number: int) -> np.floating:
    """The `number`-th largest, counted from 1, exactly.

    A sample says between which two values it must be nearly; only those between them have to be looked through. (Floyd,
    Rivest: Expected Time Bounds for Selection, 1975.)
    """
    values, place = values.ravel(), values.size - number
    if values.size >= SAMPLE_OF:
        sample = np.sort(values[::SAMPLE_STEP])
        share, last = place / values.size, sample.size - 1
        low, high = (sample[min(max(int(bound * last), 0), last)] for bound in (share - MARGIN, share + MARGIN))
        between = values[(values >= low) & (values <= high)]
        rank = place - np.count_nonzero(values < low)
        if 0 <= rank < between.size:
            return np.partition(between, rank)[rank]
    return np.partition(values, place)[place]


def _under(mask: tf.Variable, weights: keras.Variable) -> tf.Tensor:
    # A product would leave the sign of each zero, which does not compress.
    return keras.ops.where(mask, weights, keras.ops.zeros_like(weights))


class Masked(keras.constraints.Constraint):
    """Keeps masked weights at zero; the optimizer applies it inside the compiled step."""

    def __init__(self, mask: tf.Variable, own: keras.constraints.Constraint | None):
        self._mask = mask
        self.own = own

    def __call__(self, weights):
        """`weights` under the variable's own constraint, if it has one, with zeros where the mask has them."""
        return _under(self._mask, weights if self.own is None else self.own(weights))
