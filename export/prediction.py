"""Predictions of an artifact or a model for images. Imports no TensorFlow, except for Keras models."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.arguments import check_arguments
from ..core.errors import InputError
from ..core.outputs import by_name, map_outputs
from ..core.short_repr import ShortRepr
from ..tasks.registry import DEFAULT_TASK, get_task
from ..zoo.signal_files import SUFFIXES, read_signal
from .artifact.artifact import Artifact
from .artifact.metadata import OutputForm
from .artifact.tensors import matches_shape, values_by_name
from .loading import to_artifact
from .picture_tiles import run_in_tiles
from .pixel_values import check_pixels
from .sample_sources import likely_ranges
from .signals import as_rows_of

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Prediction(ShortRepr):
    """Outputs for a number of images."""

    probabilities: np.ndarray
    """Float32 `(count, classes)`, also of a model that outputs logits; for other tasks than classification, outputs.
    Raw outputs of another tool's file have any shape and type; where the shape differs from image to image, they are an
    array of arrays."""
    labels: tuple[str, ...]
    """Names of the classes or other outputs."""
    task: str = DEFAULT_TASK
    """Name of the task."""

    def rows(self, top: int | None = None) -> list[list[tuple[str, float]]]:
        """What to show for each image, each row as (label, figure), in the order of the task.

        Args:
            top: Number of rows, where they have an order by importance; None for all.

        Raises:
            InputError: Outputs of the task are not shown as rows.
        """
        task = get_task(self.task)
        if task.figure_name is None:
            raise InputError(f"{self.task} outputs have no labels to show; read `probabilities` instead.")
        return [task.predictions(output, self.labels, top) for output in self.probabilities]

    def places(self, top: int | None = None) -> list[list[dict[str, float]]]:
        """Where in each image the `rows` are, as shares of width and height; empty where they are of the whole image.

        Args:
            top: As of `rows`.
        """
        task = get_task(self.task)
        return [task.places(output, self.labels, top) for output in self.probabilities]

    def top(self, k: int = 5) -> list[list[tuple[str, float]]]:
        """The `k` most probable classes of each image, the most probable first, each as (label, probability).

        Raises:
            InputError: The outputs are not probabilities of classes of the image.
        """
        self._check_figure("probability", "not classes of an image; read `probabilities` instead")
        return self.rows(k)

    @property
    def masks(self) -> np.ndarray:
        """The most probable class of each pixel, `(count, height, width)`.

        Raises:
            InputError: The outputs are not maps of classes.
        """
        masks = get_task(self.task).mask(self.probabilities)
        if masks is None:
            raise InputError(f"the outputs of {get_task(self.task).titled} are not masks.")
        return masks

    def shares(self) -> list[list[tuple[str, float]]]:
        """The classes in each mask, the largest first, each as (label, share of the pixels).

        Raises:
            InputError: The outputs are not maps of classes.
        """
        self._check_figure("share", "not masks")
        return self.rows()

    def values(self) -> list[list[tuple[str, float]]]:
        """All values of each image, each as (name, value).

        Raises:
            InputError: The outputs are not values.
        """
        self._check_figure("value", "not values")
        return self.rows()

    def _check_figure(self, figure: str, otherwise: str) -> None:
        if get_task(self.task).figure_name != figure:
            raise InputError(f"the outputs of {get_task(self.task).titled} are {otherwise}.")


@check_arguments
def predict(
    artifact_or_model: "Artifact | keras.Model",
    images: Any,
    *,
    task: str | Mapping[str, str] | None = None,
    labels: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    pixels: str | Sequence[float] | Mapping[str, str | Sequence[float]] | None = None,
    from_logits: bool | Mapping[str, bool] | None = None,
) -> Prediction | dict[str, Prediction]:
    """Run an artifact from `load_artifact`, or a Keras model, on images.

    Args:
        artifact_or_model: The artifact or model.
        images: `(count, height, width, channels)` or one image `(height, width, channels)`: whole numbers are raw
            pixels 0..255, floats are values in the range that the model expects, for models of the zoo 0..255, too. For
            several inputs a dict of arrays by name, or a list in the order of the model, all with or all without
            `count`. Signals are `(count, length, channels)` or `(length, channels)`. For a single image input also a
            path (as in `zoo.read_image`), an image of Pillow, or a list of these, which are resized to the input; where
            the output is a picture, they keep their size, and run in tiles that overlap if the input has another one.
        task: As in `export_model`, of a Keras model or another tool's file; an exported artifact has it in its file.
        labels: As `task`.
        pixels: As `task`.
        from_logits: As `task`.

    Returns:
        The prediction of the only output, or a dict of those of several outputs by name.

    Raises:
        InputError: The size of the images does not match the input, or there are none; or an output is not finite.
    """
    files = _files(images)
    statements: dict[str, Any] = {"task": task, "labels": labels, "pixels": pixels, "from_logits": from_logits}
    if isinstance(artifact_or_model, Artifact):
        artifact_or_model = artifact_or_model.state(**statements)
    else:
        from ..zoo.contract import copy_contract, state_contract
        from ..zoo.model_arguments import functional_argument
        from ..zoo.signature import input_keys

        model, artifact_or_model = artifact_or_model, functional_argument(artifact_or_model)
        likely = None if files else likely_ranges({"images": images}, input_keys(artifact_or_model))
        state_contract(artifact_or_model, **statements, likely_range=likely)
        copy_contract(artifact_or_model, model)
    artifact = to_artifact(artifact_or_model)
    forms = artifact.output_forms
    if (
        files
        and isinstance(forms, OutputForm)
        and get_task(forms.task).has_colors
        and None not in artifact.input.value_shape
    ):
        pictures = _read(artifact, files, keep_size=True)
        artifact.report_contract()
        outputs = _stacked([_made_in_tiles(artifact, picture) for picture in pictures], artifact)
    else:
        images = _stacked(_read(artifact, files), artifact) if files else images
        artifact.report_contract()
        outputs = artifact.decode(artifact.run(_checked(artifact, images)))
    if forms is None:
        forms = map_outputs(lambda values: OutputForm(labels=tuple(map(str, range(values.shape[-1])))), outputs)
    predictions = map_outputs(lambda values, form: Prediction(values, form.labels, form.task), outputs, forms)
    for name, prediction in by_name(predictions).items():
        _check_finite(prediction, f"{artifact.path}, output {name!r}" if name else str(artifact.path))
    return predictions


def _check_finite(prediction: Prediction, what: str) -> None:
    """Raise InputError where an output is NaN, or infinite although it is a probability or a value."""
    values = prediction.probabilities
    if values.dtype.kind != "f" or get_task(prediction.task).output_rank is None:
        return
    is_wrong = np.isnan(values) if get_task(prediction.task).figure_name is None else ~np.isfinite(values)
    if is_wrong.any():
        raise InputError(
            f"{what}: the model outputs {values[is_wrong][0]}, which is not a finite number; its weights have such "
            "values or are too large."
        )


def _files(images: Any) -> list[Any]:
    """Return paths and images of Pillow as a list; an empty one if `images` are something else."""
    several = images if isinstance(images, list | tuple) else [images]
    are_files = all(isinstance(image, str | os.PathLike) or hasattr(image, "getexif") for image in several)
    return list(several) if are_files else []


def _read(artifact: Artifact, files: Sequence[Any], *, keep_size: bool = False) -> list[np.ndarray]:
    """Read image files for the only input of an artifact, in its size unless they are to keep theirs.

    Raises:
        InputError: It has several inputs, or one that takes no images; or a file cannot be read.
    """
    from ..zoo.image_files import read_pixels

    if list(artifact.inputs) != [""]:
        raise InputError(f"images is {files[0]!r}, but {artifact.path} has several inputs; give arrays by name.")
    artifact.check_takes_images()
    height, width, channels = artifact.input.image_shape
    if height == 1:
        return [_read_signal(each, width, channels, artifact.path) for each in files]
    height, width = (None, None) if keep_size else (height, width)
    limits = artifact.pixel_range
    return [read_pixels(each, height=height, width=width, channels=channels, pixel_range=limits) for each in files]


def _read_signal(file: Any, length: int | None, channels: int, model: Path) -> np.ndarray:
    path = Path(file) if isinstance(file, str | os.PathLike) else None
    if path is None or path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{file} is an image, but {model} takes signals; give a {', '.join(SUFFIXES)} file.")
    samples, _ = read_signal(path)
    if not matches_shape(samples.shape, (length, channels)):
        raise InputError(f"{path} has {samples.shape} samples and channels; the model takes ({length}, {channels}).")
    return samples[np.newaxis]


def _stacked(images: list[np.ndarray], artifact: Artifact) -> np.ndarray:
    if len({image.shape for image in images}) > 1:
        raise InputError(f"images have several sizes, and {artifact.path} takes any; give one at a time.")
    return np.stack(images)


def _made_in_tiles(artifact: Artifact, picture: np.ndarray) -> np.ndarray:
    """Return the picture that an artifact of a fixed size makes of one of another size."""
    height, width, _ = artifact.input.image_shape
    return run_in_tiles(picture, height, width, lambda tile: artifact.run(_checked(artifact, tile))[0])


def _checked(artifact: Artifact, images: Any) -> Any:
    """Return the values of each input with a batch axis; raises InputError where they do not fit."""
    tensors, ranges = artifact.inputs, artifact.pixel_ranges
    artifact.check_runs_one_by_one()
    named = {"": images} if list(tensors) == [""] else values_by_name(images, list(tensors), "images")
    arrays = {name: _as_array(values) for name, values in named.items()}
    arrays = {name: as_rows_of(tensors[name], values) for name, values in arrays.items()}
    if all(values.ndim == len(tensors[name].value_shape) for name, values in arrays.items()):
        arrays = {name: values[None] for name, values in arrays.items()}
    for name, values in arrays.items():
        what, shape, limits = f"{name!r} in images" if name else "images", tensors[name].value_shape, ranges[name]
        if not values.ndim or not len(values) or not matches_shape(values.shape[1:], shape):
            raise InputError(
                f"{what} of shape {values.shape}; {artifact.path} takes (count, {', '.join(map(str, shape))})."
            )
        if limits is not None:
            check_pixels(values, what, limits)
        elif not tensors[name].is_number:
            if values.dtype.kind not in "USO":
                raise InputError(f"{what} has type {values.dtype}; {artifact.path} takes texts.")
        elif tensors[name].is_whole and values.dtype.kind not in "uib":
            raise InputError(f"{what} has type {values.dtype}; {artifact.path} takes whole numbers.")
        elif values.dtype.kind not in "uibf":
            raise InputError(f"{what} has type {values.dtype}; {artifact.path} takes numbers.")
        elif tensors[name].is_image and values.dtype.kind != "f":
            artifact.check_pixels_known()
    return arrays.get("", arrays)


def _as_array(values: Any) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError as error:  # a list of images of several sizes
        raise InputError("images have several shapes; give them one size.") from error
