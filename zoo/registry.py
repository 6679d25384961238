"""Registry of model names and cards. Imports neither Keras nor TensorFlow."""

import re
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from ..core.arguments import check_arguments
from ..core.errors import InputError, unknown
from .cards import ModelCard, load_cards

MODEL_SUFFIXES = (".keras", ".h5", ".hdf5")
"""Of files with a model."""
ON = "_on_"
"""Separator between a model's name and the name of the backbone that replaces its own."""


@cache
def _cards() -> dict[str, ModelCard]:
    return load_cards()


@check_arguments
def list_models(
    pattern: str = "*",
    *,
    task: str | None = None,
    pretrained: bool | None = None,
    max_params: float | None = None,
    max_macs: float | None = None,
) -> list[str]:
    """Return the names of the models that match, in natural order: resnet20 before resnet110.

    Args:
        pattern: Shell-style wildcards, such as `"resnet*"`.
        task: Only models for this task, such as `"classification"` or `"segmentation"`.
        pretrained: True for only models with published weights, False for only those without.
        max_params: Maximum number of parameters, at the card's input size and number of classes.
        max_macs: Maximum number of multiply-adds per image, at the card's input size and number of classes.

    Raises:
        InputError: The task is unknown.
    """
    tasks = sorted({card.task for card in _cards().values()})
    if task not in (None, *tasks):
        raise unknown("task", task, tasks)
    names = [
        card.name
        for card in _cards().values()
        if fnmatchcase(card.name, pattern)
        and task in (None, card.task)
        and pretrained in (None, bool(card.pretrained))
        and (max_params is None or card.parameters <= max_params)
        and (max_macs is None or card.multiply_adds <= max_macs)
    ]
    return sorted(names, key=lambda name: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)])


def backbones() -> list[str]:
    """Return the names of the models that can be a backbone: those of vectors, without a backbone of their own."""
    from ..tasks.registry import get_task  # takes NumPy, which lists of names do without

    return [
        name
        for name in list_models()
        if _cards()[name].backbone is None and not get_task(_cards()[name].task).covers_image
    ]


def card_of(model_name: str) -> ModelCard:
    """Return the card for the name of a created model, `NAME` or, with another backbone, `NAME_on_BACKBONE`.

    With another backbone, the endpoints are those of the backbone's card followed by the card's own.

    Raises:
        InputError: No model in the zoo has that name.
    """
    name, on, backbone = model_name.partition(ON)
    if not on:
        return model_card(name)
    card, other = model_card(name), model_card(backbone)
    replaced = {endpoint.layer for endpoint in model_card(card.backbone).endpoints.values()} if card.backbone else set()
    own = {key: endpoint for key, endpoint in card.endpoints.items() if endpoint.layer not in replaced}
    return card.model_copy(update={"endpoints": other.endpoints | own})


def model_card(name: str) -> ModelCard:
    """Return the card of the model `name`.

    Raises:
        InputError: There is no such model; the message suggests similar names.
    """
    if isinstance(name, str) and Path(name).suffix in MODEL_SUFFIXES:
        raise InputError(
            f"{name} is a file, not the name of a model; zoo.load_model opens it in Python, and `pocketzoo fine-tune` "
            "trains it."
        )
    if not isinstance(name, str) or name not in _cards():
        raise unknown("model", name, list_models(), listed_by="`pocketzoo list`")
    return _cards()[name].model_copy(deep=True)  # callers may modify the dicts of their copy
