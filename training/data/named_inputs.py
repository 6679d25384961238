"""The inputs of a model in arrays: images alone, or by name with further images, vectors, numbers or indices."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ...core.errors import InputError
from .images import FurtherInput
from .pixel_format import PixelFormat, array_dtype, array_format

SOURCE = "arrays"
Kind = Literal["images", "signals", "volumes"]
"""What a model takes: the number of spatial axes."""
AXES = {"signals": "count length channels", "volumes": "count depth height width channels"}
"""Axes of arrays of signals and volumes."""
Arrays = np.ndarray | dict[str, np.ndarray]
PixelRanges = tuple[float, float] | dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Inputs:
    """The inputs of all splits, one split after the other."""

    images: np.ndarray
    """`(count, height, width, channels)`."""
    format: PixelFormat
    """Of these images."""
    image_name: str
    """Name of the input that the images are; empty for the only one."""
    further: dict[str, FurtherInput]
    """The other inputs by name."""
    counts: dict[str, int]
    """Number of images by split."""

    def contents(self) -> list[bytes]:
        """Return a hash for each image, which copies share: those of which all inputs are equal."""
        return [self._content(row) for row in range(len(self.images))]

    def _content(self, row: int) -> bytes:
        digest = hashlib.sha256(self.images[row].tobytes())
        for each in self.further.values():
            digest.update(each.take(np.array([row])).tobytes())
        return digest.digest()


def read_inputs(
    by_split: Mapping[str, Any], pixel_range: PixelRanges | None = None, *, kind: Kind = "images"
) -> Inputs:
    """Validate images, or inputs by name; the first one that can be is the image, others may be images too.

    Args:
        by_split: An array, or a dict of arrays, for each split.
        pixel_range: Lowest and highest value of pixels, of all images or by name of the input; inferred if None.
        kind: What a single array has.

    Raises:
        InputError: The splits have different inputs, none is an image, or an array cannot be used.
    """
    named = {split: _by_name(split, values) for split, values in by_split.items()}
    names, *others = [list(values) for values in named.values()]
    if different := [other for other in others if set(other) != set(names)]:
        raise InputError(f"the inputs of one split are {', '.join(names)}, of another {', '.join(different[0])}.")
    image_name = _image_name(next(iter(named.values())))
    if kind != "images" and len(names) > 1:
        raise InputError(f"the inputs are {', '.join(names)}; {kind} are a single input.")
    if isinstance(pixel_range, dict) and (unknown := [name for name in pixel_range if name not in names]):
        raise InputError(f"pixel_range has {unknown[0]!r}; the inputs are {', '.join(names)}.")
    parts = {split: _images(split, values[image_name], kind) for split, values in named.items()}
    counts = {split: len(part) for split, part in parts.items()}
    images, image_format = _with_format(concatenated(parts, "images"), image_name, pixel_range)
    further = {}
    for name in names:
        if name != image_name:
            rows = {split: _values(name, values[name], split, counts[split]) for split, values in named.items()}
            further[name] = _further_input(concatenated(rows, f"rows of {name!r}"), name, pixel_range)
    return Inputs(images, image_format, image_name, further, counts)


def concatenated(by_split: Mapping[str, np.ndarray], what: str) -> np.ndarray:
    """Return the arrays of the splits in one; raises InputError where they differ in dtype or shape."""
    dtypes = {str(part.dtype) for part in by_split.values()}
    if len(dtypes) > 1:
        raise InputError(f"the {what} of the splits are {' and '.join(sorted(dtypes))}; give all of them one dtype.")
    first = next(iter(by_split.values()))
    for split, part in by_split.items():
        if part.shape[1:] != first.shape[1:]:
            raise InputError(
                f"the {what} of {split} have the shape {part.shape[1:]}, those of train {first.shape[1:]}."
            )
    return first if len(by_split) == 1 else np.concatenate(list(by_split.values()))


def _by_name(split: str, values: Any) -> dict[str, np.ndarray]:
    if not isinstance(values, Mapping):
        return {"": np.asarray(values)}
    if not values:
        raise InputError(f"the inputs of {split} are an empty dict; give arrays by the names of the model's inputs.")
    named = {name: np.asarray(rows) for name, rows in values.items()}
    return named if len(named) > 1 else {"": next(iter(named.values()))}


def _image_name(inputs: Mapping[str, np.ndarray]) -> str:
    """Return the name of the first input that is a batch of images, in color or gray."""
    for dimensions in (4, 3):
        for name, rows in inputs.items():
            if rows.ndim == dimensions or len(inputs) == 1:
                return name
    shapes = ", ".join(f"{name} {rows.shape}" for name, rows in inputs.items())
    raise InputError(f"the inputs are {shapes}; one of them must be images (count, height, width, channels).")


def _images(split: str, images: np.ndarray, kind: Kind) -> np.ndarray:
    if kind != "images":
        images = images[..., np.newaxis] if kind == "signals" and images.ndim == 2 else images
        if images.ndim != len(AXES[kind].split()) or 0 in images.shape:
            raise InputError(
                f"the {kind} of {split} have the shape {images.shape}; they take ({', '.join(AXES[kind].split())})."
            )
        return array_dtype(images, f"the {kind} of {split}")
    images = images[..., np.newaxis] if images.ndim == 3 else images
    if images.ndim != 4 or 0 in images.shape:
        raise InputError(
            f"the images of {split} have the shape {images.shape}; they take (count, height, width, channels), with 1 "
            "channel for gray and 3 for RGB, or gray (count, height, width)."
        )
    return array_dtype(images, f"the images of {split}")


def _values(name: str, rows: np.ndarray, split: str, count: int) -> np.ndarray:
    """Return the rows of a further input: whole numbers and booleans as they are, floats and images as `Images`."""
    if rows.ndim == 0 or len(rows) != count:
        raise InputError(
            f"{split} has {count} images, but the input {name!r} has the shape {rows.shape}; give one row for each."
        )
    if rows.dtype.kind not in "biuf":
        raise InputError(f"the input {name!r} is {rows.dtype}; it takes numbers or booleans.")
    return array_dtype(rows, f"the rows of {name!r}") if rows.ndim == 4 or rows.dtype.kind == "f" else rows


def _further_input(rows: np.ndarray, name: str, pixel_range: PixelRanges | None) -> FurtherInput:
    if rows.ndim != 4:
        return FurtherInput(rows)
    images, image_format = _with_format(rows, name, pixel_range)
    return FurtherInput(images, image_format.pixel_range)


def _with_format(images: np.ndarray, name: str, pixel_range: PixelRanges | None) -> tuple[np.ndarray, PixelFormat]:
    stated = pixel_range.get(name) if isinstance(pixel_range, dict) else pixel_range
    what = f"the images of the input {name!r}" if name else "the images"
    return array_format(images, what, source=f"{SOURCE}, input {name!r}," if name else SOURCE, pixel_range=stated)
