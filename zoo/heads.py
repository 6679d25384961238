"""Heads of a model by task: one or several, and new ones on a model that has some."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from operator import index
from typing import Any

import keras

from .. import layers
from ..core.arguments import check_arguments
from ..core.errors import InputError, unknown
from ..core.outputs import by_name
from ..layers import PixelNormalization
from ..layers.dimensions import spatial_dimensions
from ..tasks.registry import get_task, task_names
from ..tasks.task import HeadConfig, Task, Upsampling
from .backbone import Backbone, backbone_of, report_backbone
from .cards import ModelCard
from .contract import contract_of, state_contract
from .functional_form import functional_form
from .registry import card_of
from .signature import image_among
from .strides import measure_grids

Features = keras.KerasTensor | list[keras.KerasTensor]
"""What heads go on: a map, a vector, or the maps of a pyramid, the deepest first."""


@dataclass(frozen=True)
class HeadDefaults:
    """What a head gets by default; a model's card has the same fields."""

    name: str
    """Name of the model, for messages."""
    classes: int | None
    """Default number of classes."""
    task: str = "classification"
    dropout: float = 0.0
    score_map: bool = False
    scale: int = 1
    value_range: tuple[float, float] = (0.0, 255.0)
    joins_image: bool = False


@dataclass(frozen=True)
class HeadPlan:
    """Validated arguments of one head."""

    task: Task
    config: HeadConfig
    joins_image: bool = False
    """Whether the last channels of the features are the image."""

    def outputs(self, name: str, features: Features, image: keras.KerasTensor | None) -> keras.KerasTensor:
        """Return the outputs of a new head layer on the features of that image."""
        channels = image.shape[-1] if self.joins_image and image is not None else 0
        if isinstance(features, list) and not self.task.takes_maps:
            features = features[-1 if self.task.takes_map else 0]
        maps = features if isinstance(features, list) else [features]
        config = replace(self.config, image_channels=channels, maps=len(maps))
        return self.task.make_head(config, name, partial(upsampling_of, maps[0], image))(features)


Plans = HeadPlan | dict[str, HeadPlan]


def plan_heads(
    card: ModelCard | HeadDefaults,
    head: str | Mapping[str, str] | None,
    classes: int | Mapping[str, int] | None,
    labels: Sequence[str] | Mapping[str, Sequence[str]] | None,
    embedding_size: int | Mapping[str, int] | None = None,
) -> Plans:
    """Validates the arguments of `create_model` about heads.

    Raises:
        InputError: There is no such head, or its classes or labels are invalid.
    """
    if not isinstance(head, Mapping):
        if isinstance(classes, Mapping) or isinstance(labels, Mapping):
            raise InputError(f"{card.name}: classes or labels by name need a dict of heads; head is {head!r}.")
        if isinstance(embedding_size, Mapping):
            raise InputError(f"{card.name}: embedding_size by name needs a dict of heads; head is {head!r}.")
        return _plan(card, card.task if head is None else head, classes, labels, embedding_size)
    if not head:
        raise InputError(f"{card.name}: head is an empty dict; it takes one entry for each output.")
    counts, names = _by_head(card, head, "classes", classes), _by_head(card, head, "labels", labels)
    sizes = _by_head(card, head, "embedding_size", embedding_size)
    return {name: _plan(card, task, counts.get(name), names.get(name), sizes.get(name)) for name, task in head.items()}


def _by_head(card: ModelCard | HeadDefaults, head: Mapping[str, str], argument: str, values: Any) -> Mapping[str, Any]:
    """Return an argument by head, empty if it is None."""
    if values is not None and not isinstance(values, Mapping):
        raise InputError(f"{card.name}: {argument} is {values!r}; with several heads it is a dict by head.")
    for name in values or ():
        if name not in head:
            raise unknown(f"head in {argument} of {card.name}", name, head)
    return values or {}


def attach_heads(inputs: Any, features: Features, plans: Plans, *, name: str) -> keras.Model:
    """Return the model from `inputs` to the output of the layer `head`, or a dict of those of `head_<name>`."""
    image = image_among(keras.tree.flatten(inputs))
    if image is not None and len(image.shape) != 4:
        _check_of_signals(plans, name)
    try:
        with spatial_dimensions(2 if image is None else len(image.shape) - 2):
            if isinstance(plans, HeadPlan):
                return keras.Model(inputs, plans.outputs("head", features, image), name=name)
            outputs = {key: plan.outputs(f"head_{key}", features, image) for key, plan in plans.items()}
    except ValueError as error:
        raise InputError(f"{name}: {error}") from error
    return keras.Model(inputs, outputs, name=name)


def _check_of_signals(plans: Plans, name: str) -> None:
    for plan in by_name(plans).values():
        if not plan.task.of_signals:
            tasks = ", ".join(task for task in task_names() if get_task(task).of_signals)
            raise InputError(f"{name}: the task {plan.task.name} is of images; of signals and volumes are {tasks}.")


