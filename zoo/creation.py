"""From a name to a `keras.Model`."""

from collections.abc import Sequence
from operator import index
from pathlib import Path
from typing import Any

import keras

from ..layers import PixelNormalization
from .blueprint import Blueprint
from .cards import ModelCard
from .errors import InputError, first_line
from .heads import attach_heads, plan_heads
from .registry import model_card
from .saving import load_weights


def create_model(
    name: str,
    *,
    weights: str | Path | None = None,
    classes: int | dict[str, int] | None = None,
    labels: Sequence[str] | dict[str, Sequence[str]] | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    head: str | dict[str, str] | None = None,
    **overrides: Any,
) -> keras.Model:
    """Builds the model called `name`.

    It takes raw pixels, float32 in 0..255, shape `(batch, height, width, channels)`, and gives what its head says:
    a classifier probabilities of shape `(batch, classes)`.

    Args:
        name: A name from `list_models()`.
        weights: None for fresh ones, or a `.keras` or `.weights.h5` file of this very architecture.
        classes: Number of classes (of outputs, for a regression); by default as many as there are labels, else the
            card's.
        labels: Names of the classes in the order of the outputs; they travel with the model.
        input_shape: Height, width, channels; by default the card's. Height and width may be None if the card says so.
        head: What the model answers: `"classification"`, `"multi_label"`, `"regression"`, `"segmentation"`,
            `"embedding"`, or a dict of them by name for several outputs, whose `classes` and `labels` are dicts too. By
            default the card's task.
        **overrides: Arguments of the family's builder, such as `shortcut="projection"`; on a net that stands on another
            also `backbone="densenet121"` and `backbone_arguments={...}`. `dropout` is every model's: that before the
            head's last layer, and that between dense layers where there are some.

    Raises:
        InputError: Any of these cannot be; the message says what is allowed.
    """
    if keras.config.image_data_format() != "channels_last":
        raise InputError("Keras' image_data_format is 'channels_first'; the zoo's models take 'channels_last'.")
    card = _with_dropout(model_card(name), overrides)
    heads = plan_heads(card, head, classes, labels)
    blueprint = Blueprint(card, overrides)
    image = keras.Input(_checked_shape(card, input_shape), name="image")
    pixels = PixelNormalization(name="pixels")(image)
    try:
        features = blueprint.features(image, pixels)
    except InputError:
        raise
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        # An override of the right name and an impossible value, or an image that is too small for it.
        given = f"with {overrides} " if overrides else ""
        raise InputError(
            f"{card.name} cannot be built {given}on {tuple(image.shape[1:])}: {first_line(error)}"
        ) from error
    model = attach_heads(image, features, heads, name=blueprint.name)
    if weights is not None:
        load_weights(model, _checked_weights(card, weights))
    return model


def _with_dropout(card: ModelCard, overrides: dict[str, Any]) -> ModelCard:
    """The card with the head's dropout that was asked for."""
    dropout = overrides.get("dropout", card.dropout)
    if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise InputError(f"{card.name}: dropout is {dropout!r}; it takes 0 or more and less than 1.")
    return card.model_copy(update={"dropout": dropout})


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
            raise InputError(f"{card.name}: input_shape is {shape}, but it needs a fixed height and width.")
        if size is not None and size < card.smallest_input:
            least = card.smallest_input
            raise InputError(f"{card.name}: input_shape is {shape}, but the smallest height and width are {least}.")
    return shape


def _checked_weights(card: ModelCard, weights: str | Path) -> Path:
    path = Path(weights)
    if path.suffix in (".keras", ".h5"):
        return path
    raise InputError(f"{card.name}: weights is {str(weights)!r}; allowed are None and a .keras or .weights.h5 file.")
