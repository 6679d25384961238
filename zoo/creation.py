"""Creation of models by name."""

from collections.abc import Mapping, Sequence
from operator import index
from pathlib import Path
from typing import Any

import keras

from ..core.errors import InputError, first_line
from ..layers import LogMelSpectrogram, PixelNormalization
from ..tasks.registry import get_task
from .cards import ModelCard
from .feature_builder import FeatureBuilder
from .heads import Plans, attach_heads, plan_heads
from .pixel_range import parse_range
from .pretrained.weight_loading import fill, load_pretrained
from .pretrained.weight_sources import Weights
from .registry import list_models, model_card
from .saving import load_weights, tensor_shapes

MEAN_IN_WEIGHTS = "layers/pixel_normalization/vars/0"
"""Name of the means of the normalization, one per channel, in a `.weights.h5` file."""
SIGNAL: dict[str, Any] = {"mean": 0.0, "scale": 1.0, "pixel_range": (-1.0, 1.0)}
"""Normalization of signals, such as sound, before it is adapted to data."""
DIMENSIONS = {1: ("signals", "length"), 2: ("images", "height and width"), 3: ("volumes", "depth, height and width")}
"""What has so many spatial dimensions, and what its size is."""
MAX_SCALE = 8
"""Largest scale of a head for pictures."""


def create_model(
    name: str,
    *,
    weights: str | Path | None = None,
    classes: int | dict[str, int] | None = None,
    labels: Sequence[str] | dict[str, Sequence[str]] | None = None,
    input_shape: tuple[int | None, ...] | None = None,
    head: str | dict[str, str] | None = None,
    embedding_size: int | dict[str, int] | None = None,
    spectrogram: Mapping[str, Any] | None = None,
    **overrides: Any,
) -> keras.Model:
    """Build the model `name`.

    The input is raw pixels, float32 in 0..255, shape `(batch, height, width, channels)`. The output depends on the
    head: a classifier outputs probabilities of shape `(batch, classes)`. With an `input_shape` of `(length, channels)`
    it is the same architecture in one dimension, for signals `(batch, length, channels)` in -1..1, such as sound;
    `training.adapt_normalization` lets it take those of any other range. With four numbers it takes volumes.

    Args:
        name: A name from `list_models()`.
        weights: None for random initialization; `"imagenet"` or another tag in the card's `pretrained` (for a model
            with a backbone also the backbone's tags); `"hf://owner/repository"` for timm weights on the Hugging Face
            Hub; or a file: `.keras`, `.weights.h5` or `.safetensors` of this architecture, Keras' legacy `.h5`, timm's
            or torchvision's `.safetensors` or `.pth`; `"TAG=PATH"` for a tag's file that was downloaded manually. (A
            `.weights.h5` does not record the architecture: pass the arguments that the model was created with.) Every
            tensor must match, except those of a head that differs from the requested one: that head is initialized
            randomly, which is logged.
        classes: Number of classes (for regression, of outputs); None for the number of labels, or else the card's.
        labels: Names of the classes in the order of the outputs; they are stored in the model.
        input_shape: Height, width, channels; None for the card's. Height and width may be None if the card allows it.
            Or length and channels of signals, or depth, height, width and channels of volumes, for the `dimensions` on
            the card.
        head: Task of the model: `"classification"`, `"multi_label"`, `"regression"`, `"segmentation"`,
            `"image_to_image"` or `"embedding"`; or a dict from names to tasks for several outputs, with dicts for
            `classes` and `labels` too. None for the card's task.
        embedding_size: Length of the vectors of an embedding, which then end in a dense layer and L2 normalization;
            None for the features themselves.
        spectrogram: Arguments of `layers.LogMelSpectrogram`, such as `{"sample_rate": 16000, "mels": 40}`: the net
            takes sound, `(length, 1)`, and sees its frames in time with a channel for each mel band.
        **overrides: Arguments of the family's builder, such as `shortcut="projection"`; for a model with a backbone
            also `backbone="densenet121"` and `backbone_arguments={...}`. Every model has `dropout`, the rate before the
            last layer of the head and between hidden dense layers. For `image_to_image` there are also `scale`, pixels
            of the picture for one of the image along each axis, and `value_range`, such as `(0, 1)`, of its values.

    Raises:
        InputError: A name, value or combination is not possible; the message says what is allowed.
    """
    if keras.config.image_data_format() != "channels_last":
        raise InputError("Keras' image_data_format is 'channels_first'; the zoo's models need 'channels_last'.")
    card = _with_head_arguments(model_card(name), overrides)
    if not isinstance(spectrogram, Mapping | None):
        raise InputError(
            f"{card.name}: spectrogram is {spectrogram!r}; it takes a dict of arguments of layers.LogMelSpectrogram."
        )
    if weights is None or str(weights).endswith(".weights.h5"):
        colors = None if weights is None else tensor_shapes(weights).get(MEAN_IN_WEIGHTS, (None,))[0]
        heads = plan_heads(card, head, classes, labels, embedding_size)
        model = _build(card, heads, FeatureBuilder(card, overrides), input_shape, colors, spectrogram)
        if weights is not None:
            load_weights(model, weights)
        return model
    cards = [card, model_card(overrides.get("backbone", card.backbone))] if card.backbone else [card]
    loaded = load_pretrained(cards, weights, _model_for)
    heads = _heads_for(card, loaded.source, head, classes, labels, embedding_size)
    builder = FeatureBuilder(card, _overrides_for(card, loaded.source, overrides))
    # With a different mean for each color, no one-channel kernel gives the same outputs.
    colors = None if loaded.normalizes_channels_equally else loaded.channels
    model = _build(card, heads, builder, input_shape, colors, spectrogram)
    of_backbone = builder.backbone is not None and loaded.source.card is not card
    trunk = (builder.backbone if builder.backbone and of_backbone else builder).trunk(model.inputs[0])
    fill(model, loaded, trunk=trunk)
    model.get_layer("pixels").origin = loaded.source.origin
    return model