@check_arguments
def replace_head(
    model: keras.Model,
    head: str | Mapping[str, str],
    *,
    classes: int | Mapping[str, int] | None = None,
    labels: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    embedding_size: int | Mapping[str, int] | None = None,
    features: str | None = None,
) -> keras.Model:
    """Return the same backbone under a new head.

    The new model consists of `model`'s own layers: names, weights and frozen layers stay, and training one model trains
    the other's backbone.

    Args:
        model: Any model: from `create_model`, of the user's own, or loaded from a file.
        head: As in `create_model`.
        classes: As in `create_model`; by default the old head's, if there is one old and one new head.
        labels: As in `create_model`; by default the old head's, if there is one old and one new head and `classes` is
            not given.
        embedding_size: As in `create_model`.
        features: Name of the layer whose output goes into the new head. By default the input of the old head; of a
            model without a head of the zoo, the input of the last layer with weights, or the output if that layer makes
            no predictions, which is printed on standard error.

    Raises:
        InputError: There is no such layer, the features suit no head, or the new head is invalid.
    """
    form = functional_form(model)
    old = [layer for layer in form.layers if isinstance(layer, layers.Head)]
    heads = list(head.values()) if isinstance(head, Mapping) else [head]
    needs_map = any(name in task_names() and get_task(name).takes_map for name in heads)
    backbone = backbone_of(form, features, maps=needs_map)
    inputs, tensor = backbone.graph.model.input, backbone.features
    if old and features is None:
        inputs, tensor = form.inputs[0] if len(form.inputs) == 1 else form.input, old[0].input
    elif features is None:
        report_backbone(model, backbone)
    if classes is None and labels is None and isinstance(head, str) and len(old) == 1 and _names_outputs(head):
        classes, labels = getattr(old[0], "classes", None), old[0].labels
    plans = plan_heads(_defaults(model, backbone), head, classes, labels, embedding_size)
    replaced = attach_heads(inputs, tensor, plans, name=model.name)
    pixels = contract_of(form).pixels
    if pixels != contract_of(replaced).pixels:
        state_contract(replaced, pixels=pixels, report=False)
    return replaced


def _defaults(model: keras.Model, backbone: Backbone) -> ModelCard | HeadDefaults:
    """Return the card of a model of the zoo; for any other, defaults from its output."""
    if any(isinstance(node.operation, PixelNormalization) for node in backbone.graph.nodes):
        with suppress(InputError):
            return card_of(model.name)
    (output, *_) = backbone.graph.outputs
    return HeadDefaults(model.name, output.shape[-1] if output is not backbone.features else None)


def _names_outputs(head: str) -> bool:
    return head in task_names() and get_task(head).names_outputs


def _plan(
    card: ModelCard | HeadDefaults,
    name: str,
    classes: int | None,
    labels: Sequence[str] | None,
    embedding_size: int | None,
) -> HeadPlan:
    heads = [task for task in task_names() if get_task(task).has_head and not get_task(task).made_by]
    if isinstance(name, str) and name in task_names() and get_task(name).made_by:
        raise InputError(
            f"{card.name}: no head is put on by name for {name!r}; {get_task(name).made_by} makes the model."
        )
    if not isinstance(name, str) or name not in heads:
        raise unknown("head", name, heads)
    task = get_task(name)
    if embedding_size is not None and (task.names_outputs or not isinstance(embedding_size, int) or embedding_size < 1):
        allowed = "takes 1 or more" if not task.names_outputs else f"is for the head 'embedding', not {name!r}"
        raise InputError(f"{card.name}: embedding_size is {embedding_size!r}; it {allowed}.")
    if not task.names_outputs:
        if classes is not None or labels is not None:
            raise InputError(f"{card.name}: an {name} has no classes and no labels; leave them out.")
        return HeadPlan(task, HeadConfig(embedding_size or 0))
    count = _validated_classes(card, classes, labels)
    if count < (task.min_outputs or 1):
        raise InputError(f"{card.name}: classes is {count}, and {task.too_few_outputs}.")
    labels = None if labels is None else tuple(labels)
    options = {name: getattr(card, name) for name in ("dropout", "score_map", "scale", "value_range")}
    return HeadPlan(task, HeadConfig(count, labels, **options), card.joins_image)


def _validated_classes(card: ModelCard | HeadDefaults, classes: int | None, labels: Sequence[str] | None) -> int:
    if labels is not None and (
        not isinstance(labels, list | tuple)
        or not all(isinstance(label, str) and label.strip() and "\n" not in label for label in labels)
        or len(set(labels)) != len(labels)
    ):
        raise InputError(f"{card.name}: labels are {labels!r}; they are a list of different names of one line each.")
    if classes is None:
        classes = card.classes if labels is None else len(labels)
    try:
        classes = index(classes)  # type: ignore[arg-type]  # None is refused, too
    except TypeError:
        raise InputError(f"{card.name}: classes is {classes!r}; it takes a whole number.") from None
    if classes < 1:
        raise InputError(f"{card.name}: classes is {classes}; it takes 1 or more.")
    if labels is not None and len(labels) != classes:
        raise InputError(f"{card.name}: {len(labels)} labels for {classes} classes; give one label for each class.")
    return classes


def upsampling_of(features: keras.KerasTensor, image: keras.KerasTensor | None) -> Upsampling:
    """Return the factor by which to upsample a map so that it covers the image, and the rows and columns to crop."""
    if image is None or len(features.shape) != len(image.shape):
        return 1, (0, 0)  # the head itself refuses a vector
    try:
        stride, covers = measure_grids(image, {"features": features})["features"]
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(
            "its features are no map of the whole image that grows with it, so a head for every pixel has nothing to "
            "enlarge; name a layer before, with features=."
        ) from error
    if None in features.shape[1:-1]:
        if stride > 1 and not covers:
            raise ValueError("its convolutions are not padded: for segmentation give a fixed height and width.")
        return stride, (0, 0)
    sizes = list(zip(features.shape[1:-1], image.shape[1:-1], strict=True))
    if stride > 1:  # convolutions without padding have cropped the border: the map is stretched over it
        stride = max(stride, *(math.ceil(side / map_side) for map_side, side in sizes))
    return stride, tuple(max(map_side * stride - side, 0) for map_side, side in sizes)
