"""The operations of Core ML's programs, computed by TensorFlow: what `core_ml_program` needs of them.

Names and arguments are those of https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from .core_ml import UnknownOperationError
from .core_ml_maps import (
    Tensor,
    avg_pool,
    conv,
    conv_transpose,
    max_pool,
    resize_bilinear,
    resize_nearest_neighbor,
    upsample_bilinear,
    upsample_nearest_neighbor,
)


def batch_norm(x: Tensor, mean: Any, variance: Any, gamma: Any = 1.0, beta: Any = 0.0, epsilon: float = 1e-5) -> Tensor:
    """Normalization by channel."""
    scale = np.asarray(gamma) / np.sqrt(np.asarray(variance) + epsilon)
    shape = (-1, *[1] * (len(x.shape) - 2))
    return x * scale.reshape(shape) + np.reshape(beta - np.asarray(mean) * scale, shape)


def layer_norm(x: Tensor, axes: Sequence[int], gamma: Any = 1.0, beta: Any = 0.0, epsilon: float = 1e-5) -> Tensor:
    """Normalization over axes."""
    mean, variance = tf.nn.moments(x, list(axes), keepdims=True)
    return (x - mean) * tf.math.rsqrt(variance + epsilon) * gamma + beta


def matmul(x: Tensor, y: Tensor, transpose_x: bool = False, transpose_y: bool = False) -> Tensor:
    """Product of matrices."""
    return tf.matmul(x, y, transpose_a=transpose_x, transpose_b=transpose_y)


def linear(x: Tensor, weight: np.ndarray, bias: np.ndarray | None = None) -> Tensor:
    """Dense layer; the weight is `(outputs, inputs)`."""
    y = tf.linalg.matvec(weight, x) if len(x.shape) == 1 else tf.matmul(x, weight, transpose_b=True)
    return y if bias is None else y + bias


def pad(x: Tensor, pad: Sequence[int], mode: str = "constant", constant_val: float = 0.0) -> Tensor:
    """Padding of the last axes."""
    amounts = np.reshape(pad, (-1, 2)).tolist()
    amounts = [[0, 0]] * (len(x.shape) - len(amounts)) + amounts
    if mode not in ("constant", "reflect"):
        raise UnknownOperationError(f"pad with mode {mode} is not evaluated here")
    return tf.pad(x, amounts, mode.upper(), constant_values=constant_val)


def slice_by_index(
    x: Tensor,
    begin: Sequence[int],
    end: Sequence[int],
    stride: Sequence[int] | None = None,
    begin_mask: Sequence[bool] | None = None,
    end_mask: Sequence[bool] | None = None,
    squeeze_mask: Sequence[bool] | None = None,
) -> Tensor:
    """A part of a tensor; a mask leaves out a limit, or the axis of a single index."""
    rank = len(begin)
    places: list[Any] = []
    for axis in range(rank):
        step = 1 if stride is None else int(stride[axis])
        if _flag(squeeze_mask, axis):
            places.append(int(begin[axis]))
            continue
        start = None if _flag(begin_mask, axis) else int(begin[axis])
        stop = None if _flag(end_mask, axis) else int(end[axis])
        places.append(slice(start, stop, step))
    return x[tuple(places)]


def crop(x: Tensor, crop_height: Sequence[int], crop_width: Sequence[int]) -> Tensor:
    """Maps without some rows at the top and bottom, and some columns at the left and right."""
    (top, bottom), (left, right) = crop_height, crop_width
    return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]


def _flag(mask: Sequence[bool] | None, axis: int) -> bool:
    return mask is not None and bool(mask[axis])


def concat(values: Sequence[Tensor], axis: int, interleave: bool = False) -> Tensor:
    """Tensors one after the other along an axis."""
    if interleave:
        raise UnknownOperationError("concat with interleave is not evaluated here")
    return tf.concat(list(values), int(axis))


def gather(x: Tensor, indices: Tensor, axis: int = 0, batch_dims: int = 0) -> Tensor:
    """Parts along an axis, by their places."""
    return tf.gather(x, indices, axis=int(axis), batch_dims=int(batch_dims))


def gelu(x: Tensor, mode: str = "EXACT") -> Tensor:
    """Gaussian error linear unit."""
    if mode == "SIGMOID_APPROXIMATION":
        return x * tf.sigmoid(1.702 * x)
    return tf.nn.gelu(x, approximate=mode != "EXACT")


def _reduce(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def reduce(x: Tensor, axes: Sequence[int] | None = None, keep_dims: bool = False) -> Tensor:
        return function(x, None if axes is None else [int(axis) for axis in axes], keepdims=keep_dims)

    return reduce


def _of_two(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda x, y: function(x, y)


def _of_one(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda x: function(x)


OPERATIONS: dict[str, Callable[..., Any]] = {
    operation.__name__: operation
    for operation in (
        conv,
        conv_transpose,
        batch_norm,
        layer_norm,
        upsample_bilinear,
        upsample_nearest_neighbor,
        resize_bilinear,
        resize_nearest_neighbor,
        matmul,
        linear,
        pad,
        slice_by_index,
        crop,
        gelu,
        concat,
        gather,
    )
} | {
    **{f"reduce_{name}": _reduce(getattr(tf, f"reduce_{name}")) for name in ("mean", "max", "min", "sum")},
    "reduce_log_sum_exp": _reduce(tf.reduce_logsumexp),
    **{name: _of_two(getattr(tf, name)) for name in ("add", "maximum", "minimum", "pow")},
    **{name: _of_one(getattr(tf.math, name)) for name in ("abs", "exp", "sigmoid", "sqrt", "square", "tanh", "erf")},
    **{name: _of_one(getattr(tf.nn, name)) for name in ("relu", "relu6", "silu", "softplus", "softsign")},
    **{name: _of_two(getattr(tf, name)) for name in ("less", "less_equal", "greater", "greater_equal", "equal")},
    "max_pool": max_pool,
    "avg_pool": avg_pool,
    "select": lambda cond, a, b: tf.where(cond, a, b),
    "sub": _of_two(tf.subtract),
    "mul": _of_two(tf.multiply),
    "real_div": _of_two(tf.divide),
    "rsqrt": lambda x, epsilon=1e-12: tf.math.rsqrt(x + epsilon),
    "log": lambda x, epsilon=1e-45: tf.math.log(x + epsilon),
    "inverse": lambda x, epsilon=1e-4: 1 / (x + epsilon),
    "elu": lambda x, alpha=1.0: tf.where(x > 0, x, alpha * (tf.exp(x) - 1)),
    "leaky_relu": lambda x, alpha=0.01: tf.where(x > 0, x, alpha * x),
    "sigmoid_hard": lambda x, alpha=0.2, beta=0.5: tf.clip_by_value(alpha * x + beta, 0, 1),
    "clip": lambda x, alpha, beta: tf.clip_by_value(x, alpha, beta),
    "softmax": lambda x, axis=-1: tf.nn.softmax(x, axis=int(axis)),
    "split": lambda x, axis, num_splits=None, split_sizes=None: tf.split(
        x, num_splits if split_sizes is None else [int(size) for size in split_sizes], int(axis)
    ),
    "reverse": lambda x, axes=None: tf.reverse(
        x, range(len(x.shape)) if axes is None else [int(axis) for axis in axes]
    ),
    "stack": lambda values, axis: tf.stack(list(values), int(axis)),
    "reshape": lambda x, shape: tf.reshape(x, [int(side) for side in shape]),
    "transpose": lambda x, perm: tf.transpose(x, [int(axis) for axis in perm]),
    "squeeze": lambda x, axes=None: tf.squeeze(x, None if axes is None else [int(axis) for axis in axes]),
    "expand_dims": lambda x, axes: tf.reshape(x, np.expand_dims(np.empty(x.shape, "bool"), tuple(axes)).shape),
    "identity": lambda x: tf.identity(x),
    "tile": lambda x, reps: tf.tile(x, [int(times) for times in reps]),
}
"""By type of the operation."""
