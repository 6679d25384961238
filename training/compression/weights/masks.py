"""Pruning masks of the smallest weights: single weights, blocks, or M in every N.

A pattern defines the units that are pruned together and the magnitude of each. Units above a threshold are kept. The
threshold applies to one kernel or to all of them, and rises with the schedule, in the same way for every pattern.
"""

from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from ....core.layer_traits import KernelLayout
from .sparsity import Sparsity


class Pattern(Protocol):
    """The units of a kernel that are pruned together. Kernels are `(positions..., inputs, outputs)`."""

    def magnitudes(self, kernel: np.ndarray) -> np.ndarray:
        """Return one number of 0 or more for each unit."""

    def kept(self, magnitudes: np.ndarray, sparsity: float) -> int:
        """Return how many units are kept at a share of zeros, 0..1."""

    def mask(self, kept: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Return which weights of a kernel of `shape` are kept (bool), given which units are kept."""


class Elements:
    """Each weight is a unit."""

    def magnitudes(self, kernel: np.ndarray) -> np.ndarray:
        """Return the absolute values."""
        return np.abs(kernel)

    def kept(self, magnitudes: np.ndarray, sparsity: float) -> int:
        """Return how many weights are kept, rounded as TF-MOT does."""
        return kept_units(magnitudes.size, sparsity)

    def mask(self, kept: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Return `kept`."""
        return kept


class Blocks:
    """Blocks of the kernel as a matrix `(positions * inputs, outputs)`."""

    def __init__(self, block: tuple[int, int], pooling: str):
        self._block = block
        self._pooling = pooling

    def magnitudes(self, kernel: np.ndarray) -> np.ndarray:
        """Return the pooled magnitude of each block, `(rows, columns)`."""
        from ....core.tfmot_private import block_magnitudes

        matrix = kernel.reshape(-1, kernel.shape[-1])
        return block_magnitudes(matrix, self._fitting(matrix.shape), self._pooling)

    def _fitting(self, matrix: tuple[int, ...]) -> tuple[int, int]:
        """Return the block, no larger than a matrix of that shape: what is beyond it would be padding."""
        return min(self._block[0], matrix[0]), min(self._block[1], matrix[1])

    def kept(self, magnitudes: np.ndarray, sparsity: float) -> int:
        """Return how many blocks are kept, rounded as TF-MOT does."""
        return kept_units(magnitudes.size, sparsity)

    def mask(self, kept: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Return the mask of whole blocks; at the edges of the matrix they may be smaller."""
        height, width = self._fitting((int(np.prod(shape[:-1])), shape[-1]))
        matrix = kept.repeat(height, axis=0).repeat(width, axis=1)
        columns = shape[-1]
        return matrix[: int(np.prod(shape[:-1])), :columns].reshape(shape)


class MByN:
    """Single weights, of which only those that M:N prunes are candidates."""

    def __init__(self, m_by_n: tuple[int, int]):
        self._m_by_n = m_by_n

    def magnitudes(self, kernel: np.ndarray) -> np.ndarray:
        """Return the absolute values; infinity where M:N keeps the weight."""
        from ....core.tfmot_private import m_by_n_mask

        rows = np.moveaxis(kernel, -2, 0)
        kept = m_by_n_mask(rows.reshape(len(rows), -1), self._m_by_n).reshape(rows.shape)
        return np.where(np.moveaxis(kept, 0, -2), np.inf, np.abs(kernel))

    def kept(self, magnitudes: np.ndarray, sparsity: float) -> int:
        """Return the number of all weights minus the share `sparsity / (M/N)` of the candidates."""
        zeros, group = self._m_by_n
        candidates = np.count_nonzero(np.isfinite(magnitudes))
        share = round(sparsity * group / zeros, 6)  # drops the error of float32, so that the schedule ends at exactly 1
        return magnitudes.size - round(candidates * share)

    def mask(self, kept: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Return `kept`."""
        return kept


def pattern_of(settings: Sparsity) -> Pattern:
    """Return the pattern that the settings name."""
    if settings.m_by_n:
        return MByN(settings.m_by_n)
    return Blocks(settings.block, settings.pooling) if settings.block else Elements()


def kept_units(size: int, sparsity: float) -> int:
    """Return how many of `size` units TF-MOT keeps, in its float32 arithmetic."""
    kept = np.round(np.float32(size) * (np.float32(1) - np.float32(sparsity)))
    return min(max(int(kept), 1), size)


class Masks:
    """One bool variable for each of `kernels`: True where the weight is kept.

    Zero weights stay zero, so the masks follow from the weights and a resumed run needs no record of them.

    Args:
        kernels: Variables to prune.
        settings: Pattern and scope.
        layouts: What the axes of each kernel run over; by default positions, then inputs, then outputs.
    """

    def __init__(
        self, kernels: Sequence[keras.Variable], settings: Sparsity, layouts: Sequence[KernelLayout] | None = None
    ):
        self._kernels = kernels
        self._layouts = layouts or [_usual_layout(len(kernel.shape)) for kernel in kernels]
        self._pattern = pattern_of(settings)
        self._is_global = settings.scope == "global"
        self.variables = [tf.Variable(np.ones(kernel.shape, bool), trainable=False) for kernel in kernels]

    def update(self, sparsities: Sequence[float]) -> None:
        """Mask the smallest units of each kernel, up to its share of zeros, 0..1, and set them to zero."""
        weights = self._weights()
        with ThreadPoolExecutor() as pool:  # NumPy releases the GIL
            magnitudes = list(pool.map(self._magnitudes, weights, self._layouts))
            kept = self._kept(magnitudes, sparsities, pool)
            masks = list(pool.map(self._mask, kept, weights, self._layouts))
            pruned = list(pool.map(_pruned, masks, weights))
        for kernel, variable, mask, values in zip(self._kernels, self.variables, masks, pruned, strict=True):
            variable.assign(mask)
            kernel.assign(values)

    def _magnitudes(self, weights: np.ndarray, layout: KernelLayout) -> np.ndarray:
        return self._pattern.magnitudes(_in_usual_order(weights, layout))

    def _mask(self, kept: np.ndarray, weights: np.ndarray, layout: KernelLayout) -> np.ndarray:
        usual = _in_usual_order(weights, layout)
        mask = self._pattern.mask(kept, usual.shape).reshape([weights.shape[axis] for axis in layout.order])
        return mask.transpose(np.argsort(layout.order))

    def apply(self) -> None:
        """Set the masked weights to zero."""
        for kernel, variable in zip(self._kernels, self.variables, strict=True):
            kernel.assign(_apply_mask(variable, kernel))

    def missing(self, sparsities: Sequence[float]) -> float:
        """Return the share of all units, 0..1, that `update` would newly set to zero."""
        magnitudes = self._merge(list(map(self._magnitudes, self._weights(), self._layouts)))
        units = sum(values.size for values in magnitudes)
        nonzero = sum(np.count_nonzero(values) for values in magnitudes)
        kept = sum(map(self._pattern.kept, magnitudes, sparsities))
        return max(0, nonzero - kept) / units

    def _weights(self) -> list[np.ndarray]:
        return [keras.ops.convert_to_numpy(kernel) for kernel in self._kernels]

    def _merge(self, magnitudes: list[np.ndarray]) -> list[np.ndarray]:
        """Return one array for each threshold."""
        return [np.concatenate([values.ravel() for values in magnitudes])] if self._is_global else magnitudes

    def _kept(self, magnitudes: list[np.ndarray], sparsities: Sequence[float], pool: Executor) -> list[np.ndarray]:
        """Return which units are kept, for each kernel."""
        merged = self._merge(magnitudes)
        kept = list(pool.map(largest, merged, map(self._pattern.kept, merged, sparsities)))
        if not self._is_global:
            return kept
        ends = np.cumsum([values.size for values in magnitudes])[:-1]
        shaped = zip(np.split(kept[0], ends), magnitudes, strict=True)
        # As in TF-MOT each kernel keeps at least one weight, so that no layer is cut off.
        return [
            part.reshape(values.shape) if part.any() else (values == values.max()) & (values > 0)
            for part, values in shaped
        ]


def _usual_layout(rank: int) -> KernelLayout:
    return KernelLayout(tuple(range(rank - 2)), (rank - 2,), (rank - 1,))


def _in_usual_order(kernel: np.ndarray, layout: KernelLayout) -> np.ndarray:
    """Return a kernel as `(positions..., inputs, outputs)`."""
    ordered = kernel.transpose(layout.order)
    positions, inputs = len(layout.positions), len(layout.inputs)
    sizes = ordered.shape[positions : positions + inputs], ordered.shape[positions + inputs :]
    return ordered.reshape(*ordered.shape[:positions], *(int(np.prod(each)) for each in sizes))


def _pruned(mask: np.ndarray, weights: np.ndarray) -> np.ndarray:
    # Faster than `np.where`. The addition turns the product's -0 into +0: zeros of mixed sign compress worse.
    return weights * mask + np.zeros((), weights.dtype)


SAMPLED_SIZE, SAMPLE_STEP, MARGIN = 100_000, 97, 0.01
"""Smallest array that is sampled, distance of the samples, and the error of the sample's ranks that is allowed for."""


def largest(values: np.ndarray, number: int) -> np.ndarray:
    """Return which are the `number` largest values, as booleans; zeros are none.

    Of values that equal the last one, as in a clustered kernel, those at random but fixed places are taken.
    """
    last = nth_largest(values, number)
    kept = (values >= last) & (values > 0)
    surplus = np.count_nonzero(kept) - number
    if surplus > 0:
        equal = np.flatnonzero(values == last)
        kept.flat[np.random.default_rng(0).permutation(equal)[:surplus]] = False
    return kept


def nth_largest(values: np.ndarray, number: int) -> np.floating:
    """Return the exact `number`-th largest value, counted from 1.

    A sample gives two values that most probably enclose it, so only the values between them are partitioned. (Floyd,
    Rivest: Expected Time Bounds for Selection, 1975.)
    """
    values, index = values.ravel(), values.size - number
    if values.size >= SAMPLED_SIZE:
        sample = np.sort(values[::SAMPLE_STEP])
        share, last = index / values.size, sample.size - 1
        low, high = (sample[min(max(int(bound * last), 0), last)] for bound in (share - MARGIN, share + MARGIN))
        between = values[(values >= low) & (values <= high)]
        rank = index - np.count_nonzero(values < low)
        if 0 <= rank < between.size:
            return np.partition(between, rank)[rank]
    return np.partition(values, index)[index]


def _apply_mask(mask: tf.Variable, weights: keras.Variable) -> tf.Tensor:
    # A product would keep the sign of each zero, and zeros of mixed sign compress worse.
    return keras.ops.where(mask, weights, keras.ops.zeros_like(weights))


class Masked(keras.constraints.Constraint):
    """Keeps masked weights at zero; the optimizer applies it inside the compiled step.

    Args:
        mask: True where a weight is kept.
        own: The variable's own constraint, if it has one.
    """

    def __init__(self, mask: tf.Variable, own: keras.constraints.Constraint | None):
        self._mask = mask
        self.own = own

    def __call__(self, weights: Any) -> Any:
        """Apply the variable's own constraint, then the mask."""
        return _apply_mask(self._mask, weights if self.own is None else self.own(weights))