def _model_for(weights: Weights) -> keras.Model:
    """Build the model that the weights were published for, with random initialization."""
    return create_model(weights.card.name, classes=weights.classes, **weights.arguments)


def _heads_for(
    card: ModelCard,
    weights: Weights,
    head: str | dict[str, str] | None,
    classes: int | dict[str, int] | None,
    labels: Sequence[str] | dict[str, Sequence[str]] | None,
    embedding_size: int | dict[str, int] | None,
) -> Plans:
    """Return the requested heads; whatever is not specified is that of the weights."""
    if weights.card is card and weights.task is not None and (head is None or head == weights.task):
        head = weights.task
        if not get_task(head).names_outputs:
            return plan_heads(card, head, classes, labels, embedding_size or weights.classes)
        if labels is None and classes in (None, weights.classes):
            classes, labels = weights.classes, weights.labels
    return plan_heads(card, head, classes, labels, embedding_size)


def _overrides_for(card: ModelCard, weights: Weights, overrides: dict[str, Any]) -> dict[str, Any]:
    """Return the overrides, with the arguments that the weights need."""
    if weights.card is card:
        return weights.arguments | overrides
    return overrides | {"backbone_arguments": weights.arguments | overrides.get("backbone_arguments", {})}


def _build(
    card: ModelCard,
    heads: Plans,
    builder: FeatureBuilder,
    input_shape: tuple[int | None, ...] | None,
    colors: int | None = None,
    spectrogram: Mapping[str, Any] | None = None,
) -> keras.Model:
    """Build a model; a grayscale one on an image that is repeated to so many `colors`, if they are not None."""
    shape = _checked_shape(card, input_shape)
    image = keras.Input(shape, name={2: "signal", 4: "volume"}.get(len(shape), "image"))
    is_repeated = image.shape[-1] == 1 and (colors or 1) > 1
    repeated = keras.layers.Concatenate(name="gray_to_colors")([image] * (colors or 1)) if is_repeated else image
    normalization: dict[str, Any] = SIGNAL if len(shape) == 2 else {}
    pixels = PixelNormalization(name="pixels", **normalization)(repeated)
    try:
        if spectrogram is not None:
            pixels = LogMelSpectrogram(**spectrogram, dimensions=len(shape) - 1, name="spectrogram")(pixels)
        features = builder.features(image, pixels)
    except InputError:
        raise
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        # An override with an invalid value, or an image that is too small for it.
        stated = builder.overrides | ({} if spectrogram is None else {"spectrogram": dict(spectrogram)})
        overrides = f"with {stated} " if stated else ""
        raise InputError(
            f"{card.name} cannot be built {overrides}on {tuple(image.shape[1:])}: {first_line(error)}"
        ) from error
    return attach_heads(image, features, heads, name=builder.name)


def _with_head_arguments(card: ModelCard, overrides: dict[str, Any]) -> ModelCard:
    """Return the card with the requested arguments of the head; the scale and range of pictures are no overrides."""
    dropout = overrides.get("dropout", card.dropout)
    if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise InputError(f"{card.name}: dropout is {dropout!r}; it must be at least 0 and below 1.")
    scale = overrides.pop("scale", card.scale)
    if not isinstance(scale, int) or isinstance(scale, bool) or not 1 <= scale <= MAX_SCALE:
        raise InputError(f"{card.name}: scale is {scale!r}; it takes a whole number from 1 to {MAX_SCALE}.")
    value_range = parse_range(overrides.pop("value_range", card.value_range), "value_range")
    return card.model_copy(update={"dropout": dropout, "scale": scale, "value_range": value_range})


def _checked_shape(card: ModelCard, shape: tuple[int | None, ...] | None) -> tuple[int | None, ...]:
    if shape is None:
        return card.input_shape
    try:
        shape = tuple(None if size is None else index(size) for size in shape)
    except TypeError:
        shape = (shape,)  # type: ignore[assignment]  # no sequence of integers: refused below
    if len(shape) - 1 not in DIMENSIONS or shape[-1] is None or shape[-1] < 1:
        expected = f"(height, width, channels), such as {card.input_shape}"
        if 1 in card.dimensions:
            expected += ", or of a signal (length, channels)"
        raise InputError(f"{card.name}: input_shape is {shape}; it must be {expected}.")
    of, sides = DIMENSIONS[len(shape) - 1]
    if len(shape) - 1 not in card.dimensions:
        families = sorted({each.family for each in map(model_card, list_models()) if len(shape) - 1 in each.dimensions})
        raise InputError(
            f"{card.name}: input_shape is {shape}, but it takes no {of}; the families that do are "
            f"{', '.join(families)}."
        )
    for size in shape[:-1]:
        if size is None and not card.variable_size:
            raise InputError(f"{card.name}: input_shape is {shape}, but it needs a fixed {sides}.")
        if size is not None and size < card.smallest_input:
            are = "is" if len(shape) == 2 else "are"
            raise InputError(
                f"{card.name}: input_shape is {shape}, but the minimum {sides} {are} {card.smallest_input}."
            )
    return shape
