"""The inputs and outputs of artifacts."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...core.errors import InputError

OPEN_SIDES = (224, 256)
"""Nets that halve their maps and enlarge them again ask for sizes that 32 divides."""


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of an artifact."""

    name: str
    shape: tuple[int | None, ...]
    """None where a size is open."""
    dtype: str
    scale: float | None = None
    """Real value of one integer step, for integer tensors."""
    zero_point: int | None = None
    """Integer that stands for 0."""
    layout: Literal["NHWC", "NCHW"] = "NHWC"
    """Where the channels of a map stand."""

    @property
    def image_shape(self) -> tuple[int | None, int | None, int]:
        """Height, width and channels of a map; None where the size is open."""
        first, *middle, last = self.shape[1:]
        return (first, *middle, last) if self.layout == "NHWC" else (*middle, last, first)

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether an image of that height, width and number of channels fits."""
        return fits(shape, self.image_shape)

    def from_real(self, values: np.ndarray) -> np.ndarray:
        """Real values, maps with their channels last, as this tensor takes them."""
        if self.layout == "NCHW" and values.ndim == 4:
            values = np.ascontiguousarray(values.transpose(0, 3, 1, 2))
        if self.scale is None:
            return values.astype(self.dtype)
        limits = np.iinfo(self.dtype)
        return np.clip(np.round(values / self.scale) + self.zero_point, limits.min, limits.max).astype(self.dtype)

    def to_real(self, values: np.ndarray) -> np.ndarray:
        """What this tensor holds, as real float32 values, maps with their channels last."""
        if self.layout == "NCHW" and values.ndim == 4:
            values = values.transpose(0, 2, 3, 1)
        if self.scale is None:
            return values.astype("float32")
        return (values.astype("float32") - self.zero_point) * np.float32(self.scale)


def fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    """Whether `shape` is `wanted`, which leaves open what is None there."""
    return len(shape) == len(wanted) and all(w in (None, side) for side, w in zip(shape, wanted, strict=True))


def closed(shape: tuple[int | None, int | None, int]) -> tuple[int, int, int]:
    """An image shape with a size that is tried where it is open: `OPEN_SIDES`."""
    height, width, channels = shape
    return height or OPEN_SIDES[0], width or OPEN_SIDES[1], channels


def check_signature(input_shapes: list[tuple], outputs: int) -> None:
    """Raises InputError where a graph does not take one image at a time, or does not give one answer."""
    if len(input_shapes) != 1 or outputs != 1 or len(input_shapes[0]) != 4 or input_shapes[0][0] not in (1, None):
        raise InputError(
            f"it takes inputs of {input_shapes}; one image at a time, (1, height, width, channels) or "
            f"(1, channels, height, width), is meant."
        )
