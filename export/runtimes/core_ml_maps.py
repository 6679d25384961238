"""The operations of Core ML's programs on maps, computed by TensorFlow: convolutions, pooling and changes of size.

Maps are `(batch, channels, height, width)`; convolutions take one or three axes in place of height and width, too.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from .core_ml import UnknownOperationError

Tensor = Any


def _last(x: Tensor) -> Tensor:
    return tf.transpose(x, (0, *range(2, len(x.shape)), 1))


def _first(x: Tensor) -> Tensor:
    return tf.transpose(x, (0, len(x.shape) - 1, *range(1, len(x.shape) - 1)))


def _check_sides(x: Tensor) -> None:
    if len(x.shape) != 4:
        raise UnknownOperationError(f"an operation on a map of {len(x.shape)} axes is not evaluated here")


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
        return [(0, 0)] * len(sides)
    if pad_type == "custom":
        return [(int(before), int(after)) for before, after in np.reshape(pad, (-1, 2))]
    pads = []
    for side, size, stride, dilation in zip(sides, kernel, strides, dilations, strict=True):
        total = max((-(-side // stride) - 1) * stride + (size - 1) * dilation + 1 - side, 0)
        small, large = total // 2, total - total // 2
        pads.append((small, large) if pad_type == "same" else (large, small))
    return pads


def conv(
    x: Tensor,
    weight: Tensor,
    bias: np.ndarray | None = None,
    strides: Sequence[int] | None = None,
    pad_type: str = "valid",
    pad: Sequence[int] = (),
    dilations: Sequence[int] | None = None,
    groups: int = 1,
) -> Tensor:
    """Convolution; the weight is `(outputs, inputs / groups, height, width)`."""
    axes = len(weight.shape) - 2
    strides, dilations = ([1] * axes if each is None else list(each) for each in (strides, dilations))
    pads = _pads(x.shape[2:], weight.shape[2:], strides, dilations, pad_type, pad)
    kernel = tf.transpose(weight, (*range(2, axes + 2), 1, 0))
    padded = tf.pad(_last(x), [(0, 0), *pads, (0, 0)])
    if groups == x.shape[1] and kernel.shape[-2] == 1 and axes == 2 and strides[0] == strides[1]:  # the faster form
        kernel = tf.reshape(kernel, (*kernel.shape[:2], groups, -1))
        y = tf.nn.depthwise_conv2d(padded, kernel, (1, *strides, 1), "VALID", dilations=dilations)
    else:
        y = tf.nn.convolution(padded, kernel, strides, "VALID", dilations=dilations)
    return _first(y if bias is None else y + bias)


def conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: np.ndarray | None = None,
    pad: Sequence[int] = (0, 0, 0, 0),
    output_shape: Sequence[int] | None = None,
    pad_type: str = "valid",
    strides: Sequence[int] = (1, 1),
    dilations: Sequence[int] = (1, 1),
    groups: int = 1,
) -> Tensor:
    """Transposed convolution; the weight is `(inputs, outputs / groups, height, width)`."""
    _check_sides(x)
    if groups != 1 or tuple(dilations) != (1, 1):
        raise UnknownOperationError("conv_transpose with groups or dilations is not evaluated here")
    sides = [
        (side - 1) * stride + size for side, stride, size in zip(x.shape[2:], strides, weight.shape[2:], strict=True)
    ]
    kernel = tf.transpose(weight, (2, 3, 1, 0))
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
    pool: Callable[..., Tensor],
    fill: float,
    x: Tensor,
    kernel_sizes: Sequence[int],
    strides: Sequence[int] = (1, 1),
    pad_type: str = "valid",
    pad: Sequence[int] = (0, 0, 0, 0),
    ceil_mode: bool = False,
    exclude_padding_from_average: bool = False,
) -> Tensor:
    """Maxima or means of windows; `pool` computes them, of maps with `fill` around them."""
    _check_sides(x)
    if ceil_mode:
        raise UnknownOperationError("pooling with ceil_mode is not evaluated here")
    pads = _pads(x.shape[2:], kernel_sizes, strides, (1, 1), pad_type, pad)

    def pooled(values: Tensor) -> Tensor:
        padded = tf.pad(_last(values), [(0, 0), *pads, (0, 0)], constant_values=fill)
        return _first(pool(padded, list(kernel_sizes), list(strides), "VALID"))

    return pooled(x) / pooled(tf.ones_like(x)) if exclude_padding_from_average else pooled(x)


max_pool = partial(_pool, tf.nn.max_pool2d, -np.inf)
avg_pool = partial(_pool, tf.nn.avg_pool2d, 0.0)


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
        raise UnknownOperationError(f"resize_bilinear with sampling_mode {sampling_mode} is not evaluated here")
    align, half = modes[sampling_mode]
    return _resize(x, target_size_height, target_size_width, "bilinear", align_corners=align, half_pixel_centers=half)


def resize_nearest_neighbor(x: Tensor, target_size_height: int, target_size_width: int) -> Tensor:
    """Nearest change of size."""
    return _resize(x, target_size_height, target_size_width, "nearest", half_pixel_centers=False)
