"""The names there are and the card behind each. Imports neither Keras nor TensorFlow."""

import re
from fnmatch import fnmatchcase
from functools import cache

from .cards import ModelCard, load_cards
from .errors import unknown


@cache
def _cards() -> dict[str, ModelCard]:
    return load_cards()


def list_models(pattern: str = "*", *, task: str | None = None, pretrained: bool | None = None) -> list[str]:
    """Names of the models that match, sorted as people sort: resnet20 before resnet110.

    Args:
        pattern: Shell-style wildcards, such as `"resnet*"`.
        task: Only models of this task, such as `"classification"`.
        pretrained: True for models with published weights only, False for those without.
    """
    names = [
        card.name
        for card in _cards().values()
        if fnmatchcase(card.name, pattern) and task in (None, card.task) and pretrained in (None, bool(card.pretrained))
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
