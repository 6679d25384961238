"""The inputs of commands: datasets, recipes and models."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from ..core.documents import parse_yaml
from ..core.errors import InputError, shorten
from ..core.input_files import check_file
from ..core.limits import MODEL_BYTES
from ..core.visible_text import visible_line
from ..export.artifact.directories import graph_file, is_own_directory
from ..zoo.model_files import SAVED_MODEL, check_model_file
from ..zoo.registry import MODEL_SUFFIXES, list_models, model_card
from .model_contract import ModelContract
from .option_groups import DataReading, TrainingSetup
from .options import Layout
from .tensorflow_import import import_tensorflow

if TYPE_CHECKING:
    import keras

    from ..export import Artifact
    from ..training import ImageData, Recipe
    from ..training.compression.pipeline.spec import TrainedStage
    from ..zoo.cards import ModelCard

    R = TypeVar("R", bound=Recipe)
    ImageShape = tuple[int | None, ...]
    """Height, width and channels; None where the model accepts any."""


ARTIFACTS = (".tflite", ".onnx")
"""Suffixes of exported files."""


def load_images(
    source: str,
    shape: "ImageShape",
    reading: DataReading,
    pixel_range: Any = None,
) -> "ImageData":
    """Return a dataset with images of `shape` (height, width, channels).

    How a folder was read, and skipped files, are printed on standard error. `pixel_range` is that of the model; it
    applies to images of another range than 0..255 that lie within it.
    """
    from ..training import load_data
    from ..training.data.sources import takes_tensorflow
    from ..zoo.pixel_range import RAW

    if takes_tensorflow(source):
        import_tensorflow()
    data = load_data(
        source,
        **_size(source, shape, reading),
        on_unreadable="skip" if reading.skip_unreadable else "raise",
        layout=None if reading.layout is None else reading.layout.value,
        ignore=reading.ignore,
    )
    if data.interpretation:
        typer.echo(data.interpretation, err=True)
    if isinstance(pixel_range, tuple) and pixel_range != RAW and data.pixel_range not in (RAW, pixel_range):
        low, high = pixel_range
        if low <= data.pixel_range[0] and data.pixel_range[1] <= high:
            typer.echo(f"Pixels are taken as {low:g}..{high:g}, the range that the model states.", err=True)
            data = replace(data, pixel_range=pixel_range)
    for path in data.skipped:
        typer.echo(visible_line(f"Skipped, cannot be read: {path}"), err=True)
    if data.skipped:
        typer.echo(f"{len(data.skipped)} images skipped.", err=True)
    return data


def _size(source: str, shape: "ImageShape", reading: DataReading) -> dict[str, Any]:
    """Return the arguments of `load_data` on the size of images, or of signals for a model that takes these."""
    from ..training.data.signal_sources import has_signals

    *sides, channels = shape
    of_signals = {"length": reading.length, "sample_rate": reading.sample_rate}
    if not has_signals(source):
        if len(sides) == 1:
            raise InputError(f"the model takes signals, but {source} has images.")
        return {"image_size": None if None in sides else tuple(sides), "channels": channels} | of_signals
    if len(sides) == 1 or sides[0] == 1:  # a model for signals, or a file that takes them as images of one row
        return of_signals | {"length": reading.length or sides[-1], "channels": channels}
    return of_signals


def check_images(source: str, reading: DataReading) -> None:
    """Raise InputError where a dataset cannot be read, as far as that shows before an image is decoded.

    It is for commands that need TensorFlow before the dataset, to open a model that says how large its images are.
    """
    from ..training.data.sources import check_source

    check_source(source, layout=None if reading.layout is None else reading.layout.value, ignore=reading.ignore)


def load_training_images(
    source: str | None,
    recipe: "Recipe",
    shape: "ImageShape",
    reading: DataReading,
    image_size: int | None = None,
    pixel_range: Any = None,
) -> "ImageData":
    """Return the dataset that the command line or else the recipe names.

    Args:
        source: Value of `--data`.
        recipe: Its section `data` applies where the command line sets nothing.
        shape: Height, width and channels of the model's default input.
        reading: The options on how images are read.
        image_size: Value of `--image-size`, in pixels.
        pixel_range: Range of pixels that a trained model takes.
    """
    source, reading = training_source(source, recipe, reading)
    *sides, channels = shape
    size = image_size or recipe.data.image_size
    if size is not None:
        from ..training.data.signal_sources import has_signals

        if has_signals(source):
            raise InputError(f"the image size is {size}, but {source} has signals; --length sets theirs.")
        sides = [size, size] if isinstance(size, int) else list(size)
    return load_images(source, (*sides, channels), reading, pixel_range)


def training_source(source: str | None, recipe: "Recipe", reading: DataReading) -> tuple[str, DataReading]:
    """Return the dataset, and how it is read, that the command line or else the recipe names."""
    source = source or recipe.data.source
    if source is None:
        raise InputError("there is no data to train on; set --data, or data.source in the recipe.")
    if reading.layout is None and recipe.data.layout is not None:
        reading = replace(reading, layout=Layout(recipe.data.layout))
    if reading.ignore is None:
        reading = replace(reading, ignore=recipe.data.ignore)
    return source, reading


def read_recipe(file: Path | None, changes: list[str] | None, default: "R", allow_code: bool = False) -> "R":
    """Return the recipe of a file, or the default one, with the fields of `--set` changed."""
    from ..training.recipe.user_functions import import_functions

    fields: dict[str, Any] = {}
    for change in changes or []:
        _set_field(fields, change)
    recipe = type(default).load(file, allow_code=allow_code) if file else default
    return recipe.changed(**import_functions(fields) if allow_code else fields)


def _set_field(fields: dict[str, Any], change: str) -> None:
    """Add the value of one `--set` to `fields`: `epochs=5`, `optimizer=lion`, `optimizer.lr=0.1`."""
    path, equals, text = change.partition("=")
    if not equals:
        raise InputError(f"--set {shorten(change)!r} is not of the form field=value.")
    try:
        value = parse_yaml(text)
    except InputError as error:
        raise InputError(f"--set {shorten(change)!r}: {shorten(text)!r} is not a YAML value: {error}") from error
    *sections, field = path.split(".")
    for section in sections:
        if not isinstance(fields.get(section), dict):  # the section's name, set before this field
            fields[section] = {"name": fields[section]} if section in fields else {}
        fields = fields[section]
    fields[field] = value


def check_stage(section: "type[TrainedStage]", **values: Any) -> None:
    """Raise InputError where values of options are none that the section of a compression spec takes."""
    from pydantic import ValidationError

    from ..training.recipe.validation_errors import describe_errors

    try:
        section(**values)
    except ValidationError as error:
        raise InputError(describe_errors(error, section)) from error


def default_weights(card: "ModelCard") -> str:
    """Return the first tag of the card's pretrained weights."""
    if not card.pretrained:
        raise InputError(f"{card.name} has no published weights; set --weights to a file, or choose another model.")
    return next(iter(card.pretrained))


