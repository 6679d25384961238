"""The inputs and outputs of artifacts."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...core.errors import InputError

RAW = (0.0, 255.0)
"""Range of raw pixels."""
OPEN_SIDES = (224, 256)
"""Height and width used where a size is open: models that downsample and upsample again need multiples of 32."""


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of an artifact."""

    name: str
    shape: tuple[int | None, ...]
    """None for an open size."""
    dtype: str
    scale: float | None = None
    """Real value of one integer step, for integer tensors."""
    zero_point: int | None = None
    """Integer that represents 0."""
    layout: Literal["NHWC", "NCHW"] = "NHWC"
    """Position of the channels of a map."""

    @property
    def image_shape(self) -> tuple[int | None, int | None, int]:
        """Height, width and channels of a map; None for an open size."""
        first, *middle, last = self.shape[1:]
        return (first, *middle, last) if self.layout == "NHWC" else (*middle, last, first)

    def accepts(self, shape: tuple[int, ...]) -> bool:
        """Whether an image of shape (height, width, channels) fits."""
        return matches_shape(shape, self.image_shape)

    def from_real(self, values: np.ndarray) -> np.ndarray:
        """Convert real values, maps in NHWC order, to what this tensor holds."""
        if self.layout == "NCHW" and values.ndim == 4:
            values = np.ascontiguousarray(values.transpose(0, 3, 1, 2))
        if self.scale is None:
            return values.astype(self.dtype)
        limits = np.iinfo(self.dtype)
        return np.clip(np.round(values / self.scale) + self.zero_point, limits.min, limits.max).astype(self.dtype)

    def to_real(self, values: np.ndarray) -> np.ndarray:
        """Convert the content of this tensor to real float32 values, maps in NHWC order."""
        if self.layout == "NCHW" and values.ndim == 4:
            values = values.transpose(0, 2, 3, 1)
        if self.scale is None:
            return values.astype("float32")
        return (values.astype("float32") - self.zero_point) * np.float32(self.scale)


def to_range(images: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Return images as the values that a model expects: whole numbers are raw pixels 0..255, floats are such values.

    Args:
        images: Any shape.
        limits: Lowest and highest value.
    """
    low, high = limits
    if images.dtype.kind not in "ui" or limits == RAW:
        return images
    return np.float32(low) + images.astype("float32") * np.float32((high - low) / 255)


def byte_quantization(limits: tuple[float, float]) -> tuple[float, int]:
    """Return the scale and zero point by which the bytes 0..255 are the values of a range."""
    low, high = limits
    scale = (high - low) / 255
    return scale, int(np.clip(round(-low / scale), 0, 255))


def matches_shape(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    """Whether `shape` equals `expected`, where None matches any size."""
    return len(shape) == len(expected) and all(e in (None, side) for side, e in zip(shape, expected, strict=True))


def concrete_shape(shape: tuple[int | None, int | None, int]) -> tuple[int, int, int]:
    """Replace open sizes of an image shape by `OPEN_SIDES`."""
    height, width, channels = shape
    return height or OPEN_SIDES[0], width or OPEN_SIDES[1], channels


def check_signature(input_shapes: list[tuple], outputs: int) -> None:
    """Raise InputError where a graph does not take one image at a time or does not have one output."""
    if len(input_shapes) != 1 or outputs != 1 or len(input_shapes[0]) != 4 or input_shapes[0][0] not in (1, None):
        raise InputError(
            f"it has inputs {input_shapes} and {outputs} output(s); an image model has one input, (1, height, width, "
            f"channels) or (1, channels, height, width), and one output."
        )
