"""The inputs and outputs of artifacts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from ...core.errors import InputError
from ...core.short_repr import ShortRepr

RAW = (0.0, 255.0)
"""Range of raw pixels."""
OPEN_SIDES = (224, 256)
"""Height and width used where a size is open: models that downsample and upsample again need multiples of 32."""
OPEN_SIZE = 64
"""Size of any other axis that is open, as in the trial run of the file."""
IMAGE_CHANNELS = (1, 3, 4)
"""Channels of grayscale images, of RGB images and of those with an alpha channel."""


@dataclass(frozen=True)
class TensorInfo(ShortRepr):
    """An input or output of an artifact."""

    name: str
    shape: tuple[int | None, ...]
    """None for an open size."""
    dtype: str
    scale: float | None = None
    """Real value of one integer step, for integer tensors."""
    zero_point: int | None = None
    """Integer that represents 0."""
    layout: Literal["NHWC", "NCHW"] | None = "NHWC"
    """Position of the channels of a map; None for one of four axes that is no map, and is taken as it is."""
    has_batch: bool = True
    """Whether the first axis is the batch, of one image."""

    @property
    def is_image(self) -> bool:
        """Whether it is a map."""
        return len(self.shape) == 4 and self.layout is not None

    @property
    def is_number(self) -> bool:
        """Whether it holds numbers or booleans that NumPy has, rather than texts or lists."""
        return self.dtype.startswith(("float", "int", "uint", "bool"))

    @property
    def is_whole(self) -> bool:
        """Whether it holds whole numbers that represent themselves, such as indices, or texts."""
        return self.scale is None and not self.dtype.startswith("float")

    @property
    def image_shape(self) -> tuple[int | None, int | None, int]:
        """Height, width and channels of a map; None for an open size."""
        first, *middle, last = self.shape[-3:]
        return (first, *middle, last) if self.layout == "NHWC" else (*middle, last, first)

    @property
    def value_shape(self) -> tuple[int | None, ...]:
        """Shape without the batch, of a map height, width and channels."""
        return self.image_shape if self.is_image else self.shape[self.has_batch :]

    @property
    def example_shape(self) -> tuple[int, ...]:
        """Shape of a tensor for one image, with sizes in place of open ones."""
        if self.is_image:
            height, width, channels = concrete_shape(self.image_shape)
            return (1, height, width, channels) if self.layout == "NHWC" else (1, channels, height, width)
        return tuple(side if side is not None else OPEN_SIZE if axis else 1 for axis, side in enumerate(self.shape))

    def accepts(self, shape: tuple[int, ...]) -> bool:
        """Whether an image of shape (height, width, channels) fits."""
        return matches_shape(shape, self.image_shape)

    def from_real(self, values: np.ndarray) -> np.ndarray:
        """Convert real values, maps in NHWC order, to what this tensor holds."""
        values = self._in_layout(values)
        if not self.is_number:
            return np.char.encode(values.astype(str), "utf-8") if self.dtype == "bytes" else values.astype(object)
        if self.scale is None:
            return values.astype(self.dtype)
        limits = np.iinfo(self.dtype)
        return np.clip(np.round(values / self.scale) + self.zero_point, limits.min, limits.max).astype(self.dtype)

    def from_bytes(self, pixels: np.ndarray, offset: int) -> np.ndarray:
        """Convert raw pixels in whole numbers, in NHWC order, to what a tensor holds that has a `byte_offset`."""
        return self._in_layout((np.clip(pixels, 0, 255).astype("int16") + offset).astype(self.dtype))

    def _in_layout(self, values: np.ndarray) -> np.ndarray:
        if self.layout == "NCHW" and values.ndim == 4:
            return np.ascontiguousarray(values.transpose(0, 3, 1, 2))
        return values

    def takes_bytes(self, limits: tuple[float, float]) -> bool:
        """Whether it holds raw pixels as they are, for values of a range."""
        return self.byte_offset(limits) == 0

    def byte_offset(self, limits: tuple[float, float]) -> int | None:
        """What is added to raw pixels for the integers that are the values of a range; None where that takes more."""
        offset = {"uint8": 0, "int8": -128}.get(self.dtype)
        if offset is None or self.scale is None or self.zero_point is None:
            return None
        return offset if is_byte_quantization(self.scale, self.zero_point - offset, limits) else None

    def to_real(self, values: np.ndarray) -> np.ndarray:
        """Convert the content of this tensor to real float32 values, maps in NHWC order."""
        if self.layout == "NCHW" and values.ndim == 4:
            values = values.transpose(0, 2, 3, 1)
        if not self.is_number:
            return values
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


def is_byte_quantization(scale: float | None, zero_point: int | None, limits: tuple[float, float]) -> bool:
    """Whether by this scale and zero point the bytes 0..255 are the values of a range, up to half a step."""
    step, _ = byte_quantization(limits)
    exact = -limits[0] / step  # the byte of 0, which a file can only state as a whole number
    return (
        scale is not None and zero_point is not None and abs(scale / step - 1) < 1e-3 and abs(zero_point - exact) < 0.51
    )


def matches_shape(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    """Whether `shape` equals `expected`, where None matches any size."""
    return len(shape) == len(expected) and all(e in (None, side) for side, e in zip(shape, expected, strict=True))


def concrete_shape(shape: tuple[int | None, int | None, int] | tuple[int, ...]) -> tuple[int, int, int]:
    """Replace open sizes of an image shape by `OPEN_SIDES`."""
    height, width, channels = shape
    return height or OPEN_SIDES[0], width or OPEN_SIDES[1], channels or 3


def infer_layout(shape: Sequence[int | None]) -> Literal["NHWC", "NCHW"] | None:
    """Return the likely layout of a tensor of four axes: its channels are the axis of 1, 3 or 4; None if none is."""
    if len(shape) != 4:
        return "NHWC"
    last, first = shape[3] in IMAGE_CHANNELS, shape[1] in IMAGE_CHANNELS
    if last and first:  # a tiny image: of two readings, the square one
        return "NCHW" if shape[2] == shape[3] != shape[1] else "NHWC"
    return "NHWC" if last else "NCHW" if first else None


def arrange_inputs(tensors: Sequence[TensorInfo]) -> list[TensorInfo]:
    """Return the inputs of a file with what their shapes show: which are images and in which layout."""
    return [_arranged(tensor) for tensor in tensors]


def _arranged(tensor: TensorInfo) -> TensorInfo:
    has_batch = bool(tensor.shape) and tensor.shape[0] in (1, None)
    layout = infer_layout(tensor.shape) if tensor.is_number and tensor.dtype != "bool" and has_batch else None
    if layout and len(tensor.shape) == 4 and tensor.dtype == "uint8" and tensor.scale is None:
        return replace(tensor, layout=layout, has_batch=has_batch, scale=1.0, zero_point=0)  # bytes are pixels
    return replace(tensor, layout=layout or (None if len(tensor.shape) == 4 else "NHWC"), has_batch=has_batch)


def arrange_outputs(tensors: Sequence[TensorInfo], inputs: Sequence[TensorInfo]) -> list[TensorInfo]:
    """Return the outputs of a file with what their shapes show: those that cover an image have its layout or another.

    Args:
        tensors: The outputs; `has_batch` says whether the first axis may be the batch.
        inputs: Its inputs, as `arrange_inputs` returns them.
    """
    images = [tensor for tensor in inputs if tensor.is_image]
    arranged = []
    for tensor in tensors:
        layout = next((found for image in images if (found := _layout_over(tensor, image))), None)
        has_batch = tensor.has_batch and bool(tensor.shape) and tensor.shape[0] in (1, None)
        is_map = len(tensor.shape) == 4
        arranged.append(replace(tensor, layout=layout if is_map else "NHWC", has_batch=has_batch))
    return arranged


def _layout_over(tensor: TensorInfo, image: TensorInfo) -> Any:
    """Return the layout of an output that has a value for each pixel of an image; None of another."""
    if len(tensor.shape) != 4:
        return None
    sides = image.image_shape[:2]
    matches = [layout for layout, own in (("NHWC", tensor.shape[1:3]), ("NCHW", tensor.shape[2:])) if own == sides]
    return image.layout if image.layout in matches else next(iter(matches), None)


def check_signature(input_shapes: list[tuple[int | None, ...]], outputs: int) -> None:
    """Raise InputError where a graph does not take one image at a time, and perhaps other inputs with it."""
    one_at_a_time = all(shape and shape[0] in (1, None) for shape in input_shapes)
    if not outputs or not one_at_a_time or all(len(shape) != 4 for shape in input_shapes):
        raise InputError(
            f"it has inputs {input_shapes} and {outputs} output(s); an image model has an input (1, height, width, "
            f"channels) or (1, channels, height, width), perhaps others of batch size 1, and an output."
        )


def unique_names(tensors: Sequence[TensorInfo]) -> list[TensorInfo]:
    """Return tensors of which the second of a name has `_2` after it, and so on."""
    seen: list[str] = []
    unique = []
    for tensor in tensors:
        name, number = tensor.name, 1
        while name in seen:
            number += 1
            name = f"{tensor.name}_{number}"
        seen.append(name)
        unique.append(replace(tensor, name=name))
    return unique


def only_or_named(tensors: Sequence[TensorInfo], is_plain: bool) -> Any:
    """Return the only tensor, or a dict of all by name.

    Args:
        tensors: In the order of the file.
        is_plain: Whether the only one stands for itself.

    Raises:
        InputError: Two have the same name.
    """
    if is_plain and len(tensors) == 1:
        return tensors[0]
    named = {tensor.name: tensor for tensor in tensors}
    if len(named) < len(tensors):
        raise InputError(f"two of its inputs, or of its outputs, have one name: {[tensor.name for tensor in tensors]}.")
    return named


def values_by_name(values: Any, names: Sequence[str], what: str) -> dict[str, Any]:
    """Return the values for several inputs or outputs by name.

    Args:
        values: A dict by name, or a list or tuple in the order of the model.
        names: The names, in the order of the model.
        what: What messages call the values.

    Raises:
        InputError: It is something else, or has other names or another length.
    """
    if isinstance(values, Mapping):
        wrong = [name for name in values if name not in names] or [name for name in names if name not in values]
        if wrong:
            raise InputError(f"{what} has {', '.join(map(repr, values))}; the model has {', '.join(map(repr, names))}.")
        return {name: values[name] for name in names}
    if isinstance(values, list | tuple) and len(values) == len(names):
        return dict(zip(names, values, strict=True))
    given = f"a {type(values).__name__}" + (f" of {len(values)}" if isinstance(values, list | tuple) else "")
    raise InputError(f"{what} is {given}; give a dict with {', '.join(map(repr, names))}, or a list in that order.")