def is_model_path(text: str) -> bool:
    """Whether an argument is a model file, or the folder of a SavedModel, and not the name of a model."""
    path = Path(text)
    return path.suffix in MODEL_SUFFIXES or (path.is_dir() and (len(path.parts) > 1 or (path / SAVED_MODEL).exists()))


def is_artifact_path(text: str) -> bool:
    """Whether an argument is an exported file, or a directory that pocketzoo exported."""
    return Path(text).suffix in ARTIFACTS or is_own_directory(Path(text))


def check_model(model: str, weights: str | None = None, *, pretrained: bool = False) -> None:
    """Raise InputError where there is no such model, file or weights, before TensorFlow takes seconds to load.

    Args:
        model: Value of the argument: a name, or the path of a model or artifact.
        weights: Value of `--weights`.
        pretrained: As in `open_model`.
    """
    if weights is not None and (is_model_path(model) or is_artifact_path(model)):
        raise InputError(f"{model} has its own weights; --weights goes with a model by name.")
    if is_artifact_path(model):
        check_file(graph_file(Path(model)), MODEL_BYTES)
    elif is_model_path(model):
        check_model_file(model)
    elif Path(model).is_file() and model not in list_models():
        raise InputError(
            f"{model} is not a model: the name of a file must end in {', '.join(ARTIFACTS)} or .keras, or it is an .h5 "
            "file or a SavedModel folder."
        )
    else:
        from ..zoo.pretrained.weight_names import check_weights  # takes NumPy, which lists of names do without

        card = model_card(model)
        cards = [card, model_card(card.backbone)] if card.backbone else [card]
        if weights is not None:
            check_weights(cards, weights)
        elif pretrained:
            default_weights(card)


