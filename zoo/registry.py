"""The names there are and the card behind each. Imports neither Keras nor TensorFlow."""

import re
from fnmatch import fnmatchcase
from functools import cache

from ..core.errors import unknown
from .cards import ModelCard, load_cards

ON = "_on_"
"""Between a model's name and that of the backbone it stands on in place of its own."""


@cache
def _cards() -> dict[str, ModelCard]:
    return load_cards()


def list_models(
    pattern: str = "*",
    *,
    task: str | None = None,
    pretrained: bool | None = None,
    max_params: float | None = None,
    max_macs: float | None = None,
) -> list[str]:
    """Names of the models that match, sorted as people sort: resnet20 before resnet110.

    Args:
        pattern: Shell-style wildcards, such as `"resnet*"`.
        task: Only models made for this task, `"classification"` or `"segmentation"`.
        pretrained: True for models with published weights only, False for those without.
        max_params: Most parameters, at the card's input size and number of classes.
        max_macs: Most multiply-adds for one image, likewise.

    Raises:
        InputError: There is no such task.
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
    """Names of the models that others can stand on: the classifiers that stand on none themselves."""
    return [name for name in list_models(task="classification") if _cards()[name].backbone is None]


def card_of(model_name: str) -> ModelCard:
    """The card of a created model by its own name, `NAME` or, on an exchanged backbone, `NAME_on_BACKBONE`.

    The endpoints of the latter are those of that backbone's card, and this card's own after them.

    Raises:
        InputError: No model of the zoo has that name.
    """
    name, on, backbone = model_name.partition(ON)
    if not on:
        return model_card(name)
    card, other = model_card(name), model_card(backbone)
    replaced = {endpoint.layer for endpoint in model_card(card.backbone).endpoints.values()}
    own = {key: endpoint for key, endpoint in card.endpoints.items() if endpoint.layer not in replaced}
    return card.model_copy(update={"endpoints": other.endpoints | own})


def model_card(name: str) -> ModelCard:
    """The card of the model called `name`.

    Raises:
        InputError: There is no such model; the message names the nearest.
    """
    if not isinstance(name, str) or name not in _cards():
        raise unknown("model", name, list_models())
    return _cards()[name].model_copy(deep=True)  # what a caller does to its dicts stays there
