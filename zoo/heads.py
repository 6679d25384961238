"""What a model answers: heads by name, one or several, and another one on a model that has some."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import index
from typing import Any

import keras

from .. import layers
from ..core.errors import InputError, unknown
from .cards import ModelCard
from .registry import card_of
from .strides import measure_grids

HEADS = ("classification", "multi_label", "regression", "segmentation", "embedding")


@dataclass(frozen=True)
class HeadPlan:
    """One head that was asked for, checked."""

    kind: str
    classes: int | None
    """None for an embedding."""
    labels: tuple[str, ...] | None
    vector_arguments: dict[str, Any] = field(default_factory=dict)
    """Of the heads with one vector an image."""

    def layer(self, name: str, features: keras.KerasTensor, image: keras.KerasTensor) -> layers.Head:
        """The head as a layer for these features, a map or a vector, of that image."""
        if self.kind == "embedding":
            return layers.EmbeddingHead(name=name)
        if self.kind == "segmentation":
            strides, crop = _enlargement(features, image)
            return layers.SegmentationHead(self.classes, labels=self.labels, strides=strides, crop=crop, name=name)
        kinds = {
            "classification": layers.ClassificationHead,
            "multi_label": layers.MultiLabelHead,
            "regression": layers.RegressionHead,
        }
        return kinds[self.kind](self.classes, labels=self.labels, name=name, **self.vector_arguments)


Plans = HeadPlan | dict[str, HeadPlan]


def plan_heads(
    card: ModelCard,
    head: str | Mapping[str, str] | None,
    classes: int | Mapping[str, int] | None,
    labels: Sequence[str] | Mapping[str, Sequence[str]] | None,
) -> Plans:
    """Checks what was asked for, as `create_model` takes it.

    Raises:
        InputError: There is no such head, or its classes or labels cannot be.
    """
    if not isinstance(head, Mapping):
        if isinstance(classes, Mapping) or isinstance(labels, Mapping):
            raise InputError(f"{card.name}: classes or labels by name need a dict of heads; head is {head!r}.")
        return _plan(card, card.task if head is None else head, classes, labels)
    if not head:
        raise InputError(f"{card.name}: head is an empty dict; it takes one entry for each output.")
    for what, given in (("classes", classes), ("labels", labels)):
        if given is not None and not isinstance(given, Mapping):
            raise InputError(f"{card.name}: {what} is {given!r}; with several heads it is a dict by head.")
        for name in given or ():
            if name not in head:
                raise unknown(f"head in {what} of {card.name}", name, head)
    return {name: _plan(card, kind, (classes or {}).get(name), (labels or {}).get(name)) for name, kind in head.items()}


def attach_heads(image: keras.KerasTensor, features: keras.KerasTensor, plans: Plans, *, name: str) -> keras.Model:
    """A model from `image` to the answers: of the layer `head`, or a dict from the layers `head_<name>`."""
    try:
        if isinstance(plans, HeadPlan):
            return keras.Model(image, plans.layer("head", features, image)(features), name=name)
        outputs = {key: plan.layer(f"head_{key}", features, image)(features) for key, plan in plans.items()}
    except ValueError as error:
        raise InputError(f"{name}: {error}") from error
    return keras.Model(image, outputs, name=name)


def replace_head(
    model: keras.Model,
    head: str | Mapping[str, str],
    *,
    classes: int | Mapping[str, int] | None = None,
    labels: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
) -> keras.Model:
    """The same backbone under a fresh head.

    The new model is made of `model`'s own layers: names, weights, and what is frozen stay, and training one trains the
    other's backbone.

    Args:
        model: A model that `create_model` made, or one that was saved and loaded since.
        head: As in `create_model`.
        classes: As in `create_model`; by default the old head's, where both are one.
        labels: As in `create_model`; by default the old head's, where both are one and `classes` is not given.

    Raises:
        InputError: The model has no head of the zoo, or the new one cannot be.
    """
    old = [layer for layer in model.layers if isinstance(layer, layers.Head)]
    if not old:
        raise InputError(f"{model.name} has no head of the zoo that could be replaced.")
    if classes is None and labels is None and isinstance(head, str) and len(old) == 1 and head != "embedding":
        classes, labels = getattr(old[0], "classes", None), old[0].labels
    plans = plan_heads(card_of(model.name), head, classes, labels)
    return attach_heads(model.inputs[0], old[0].input, plans, name=model.name)


def _plan(card: ModelCard, kind: str, classes: int | None, labels: Sequence[str] | None) -> HeadPlan:
    if kind not in HEADS:
        raise unknown("head", kind, HEADS)
    if kind == "embedding":
        if classes is not None or labels is not None:
            raise InputError(f"{card.name}: an embedding has no classes and no labels; leave them out.")
        return HeadPlan(kind, None, None)
    count = _checked_classes(card, classes, labels)
    if count == 1 and kind in ("classification", "segmentation"):
        raise InputError(
            f"{card.name}: classes is 1, and the probability of an only class is always 1; a {kind} takes 2 or more, "
            "and what is there or not is a multi_label of 1."
        )
    arguments = {"dropout": card.dropout, "score_map": card.score_map}
    return HeadPlan(kind, count, None if labels is None else tuple(labels), arguments)


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


def _enlargement(features: keras.KerasTensor, image: keras.KerasTensor) -> tuple[int, tuple[int, int]]:
    """Times to enlarge a map so that it covers the image, and the rows and columns that are then too many."""
    if len(features.shape) != 4:
        return 1, (0, 0)  # the head itself refuses a vector
    stride, covers = measure_grids(image, {"features": features})["features"]
    if None in features.shape[1:3]:
        if stride > 1 and not covers:
            raise ValueError("its convolutions are not padded: for segmentation give a fixed height and width.")
        return stride, (0, 0)
    sizes = list(zip(features.shape[1:3], image.shape[1:3], strict=True))
    if stride > 1:  # convolutions without padding have cut the border off: the map is stretched over it
        stride = max(stride, *(math.ceil(side / map_side) for map_side, side in sizes))
    return stride, tuple(max(map_side * stride - side, 0) for map_side, side in sizes)
