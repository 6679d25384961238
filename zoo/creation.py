"""From a name to a `keras.Model`."""

import inspect
from collections.abc import Callable, Sequence
from importlib import import_module
from operator import index
from pathlib import Path
from typing import Any

import keras

from ..layers import ClassificationHead, PixelNormalization
from .cards import ModelCard
from .errors import InputError, first_line, unknown
from .registry import model_card
from .saving import load_weights

HEADS = ("classification",)


def create_model(
    name: str,
    *,
    weights: str | Path | None = None,
    classes: int | None = None,
    labels: Sequence[str] | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    head: str = "classification",
    **overrides: Any,
) -> keras.Model:
    """Builds the model called `name`.

    It takes raw pixels, float32 in 0..255, shape `(batch, height, width, channels)`, and gives probabilities of shape
    `(batch, classes)`.

    Args:
        name: A name from `list_models()`.
        weights: None for fresh ones, or a `.keras` or `.weights.h5` file of this very architecture.
        classes: Number of classes; by default as many as there are labels, else the card's.
        labels: Names of the classes in the order of the outputs; they travel with the model.
        input_shape: Height, width, channels; by default the card's. Height and width may be None if the card says so.
        head: What the model answers: `"classification"`.
        **overrides: Arguments of the family's builder, such as `shortcut="projection"`.

    Raises:
        InputError: Any of these cannot be; the message says what is allowed.
    """
    card = model_card(name)
    if head not in HEADS:
        raise unknown("head", head, HEADS)
    builder = _builder(card)
    arguments = card.arguments | _checked_overrides(card, builder, overrides)
    image = keras.Input(_checked_shape(card, input_shape), name="image")
    pixels = PixelNormalization(name="pixels")(image)
    try:
        features = builder(pixels, **arguments)
    except (TypeError, ValueError) as error:  # an override of the right name and an impossible value
        raise InputError(f"{card.name} cannot be built with {overrides}: {first_line(error)}") from error
    outputs = ClassificationHead(_checked_classes(card, classes, labels), labels=labels, name="head")(features)
    model = keras.Model(image, outputs, name=card.name)
    if weights is not None:
        load_weights(model, _checked_weights(card, weights))
    return model


def _builder(card: ModelCard) -> Callable[..., keras.KerasTensor]:
    module, function = card.builder.split(":")
    return getattr(import_module(f".{module}", __package__), function)


def _checked_overrides(card: ModelCard, builder: Callable, overrides: dict[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(builder).parameters.values()
    allowed = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    for key in overrides:
        if key not in allowed:
            raise unknown(f"argument of {card.name}", key, allowed)
    return overrides


def _checked_shape(card: ModelCard, shape: tuple[int | None, ...] | None) -> tuple[int | None, ...]:
    if shape is None:
        return card.input_shape
    try:
        shape = tuple(None if size is None else index(size) for size in shape)
    except TypeError:
        shape = (shape,)
    if len(shape) != 3 or shape[2] is None or shape[2] < 1:
        usual = f"(height, width, channels), such as {card.input_shape}"
        raise InputError(f"{card.name}: input_shape is {shape}; it takes {usual}.")
    for size in shape[:2]:
        if size is None and not card.variable_size:
            raise InputError(
                f"{card.name}: input_shape is {shape}, but its dense layers need a fixed height and width."
            )
        if size is not None and size < card.smallest_input:
            least = card.smallest_input
            raise InputError(f"{card.name}: input_shape is {shape}, but the smallest height and width are {least}.")
    return shape


def _checked_classes(card: ModelCard, classes: int | None, labels: Sequence[str] | None) -> int:
    if labels is not None and (
        not isinstance(labels, list | tuple)
        or not all(isinstance(label, str) and label.strip() and "\n" not in label for label in labels)
        or len(set(labels)) != len(labels)
    ):
        raise InputError(f"{card.name}: labels are {labels!r}; they are a list of different names of one line each.")
    if classes is None:
        classes = card.classes if labels is None else len(labels)
    try:
        classes = index(classes)
    except TypeError:
        raise InputError(f"{card.name}: classes is {classes!r}; it takes a whole number.") from None
    if classes < 1:
        raise InputError(f"{card.name}: classes is {classes}; it takes 1 or more.")
    if labels is not None and len(labels) != classes:
        raise InputError(f"{card.name}: {len(labels)} labels for {classes} classes; give one label for each class.")
    return classes


def _checked_weights(card: ModelCard, weights: str | Path) -> Path:
    path = Path(weights)
    if path.suffix in (".keras", ".h5"):
        return path
    raise InputError(f"{card.name}: weights is {str(weights)!r}; allowed are None and a .keras or .weights.h5 file.")