def open_model(name_or_path: str, weights: str | None = None, *, pretrained: bool = False) -> "keras.Model":
    """Return the model of a file or folder, or one by name.

    Args:
        name_or_path: Value of the argument.
        weights: Value of `--weights`.
        pretrained: Whether a model by name has its first published weights rather than random ones by default.
    """
    from .. import zoo

    if is_model_path(name_or_path):
        return zoo.load_model(name_or_path)
    if pretrained and weights is None:
        weights = default_weights(model_card(name_or_path))
    return zoo.create_model(name_or_path, weights=weights)


def pretrained_model(name: str, weights: str | None, input_shape: "ImageShape") -> "keras.Model":
    """Return a model by name with its first published weights, or those of `--weights`, for images of that shape."""
    from .. import zoo

    weights = default_weights(model_card(name)) if weights is None else weights
    return zoo.create_model(name, weights=weights, input_shape=input_shape)


def head_for(data: "ImageData", embedding: int | None) -> dict[str, Any]:
    """Return the arguments of a head for the task of `data`, or of an embedding of that length, by its classes."""
    if embedding is None:
        return {"head": data.task, "labels": data.labels}
    from ..tasks import get_task

    task = get_task("embedding")
    if isinstance(data.task, dict) or data.task not in (task.name, *task.trained_by):
        raise InputError(f"--embedding is trained by classes, but {data.source} has the task {data.task}.")
    return {"head": task.name, "embedding_size": embedding}


def spectrogram_of(mels: int | None, reading: DataReading) -> dict[str, Any] | None:
    """Return the arguments of a spectrogram of that number of bands; None without it."""
    if mels is not None and reading.sample_rate is None:
        raise InputError(f"--spectrogram is {mels}, but needs the rate of the sound too; set --sample-rate.")
    return None if mels is None else {"sample_rate": reading.sample_rate, "mels": mels}


def new_model(
    name: str,
    data: "ImageData",
    seed: int,
    embedding: int | None = None,
    spectrogram: dict[str, Any] | None = None,
) -> "keras.Model":
    """Return a model for the task and the image size of `data`, with random weights from `seed`.

    Args:
        name: Name of the model.
        data: The images.
        seed: Seed of the weights.
        embedding: Length of an embedding, in place of a classification.
        spectrogram: As in `zoo.create_model`.
    """
    import keras

    from .. import training, zoo
    from ..zoo.pixel_range import RAW

    keras.utils.set_random_seed(seed)
    model = zoo.create_model(name, **head_for(data, embedding), input_shape=data.image_shape, spectrogram=spectrogram)
    if data.pixel_range != RAW:
        training.adapt_normalization(model, data, seed=seed)
    return model


@dataclass(frozen=True)
class TrainingInputs:
    """What a command that trains an existing model starts with."""

    model: "keras.Model"
    data: "ImageData"
    recipe: "Recipe"
    file: Path
    contract: ModelContract

    def untrained(self) -> "keras.Model":
        """Return the model as it is in its file; functions that compress change `model` itself."""
        from .. import zoo

        original = zoo.load_model(self.file)
        self.contract.state(original, self.data)
        return original


def open_training_inputs(
    model: Path, setup: TrainingSetup, reading: DataReading, contract: ModelContract, default_recipe: "Recipe"
) -> TrainingInputs:
    """Open the model, the recipe and the dataset that a command's options name.

    TensorFlow is imported once everything that can be checked without it is.
    """
    check_model_file(model)
    contract.check()
    recipe = read_recipe(setup.recipe, setup.changes, default_recipe, setup.allow_code)
    check_images(*training_source(setup.data, recipe, reading))
    import_tensorflow()
    from ..zoo.signature import image_shape

    loaded = load_seeded(model, recipe.seed)
    shape, pixels = image_shape(loaded), stated_range(loaded)
    images = load_training_images(setup.data, recipe, shape, reading, pixel_range=pixels)
    contract.state(loaded, images)
    return TrainingInputs(loaded, images, recipe, model, contract)


def load_seeded(model: str | Path, seed: int) -> "keras.Model":
    """Load a model whose Dropout, which gets its random state here, is the same each time: to repeat or to resume."""
    import keras

    from .. import zoo

    keras.utils.set_random_seed(seed)
    return zoo.load_model(model)


def stated_range(model: "keras.Model | Artifact") -> Any:
    """Return the range of pixels that the normalization layer of a model, or the metadata of an artifact, states."""
    from ..layers import PixelNormalization

    if not hasattr(model, "layers"):
        return model.pixel_range
    return next((layer.pixel_range for layer in model.layers if isinstance(layer, PixelNormalization)), None)
