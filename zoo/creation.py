"""From a name to a `keras.Model`."""

from collections.abc import Sequence
from operator import index
from pathlib import Path
from typing import Any

import keras

from ..core.errors import InputError, first_line
from ..layers import PixelNormalization
from .cards import ModelCard
from .feature_builder import FeatureBuilder
from .heads import Plans, attach_heads, plan_heads
from .pretrained.weight_loading import Loaded, fill, load_pretrained
from .pretrained.weight_sources import Weights
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
        weights: None for fresh ones; `"imagenet"` or another tag of the card's `pretrained` (a net on a backbone also
            takes the backbone's); `"hf://owner/repository"` for weights of timm's on the hub; or a file: `.keras`,
            `.weights.h5` or `.safetensors` of this architecture, Keras' old `.h5`, timm's or torchvision's
            `.safetensors` or `.pth`; `"TAG=PATH"` is a tag's file that was downloaded by hand. (A `.weights.h5` does
            not say how its net was built: give the arguments that it was made with.) Every tensor must find its place,
            but for the head where another is asked for: it then stays fresh, and the log says so.
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
    if weights is None or str(weights).endswith(".weights.h5"):
        model = _build(card, plan_heads(card, head, classes, labels), FeatureBuilder(card, overrides), input_shape)
        if weights is not None:
            load_weights(model, weights)
        return model
    cards = [card, model_card(overrides.get("backbone", card.backbone))] if card.backbone else [card]
    loaded = load_pretrained(cards, weights, _net_of)
    heads = _heads_for(card, loaded.source, head, classes, labels)
    builder = FeatureBuilder(card, _overrides_for(card, loaded.source, overrides))
    model = _build(card, heads, builder, input_shape, loaded)
    of_backbone = loaded.source.card is not card
    trunk = (builder.backbone if of_backbone else builder).trunk(model.inputs[0])
    fill(model, loaded, trunk=trunk)
    return model


def _net_of(weights: Weights) -> keras.Model:
    """The very net that weights are of, fresh."""
    return create_model(weights.card.name, classes=weights.classes, **weights.arguments)


def _heads_for(
    card: ModelCard,
    weights: Weights,
    head: str | dict[str, str] | None,
    classes: int | dict[str, int] | None,
    labels: Sequence[str] | dict[str, Sequence[str]] | None,
) -> Plans:
    """The heads that were asked for; that of the weights as far as nothing was."""
    if weights.card is card and weights.task is not None and (head is None or head == weights.task):
        head = weights.task
        if labels is None and classes in (None, weights.classes):
            classes, labels = weights.classes, weights.labels
    return plan_heads(card, head, classes, labels)


def _overrides_for(card: ModelCard, weights: Weights, overrides: dict[str, Any]) -> dict[str, Any]:
    """The overrides, and the arguments without which the weights would answer otherwise."""
    if weights.card is card:
        return weights.arguments | overrides
    return overrides | {"backbone_arguments": weights.arguments | overrides.get("backbone_arguments", {})}


def _build(
    card: ModelCard,
    heads: Plans,
    builder: FeatureBuilder,
    input_shape: tuple[int | None, int | None, int] | None,
    loaded: Loaded | None = None,
) -> keras.Model:
    image = keras.Input(_checked_shape(card, input_shape), name="image")
    channels = image.shape[-1]
    colours = image
    if loaded and channels == 1 and loaded.channels > 1 and not loaded.treats_channels_alike:
        # No one-channel kernel answers as the net does where it subtracts another mean from each colour.
        colours = keras.layers.Concatenate(name="grey_to_colours")([image] * loaded.channels)
    pixels = PixelNormalization(name="pixels")(colours)
    try:
        features = builder.features(image, pixels)
    except InputError:
        raise
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        # An override of the right name and an impossible value, or an image that is too small for it.
        given = f"with {builder.overrides} " if builder.overrides else ""
        raise InputError(
            f"{card.name} cannot be built {given}on {tuple(image.shape[1:])}: {first_line(error)}"
        ) from error
    return attach_heads(image, features, heads, name=builder.name)


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
