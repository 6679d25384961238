"""The names there are and the card behind each. Imports neither Keras nor TensorFlow."""

import re
from fnmatch import fnmatchcase
from functools import cache

from .cards import TASKS, ModelCard, load_cards
from .errors import unknown


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
    if task not in (None, *TASKS):
        raise unknown("task", task, TASKS)
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


def model_card(name: str) -> ModelCard:
    """The card of the model called `name`.

    Raises:
        InputError: There is no such model; the message names the nearest.
    """
    if name not in _cards():
        raise unknown("model", name, list_models())
    return _cards()[name]
