"""The operations of Core ML's programs, computed by TensorFlow: what `core_ml_program` needs of them.

Names and arguments are those of https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html;
maps are `(batch, channels, height, width)`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

Tensor = Any


def _last(x: Tensor) -> Tensor:
    return tf.transpose(x, (0, 2, 3, 1))


def _first(x: Tensor) -> Tensor:
    return tf.transpose(x, (0, 3, 1, 2))


def _pads(
    sides: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pad_type: str,
    pad: Sequence[int],
) -> list[tuple[int, int]]:
    """The padding before and after each side of a map."""
    if pad_type == "valid":
        return [(0, 0), (0, 0)]
    if pad_type == "custom":
        return [(int(pad[0]), int(pad[1])), (int(pad[2]), int(pad[3]))]
    pads = []
    for side, size, stride, dilation in zip(sides, kernel, strides, dilations, strict=True):
        total = max((-(-side // stride) - 1) * stride + (size - 1) * dilation + 1 - side, 0)
        small, large = total // 2, total - total // 2
        pads.append((small, large) if pad_type == "same" else (large, small))
    return pads


def conv(
    x: Tensor,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    strides: Sequence[int] = (1, 1),
    pad_type: str = "valid",
    pad: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    groups: int = 1,
) -> Tensor:
    """Convolution; the weight is `(outputs, inputs / groups, height, width)`."""
    pads = _pads(x.shape[2:], weight.shape[2:], strides, dilations, pad_type, pad)
    kernel = np.transpose(weight, (2, 3, 1, 0))
    padded = tf.pad(_last(x), [(0, 0), *pads, (0, 0)])
    if groups == x.shape[1] and kernel.shape[2] == 1 and strides[0] == strides[1]:  # which is the faster form
        kernel = kernel.reshape(*kernel.shape[:2], groups, -1)
        y = tf.nn.depthwise_conv2d(padded, kernel, (1, *strides, 1), "VALID", dilations=list(dilations))
    else:
        y = tf.nn.conv2d(padded, kernel, list(strides), "VALID", dilations=list(dilations))
    return _first(y if bias is None else y + bias)


def conv_transpose(
    x: Tensor,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    pad: Sequence[int] = (0, 0, 0, 0),
    output_shape: Sequence[int] | None = None,
    pad_type: str = "valid",
    strides: Sequence[int] = (1, 1),
    dilations: Sequence[int] = (1, 1),
    groups: int = 1,
) -> Tensor:
    """Transposed convolution; the weight is `(inputs, outputs / groups, height, width)`."""
    if groups != 1 or tuple(dilations) != (1, 1):
        raise NotImplementedError("conv_transpose with groups or dilations")
    sides = [
        (side - 1) * stride + size for side, stride, size in zip(x.shape[2:], strides, weight.shape[2:], strict=True)
    ]
    kernel = np.transpose(weight, (2, 3, 1, 0))
    full = tf.nn.conv2d_transpose(_last(x), kernel, (x.shape[0], *sides, weight.shape[1]), list(strides), "VALID")
    wanted = sides if output_shape is None else [int(side) for side in output_shape[2:]]
    if pad_type == "same" and output_shape is None:
        wanted = [side * stride for side, stride in zip(x.shape[2:], strides, strict=True)]
    total = [side - target for side, target in zip(sides, wanted, strict=True)]
    before = [max(extra, 0) // 2 for extra in total] if pad_type == "same" else [0, 0]
    if pad_type == "custom":
        before = [int(pad[0]), int(pad[2])]
        if output_shape is None:
            wanted = [side - int(a) - int(b) for side, a, b in zip(sides, pad[::2], pad[1::2], strict=True)]
    full = tf.pad(full, [(0, 0), *((0, max(-extra, 0)) for extra in total), (0, 0)])
    y = full[:, before[0] : before[0] + wanted[0], before[1] : before[1] + wanted[1]]
    return _first(y if bias is None else y + bias)


def _pool(
    pool: Callable[..., Tensor], x: Tensor, kernel_sizes: Any, strides: Any, pad_type: str, pad: Any, fill: float
) -> Tensor:
    pads = _pads(x.shape[2:], kernel_sizes, strides, (1, 1), pad_type, pad)
    padded = tf.pad(_last(x), [(0, 0), *pads, (0, 0)], constant_values=fill)
    return _first(pool(padded, list(kernel_sizes), list(strides), "VALID"))


def _refuse(ceil_mode: bool) -> None:
    if ceil_mode:
        raise NotImplementedError("pooling with ceil_mode")


def max_pool(
    x: Tensor,
    kernel_sizes: Sequence[int],
    strides: Sequence[int] = (1, 1),
    pad_type: str = "valid",
    pad: Sequence[int] = (0, 0, 0, 0),
    ceil_mode: bool = False,
) -> Tensor:
    """Maxima of windows."""
    _refuse(ceil_mode)
    return _pool(tf.nn.max_pool2d, x, kernel_sizes, strides, pad_type, pad, -np.inf)


def avg_pool(
    x: Tensor,
    kernel_sizes: Sequence[int],
    strides: Sequence[int] = (1, 1),
    pad_type: str = "valid",
    pad: Sequence[int] = (0, 0, 0, 0),
    exclude_padding_from_average: bool = False,
    ceil_mode: bool = False,
) -> Tensor:
    """Means of windows."""
    _refuse(ceil_mode)
    means = _pool(tf.nn.avg_pool2d, x, kernel_sizes, strides, pad_type, pad, 0.0)
    if not exclude_padding_from_average:
        return means
    return means / _pool(tf.nn.avg_pool2d, tf.ones_like(x), kernel_sizes, strides, pad_type, pad, 0.0)


def batch_norm(x: Tensor, mean: Any, variance: Any, gamma: Any = 1.0, beta: Any = 0.0, epsilon: float = 1e-5) -> Tensor:
    """Normalization by channel."""
    scale = np.asarray(gamma) / np.sqrt(np.asarray(variance) + epsilon)
    shape = (-1, *[1] * (len(x.shape) - 2))
    return x * scale.reshape(shape) + np.reshape(beta - np.asarray(mean) * scale, shape)


def layer_norm(x: Tensor, axes: Sequence[int], gamma: Any = 1.0, beta: Any = 0.0, epsilon: float = 1e-5) -> Tensor:
    """Normalization over axes."""
    mean, variance = tf.nn.moments(x, list(axes), keepdims=True)
    return (x - mean) * tf.math.rsqrt(variance + epsilon) * gamma + beta


def _resize(
    x: Tensor, height: Any, width: Any, method: str, *, align_corners: bool = False, half_pixel_centers: bool = True
) -> Tensor:
    size = (round(float(height)), round(float(width)))
    if method == "nearest":
        resize: Callable[..., Tensor] = tf.raw_ops.ResizeNearestNeighbor
    else:
        resize = tf.raw_ops.ResizeBilinear
    half_pixel_centers = half_pixel_centers and not align_corners
    return _first(
        resize(images=_last(x), size=size, align_corners=align_corners, half_pixel_centers=half_pixel_centers)
    )


def upsample_bilinear(
    x: Tensor,
    scale_factor_height: float = 1,
    scale_factor_width: float = 1,
    align_corners: bool = True,
    half_pixel_centers: bool | None = None,
) -> Tensor:
    """Bilinear enlargement by factors; half pixels are the default where corners are not aligned."""
    height, width = x.shape[2] * scale_factor_height, x.shape[3] * scale_factor_width
    half = not align_corners if half_pixel_centers is None else half_pixel_centers
    return _resize(x, height, width, "bilinear", align_corners=align_corners, half_pixel_centers=half)


def upsample_nearest_neighbor(x: Tensor, scale_factor_height: float = 1, scale_factor_width: float = 1) -> Tensor:
    """Repetition of pixels."""
    height, width = x.shape[2] * scale_factor_height, x.shape[3] * scale_factor_width
    return _resize(x, height, width, "nearest")


def resize_bilinear(
    x: Tensor, target_size_height: int = 1, target_size_width: int = 1, sampling_mode: str = "DEFAULT"
) -> Tensor:
    """Bilinear change of size."""
    modes = {"STRICT_ALIGN_CORNERS": (True, False), "UNALIGN_CORNERS": (False, True), "OFFSET_CORNERS": (False, False)}
    if sampling_mode not in modes:
        raise NotImplementedError(f"resize_bilinear with sampling_mode {sampling_mode}")
    align, half = modes[sampling_mode]
    return _resize(x, target_size_height, target_size_width, "bilinear", align_corners=align, half_pixel_centers=half)


def resize_nearest_neighbor(x: Tensor, target_size_height: int, target_size_width: int) -> Tensor:
    """Nearest change of size."""
    return _resize(x, target_size_height, target_size_width, "nearest", half_pixel_centers=False)


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
        raise NotImplementedError(f"pad with mode {mode}")
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
    none = [False] * rank
    places: list[Any] = []
    for axis in range(rank):
        step = 1 if stride is None else int(stride[axis])
        if (squeeze_mask or none)[axis]:
            places.append(int(begin[axis]))
            continue
        start = None if _flag(begin_mask, axis) else int(begin[axis])
        stop = None if _flag(end_mask, axis) else int(end[axis])
        places.append(slice(start, stop, step))
    return x[tuple(places)]


def _flag(mask: Sequence[bool] | None, axis: int) -> bool:
    return mask is not None and bool(mask[axis])


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
        max_pool,
        avg_pool,
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
        gelu,
    )
} | {
    **{f"reduce_{name}": _reduce(getattr(tf, f"reduce_{name}")) for name in ("mean", "max", "min", "sum")},
    **{name: _of_two(getattr(tf, name)) for name in ("add", "maximum", "minimum", "pow")},
    **{name: _of_one(getattr(tf.math, name)) for name in ("abs", "exp", "sigmoid", "sqrt", "square", "tanh", "erf")},
    **{name: _of_one(getattr(tf.nn, name)) for name in ("relu", "relu6", "silu", "softplus", "softsign")},
    **{name: _of_two(getattr(tf, name)) for name in ("less", "less_equal", "greater", "greater_equal", "equal")},
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
    "concat": lambda values, axis, interleave=False: tf.concat(list(values), int(axis)),
    "stack": lambda values, axis: tf.stack(list(values), int(axis)),
    "reshape": lambda x, shape: tf.reshape(x, [int(side) for side in shape]),
    "transpose": lambda x, perm: tf.transpose(x, [int(axis) for axis in perm]),
    "squeeze": lambda x, axes=None: tf.squeeze(x, None if axes is None else [int(axis) for axis in axes]),
    "expand_dims": lambda x, axes: tf.reshape(x, np.expand_dims(np.empty(x.shape, "bool"), tuple(axes)).shape),
    "identity": lambda x: tf.identity(x),
    "tile": lambda x, reps: tf.tile(x, [int(times) for times in reps]),
    "gather": lambda x, indices, axis=0, **_: tf.gather(x, indices, axis=int(axis)),
}
"""By type of the operation."""
