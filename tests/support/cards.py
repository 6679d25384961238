"""Which cards the tests run over, at what size, and how long that takes."""

from collections.abc import Collection, Iterator
from functools import cache
from typing import Any

import keras
import pytest

from pocketzoo import zoo

NARROW: dict[str, dict[str, Any]] = {
    "alexnet:alexnet": {"widths": (16, 32, 32, 32, 16), "hidden": (32, 24)},
    "crnn:crnn": {"widths": (8, 16, 16, 16, 16, 16, 16), "units": 8},
    "deeplab:deeplab_v3": {"filters": 16},
    "densenet:densenet": {"growth": 8},
    "efficientnet:efficientnet": {"width": 0.25},
    "inception:inception_v1": {"width": 0.25},
    "inception:inception_v3": {"width": 0.25},
    "inception:inception_v4": {"width": 0.25},
    "inception_resnet:inception_resnet_v2": {"width": 0.125},
    "mobilenet_v1:mobilenet_v1": {"width": 0.25},
    "mobilenet_v2:mobilenet_v2": {"width": 0.35},
    "mobilenet_v3:mobilenet_v3": {"width": 0.5},
    "resnet:resnet": {"widths": (16, 16, 32, 32), "stem_width": 16},
    "resnet:resnet_v2": {"widths": (4, 8, 8, 16), "stem_width": 16},
    "spp_net:on_backbone": {"reduced": 16},
    "spp_net:zf5": {"widths": (16, 24, 24, 24, 16), "hidden": (32, 24)},
    "unet:unet": {"widths": (4, 8, 8, 16, 16)},
    "unet:unet_on_backbone": {"widths": (16, 16, 8, 8, 8)},
    "vgg:vgg": {"widths": (8, 16, 16, 32, 32), "hidden": (32, 24)},
    "xception:xception": {"width": 0.125},
}
"""Arguments that make a builder's nets narrow; a builder that is not here is tested at its full width."""


SHALLOW: dict[str, dict[str, Any]] = {
    "densenet:densenet": {"blocks": (2, 2, 2, 2)},
    "efficientnet:efficientnet": {"depth": 0.4},
    "inception:inception_v3": {"pool_filters": (32,), "factor_filters": (128,), "last_blocks": 1},
    "inception:inception_v4": {"blocks": (1, 1, 1)},
    "inception_resnet:inception_resnet_v2": {"blocks": (1, 1, 1)},
    "resnet:resnet": {"blocks": (2, 2, 1, 1)},
    "resnet:resnet_v2": {"blocks": (2, 2, 1, 1)},
    "resnet_cifar:resnet_cifar": {"blocks": 2},
    "xception:xception": {"middle_blocks": 2},
}
"""Arguments for shallow nets that still have every type of block, and every pair of consecutive types."""
ALL_ENDPOINTS = ("deeplab:deeplab_v3", "unet:unet_on_backbone")
"""Builders that find feature maps of their backbone by the endpoints on its card, so that it stays deep."""


def narrow_model(name: str, *, deep: bool = False, **arguments: Any) -> keras.Model:
    """The model of that name, narrow, by default shallow and for its smallest input."""
    arguments.setdefault("input_shape", smallest_shape(name))
    card = zoo.model_card(name)
    small = _small(card, deep)
    if card.backbone:
        small["backbone_arguments"] = _small(zoo.model_card(card.backbone), deep or card.builder in ALL_ENDPOINTS)
    return zoo.create_model(name, **small | arguments)


def _small(card: zoo.ModelCard, deep: bool) -> dict[str, Any]:
    return NARROW.get(card.builder, {}) | ({} if deep else SHALLOW.get(card.builder, {}))


def smallest_shape(name: str) -> tuple[int, int, int]:
    card = zoo.model_card(name)
    return (card.smallest_input, card.smallest_input, card.input_shape[2])


COVERED = (
    *("mobilenet_v3_large", "mobilenet_v3_large_minimalistic"),  # the small one has all their types of blocks
    *("unet_efficientnet_b0", "unet_resnet34"),  # test_segmentation.py has them, test_backbones.py every backbone
    "spp_resnet50",  # spp_resnet18 has its neck
)
"""Cards that are the first of their kind, but whose parts are those of cheaper ones."""


@cache
def first_of_its_kind(name: str) -> bool:
    """Whether no cheaper card is made by the same functions from the same arguments, but for their numbers."""
    kind = _kind(zoo.model_card(name))
    cards = [zoo.model_card(other) for other in zoo.list_models()]
    cheapest = min((card for card in cards if _kind(card) == kind), key=lambda card: (card.multiply_adds, card.name))
    return cheapest.name == name


def by_default(name: str) -> bool:
    """Whether tests of every card run this one by default."""
    return first_of_its_kind(name) and name not in COVERED


def _kind(card: zoo.ModelCard) -> tuple:
    words = sorted((key, value) for key, value in card.arguments.items() if isinstance(value, str | bool))
    backbone = card.backbone and _kind(zoo.model_card(card.backbone))
    return card.builder, card.neck, backbone, str(words), *sorted(card.arguments)


def all_cards() -> list:
    """Every model; all the tests of one run on one worker, so that what they share is made once."""
    return [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in zoo.list_models()]


COMPOSITES_OF_OTHERS = (
    *("alexnet", "vgg11", "resnet18", "resnet50", "resnet50v1", "wide_resnet50_2", "unet_same", "unet_vgg16"),
    *("efficientnet_lite0", "mobilenet_v3_small", "mobilenet_v3_small_minimalistic", "inception_v1", "inception_v4"),
)
"""Cards whose types of composite layers are those of another card, for tests of each type's config and arithmetic."""


def all_cards_by_kind(covered: Collection[str] = ()) -> list:
    """Every model with whether it has its full depth.

    Marked `every_card` are full depths, models that differ from a cheaper one in nothing but numbers or whose parts are
    those of cheaper ones, and those that are `covered`.
    """
    names = zoo.list_models()
    shallow = [
        pytest.param(
            (name, False),
            id=name,
            marks=[
                pytest.mark.xdist_group(name),
                *([] if by_default(name) and name not in covered else [pytest.mark.every_card]),
            ],
        )
        for name in names
    ]
    marks = pytest.mark.every_card
    return shallow + [
        pytest.param((name, True), id=f"{name}-deep", marks=[marks, pytest.mark.xdist_group(f"{name}-deep")])
        for name in names
        if _has_shallow_form(zoo.model_card(name))
    ]


def _has_shallow_form(card: zoo.ModelCard) -> bool:
    inner = card.backbone if card.builder not in ALL_ENDPOINTS else None
    return card.builder in SHALLOW or bool(inner and _has_shallow_form(zoo.model_card(inner)))


def batch_norms(model: keras.Model) -> Iterator[keras.layers.BatchNormalization]:
    """The BatchNorm layers of a model, at any depth."""
    layers = zoo.flatten_model(model).layers
    return (layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization))
