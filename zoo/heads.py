"""Heads of a model by task: one or several, and new ones on a model that has some."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import index
from typing import Any

import keras

from .. import layers
from ..core.arguments import check_arguments
from ..core.errors import InputError, unknown
from ..tasks.registry import get_task, task_names
from ..tasks.task import HeadConfig, Task, Upsampling
from .cards import ModelCard
from .registry import card_of
from .strides import measure_grids


@dataclass(frozen=True)
class HeadPlan:
    """Validated arguments of one head."""

    task: Task
    config: HeadConfig

    def layer(self, name: str, features: keras.KerasTensor, image: keras.KerasTensor) -> layers.Head:
        """Return the head layer for the features of that image, a map or a vector."""
        return self.task.make_head(self.config, name, partial(_upsampling, features, image))


Plans = HeadPlan | dict[str, HeadPlan]


def plan_heads(
    card: ModelCard,
    head: str | Mapping[str, str] | None,
    classes: int | Mapping[str, int] | None,
    labels: Sequence[str] | Mapping[str, Sequence[str]] | None,
) -> Plans:
    """Validates the arguments of `create_model` about heads.

    Raises:
        InputError: There is no such head, or its classes or labels are invalid.
    """
    if not isinstance(head, Mapping):
        if isinstance(classes, Mapping) or isinstance(labels, Mapping):
            raise InputError(f"{card.name}: classes or labels by name need a dict of heads; head is {head!r}.")
        return _plan(card, card.task if head is None else head, classes, labels)
    if not head:
        raise InputError(f"{card.name}: head is an empty dict; it takes one entry for each output.")
    counts, names = _by_head(card, head, "classes", classes), _by_head(card, head, "labels", labels)
    return {name: _plan(card, task, counts.get(name), names.get(name)) for name, task in head.items()}


def _by_head(card: ModelCard, head: Mapping[str, str], argument: str, values: Any) -> Mapping[str, Any]:
    """Return an argument by head, empty if it is None."""
    if values is not None and not isinstance(values, Mapping):
        raise InputError(f"{card.name}: {argument} is {values!r}; with several heads it is a dict by head.")
    for name in values or ():
        if name not in head:
            raise unknown(f"head in {argument} of {card.name}", name, head)
    return values or {}


def attach_heads(image: keras.KerasTensor, features: keras.KerasTensor, plans: Plans, *, name: str) -> keras.Model:
    """Return the model from `image` to the output of the layer `head`, or a dict of those of `head_<name>`."""
    try:
        if isinstance(plans, HeadPlan):
            return keras.Model(image, plans.layer("head", features, image)(features), name=name)
        outputs = {key: plan.layer(f"head_{key}", features, image)(features) for key, plan in plans.items()}
    except ValueError as error:
        raise InputError(f"{name}: {error}") from error
    return keras.Model(image, outputs, name=name)


@check_arguments
def replace_head(
    model: keras.Model,
    head: str | Mapping[str, str],
    *,
    classes: int | Mapping[str, int] | None = None,
    labels: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
) -> keras.Model:
    """Return the same backbone under a new head.

    The new model consists of `model`'s own layers: names, weights and frozen layers stay, and training one model trains
    the other's backbone.

    Args:
        model: A model from `create_model`, or one that was saved and loaded since.
        head: As in `create_model`.
        classes: As in `create_model`; by default the old head's, if there is one old and one new head.
        labels: As in `create_model`; by default the old head's, if there is one old and one new head and `classes` is
            not given.

    Raises:
        InputError: The model has no head of the zoo, or the new head is invalid.
    """
    old = [layer for layer in model.layers if isinstance(layer, layers.Head)]
    if not old:
        raise InputError(f"{model.name} has no head of the zoo that could be replaced.")
    if classes is None and labels is None and isinstance(head, str) and len(old) == 1 and _names_outputs(head):
        classes, labels = getattr(old[0], "classes", None), old[0].labels
    plans = plan_heads(card_of(model.name), head, classes, labels)
    return attach_heads(model.inputs[0], old[0].input, plans, name=model.name)


def _names_outputs(head: str) -> bool:
    return head in task_names() and get_task(head).min_outputs is not None


def _plan(card: ModelCard, name: str, classes: int | None, labels: Sequence[str] | None) -> HeadPlan:
    heads = [task for task in task_names() if get_task(task).has_head]
    if not isinstance(name, str) or name not in heads:
        raise unknown("head", name, heads)
    task = get_task(name)
    if task.min_outputs is None:
        if classes is not None or labels is not None:
            raise InputError(f"{card.name}: an {name} has no classes and no labels; leave them out.")
        return HeadPlan(task, HeadConfig(0))
    count = _validated_classes(card, classes, labels)
    if count < task.min_outputs:
        raise InputError(f"{card.name}: classes is {count}, and {task.too_few_outputs}.")
    labels = None if labels is None else tuple(labels)
    return HeadPlan(task, HeadConfig(count, labels, dropout=card.dropout, score_map=card.score_map))


def _validated_classes(card: ModelCard, classes: int | None, labels: Sequence[str] | None) -> int:
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


def _upsampling(features: keras.KerasTensor, image: keras.KerasTensor) -> Upsampling:
    """Return the factor by which to upsample a map so that it covers the image, and the rows and columns to crop."""
    if len(features.shape) != 4:
        return 1, (0, 0)  # the head itself refuses a vector
    stride, covers = measure_grids(image, {"features": features})["features"]
    if None in features.shape[1:3]:
        if stride > 1 and not covers:
            raise ValueError("its convolutions are not padded: for segmentation give a fixed height and width.")
        return stride, (0, 0)
    sizes = list(zip(features.shape[1:3], image.shape[1:3], strict=True))
    if stride > 1:  # convolutions without padding have cropped the border: the map is stretched over it
        stride = max(stride, *(math.ceil(side / map_side) for map_side, side in sizes))
    return stride, tuple(max(map_side * stride - side, 0) for map_side, side in sizes)
