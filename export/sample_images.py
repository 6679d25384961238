"""Images for the calibration and validation of an export, and values of further inputs."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..core.errors import InputError
from ..core.outputs import by_name, map_outputs
from ..tasks.registry import DEFAULT_TASK, get_task
from ..tasks.task import Task
from .artifact.metadata import ImagesRecord, InputForm, Metadata
from .artifact.tensors import RAW
from .large_arrays import Rows, RowView, select_rows
from .sample_sources import SEED, TargetForm, read_source

CALIBRATION_IMAGES = 200
MIN_CORRELATION = 0.1
"""Smallest correlation of neighboring pixels in real images."""


@dataclass(frozen=True)
class Samples:
    """Images with raw pixels 0..255, and labels if there are any; for models with several inputs or outputs by name."""

    images: Any
    """Rows `(count, height, width, channels)`, which may be memory-mapped; a dict of the rows of several inputs."""
    labels: Any
    """Targets in the form of the task, such as class indices `(count,)`, which may be memory-mapped; a dict for several
    outputs, in which some may be None."""
    source: str = "array"
    """Origin: the name of a dataset and its split, or `array`."""
    seed: int | None = None
    """Seed for subsampling; None where all images are used."""

    def __len__(self) -> int:
        """Number of images."""
        return len(next(iter(by_name(self.images).values())))

    @classmethod
    def from_source(
        cls,
        source: Any,
        what: str,
        shape: tuple[int | None, int | None, int],
        classes: int | None,
        most: int | None = None,
        task: str = DEFAULT_TASK,
        limits: tuple[float, float] = RAW,
    ) -> "Samples":
        """Validate images, a pair (images, labels), or a split of a dataset.

        The images of a split are read once, in batches, into a temporary file.

        Args:
            source: One of these. A split has `labels` and `images`, which has `take(indices)`.
            what: What error messages call it.
            shape: Height, width and channels of the images; None for an open size.
            classes: Number of classes, labels or values; None ignores labels.
            most: Largest number of images, subsampled with `SEED`, balanced over the classes where they are known.
            task: The task of the labels.
            limits: Lowest and highest value that the model expects; whole numbers are raw pixels and scaled to it.

        Raises:
            InputError: It is something else, is empty, or its images or labels are invalid.
        """
        image = InputForm.model_construct(shape=shape, pixel_range=limits)
        target = TargetForm(get_task(task), classes, is_used=classes is not None)
        return cls._read(source, what, {"": image}, {"": target}, most)

    @classmethod
    def for_model(
        cls, source: Any, what: str, metadata: Metadata, uses: Callable[[Task], bool], most: int | None = None
    ) -> "Samples":
        """Validate data for a model: as in `from_source`, or several inputs and targets by name.

        Args:
            source: Images or a split; for several inputs a dict by name, or a list in the order of the model; or a pair
                of these and the targets, which for several outputs are a dict or a list, too.
            what: What error messages call it.
            metadata: The metadata of the model.
            uses: Whether the targets of an output with a task are used.
            most: As in `from_source`.

        Raises:
            InputError: As in `from_source`, or names are wrong.
        """
        tasks = {name: (get_task(form.task), form) for name, form in by_name(metadata.output_forms).items()}
        outputs = {
            name: TargetForm(task, len(form.labels) if task.names_outputs else None, uses(task))
            for name, (task, form) in tasks.items()
        }
        return cls._read(source, what, metadata.input_forms, outputs, most)

    @classmethod
    def _read(
        cls,
        source: Any,
        what: str,
        inputs: dict[str, InputForm],
        outputs: dict[str, TargetForm],
        most: int | None,
    ) -> "Samples":
        values, targets, is_part = read_source(source, what, inputs, outputs, most)
        labels: Any = None if all(each is None for each in targets.values()) else targets.get("", targets)
        origin = getattr(source, "source", None) or "array"
        return cls(values.get("", values), labels, origin, SEED if is_part else None)

    def select(self, rows: np.ndarray) -> "Samples":
        """The images at these indices, and their labels."""
        labels = map_outputs(lambda each: None if each is None else select_rows(each, rows), self.labels)
        images = map_outputs(lambda each: select_rows(each, rows), self.images)
        return Samples(images, labels, self.source, self.seed)

    def values(self) -> Iterator[tuple[np.ndarray, ...]]:
        """The values of the inputs for each image, in the order of the model; images are float32."""
        for values in zip(*by_name(self.images).values(), strict=True):
            yield tuple(np.float32(each) if np.ndim(each) == 3 else np.asarray(each) for each in values)

    def batch(self, rows: slice) -> Any:
        """The values of the inputs at these rows."""
        return map_outputs(lambda each: each[rows], self.images)

    def as_rgb(self) -> "Samples":
        """The same grayscale images with three equal channels, without a copy."""
        images = self.images
        if isinstance(images, RowView):
            return replace(self, images=RowView(_as_rgb(images.array), images.rows))
        return replace(self, images=_as_rgb(images))

    def for_output(self, name: str) -> "Samples":
        """The same images with the labels of one of several outputs."""
        return replace(self, labels=None if self.labels is None else self.labels.get(name))

    def without(self, other: "Samples") -> "Samples":
        """The images that are not in `other`."""
        excluded = set(other._hashes())
        return self.select(np.array([row for row, each in enumerate(self._hashes()) if each not in excluded], int))

    def _hashes(self) -> Iterator[bytes]:
        return (hashlib.sha256(content).digest() for content in self._contents())

    def _contents(self) -> Iterator[bytes]:
        """The values of each image as float32, and those of the further inputs as they are."""
        return (b"".join(each.tobytes() for each in values) for values in self.values())

    def vary(self) -> bool:
        """Whether any two images differ."""
        return any(np.any(each != rows[0]) for rows in by_name(self.images).values() for each in rows)

    def check_not_noise(self, what: str) -> None:
        """Raise InputError where neighboring pixels are not correlated, of several images in none.

        In photographs and drawings they are, and layers respond to that: activation ranges on noise are not those of
        any image. Measured is the correlation of each pixel with those below and to the right, relative to the mean of
        its image: digits, photographs and textures have 0.3 or more, noise has 0.
        """
        photos = [rows for rows in by_name(self.images).values() if len(rows.shape) == 4 and rows.shape[1] > 1]
        if photos and all(map(_is_noise, photos)):  # signals, of one row, may be what looks like noise
            raise InputError(f"{what} is noise: neighboring pixels are not correlated; give real images.")

    @cached_property
    def sha256(self) -> str:
        """Hash of the pixels as float32."""
        digest = hashlib.sha256()
        for content in self._contents():
            digest.update(content)
        return digest.hexdigest()

    def record(self, **figures: Any) -> ImagesRecord:
        """Identity of the images for a manifest; `figures` are further fields."""
        return ImagesRecord(source=self.source, count=len(self), seed=self.seed, sha256=self.sha256, **figures)


def _as_rgb(images: np.ndarray) -> np.ndarray:
    return np.broadcast_to(images, (*images.shape[:3], 3))


def _is_noise(images: Rows) -> bool:
    variance, vertical, horizontal = [], [], []
    for image in images:
        pixels = np.float32(image)
        pixels = pixels - pixels.mean(axis=(0, 1))
        variance.append(np.mean(pixels**2))
        vertical.append(np.mean(pixels[1:] * pixels[:-1]))
        horizontal.append(np.mean(pixels[:, 1:] * pixels[:, :-1]))
    correlation = max(abs(np.mean(vertical)), abs(np.mean(horizontal)))
    return bool(np.mean(variance) > 0 and correlation < MIN_CORRELATION * np.mean(variance))


def evaluation_samples(source: Any, metadata: Metadata) -> Samples:
    """Validate evaluation images for a model; raises InputError where they cannot be used."""
    samples = Samples.for_model(source, "evaluation", metadata, lambda task: task.has_targets)
    if not samples.vary():
        raise InputError("evaluation has only one distinct image; outputs that do not vary prove nothing.")
    return samples


def calibration_samples(source: Any, evaluation: Samples | None, metadata: Metadata) -> Samples:
    """Subsample and validate calibration images for a model; raises InputError where they cannot be used."""
    samples = Samples.for_model(
        source, "calibration", metadata, lambda task: task.one_class_per_image, most=CALIBRATION_IMAGES
    )
    samples.check_not_noise("calibration")
    if evaluation is not None:
        samples = samples.without(evaluation)
        if not len(samples):
            raise InputError("all calibration images are evaluation images too; calibrate with training images.")
    tasks = [get_task(form.task) for form in by_name(metadata.output_forms).values()]
    if isinstance(samples.images, dict) or len(tasks) > 1:
        return samples
    return replace(samples, images=tasks[0].calibration_images(samples.images))


def random_samples(metadata: Metadata, count: int) -> Samples:
    """Return noise for measurements in which values do not matter: pixels, standard normal numbers, and zeros where an
    input takes whole numbers."""
    random = np.random.default_rng(0)

    def values(form: InputForm) -> np.ndarray:
        if form.pixel_range is not None:
            return random.integers(0, 256, (count, *form.shape))
        is_float = form.dtype.startswith("float")
        return random.standard_normal((count, *form.shape)) if is_float else np.zeros((count, *form.shape), form.dtype)

    return Samples(map_outputs(values, metadata.inputs or metadata.input_forms[""]), None)
