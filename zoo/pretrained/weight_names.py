"""What `weights=` may name: a tag on a card, a repository on the Hugging Face Hub, or a file. Imports no Keras."""

from collections.abc import Sequence
from pathlib import Path

from ...core.errors import unknown
from ...core.input_files import check_file
from ...core.limits import MODEL_BYTES
from ..cards import ModelCard, Pretrained
from .tensor_files import STATE_DICTS

HUB = "hf://"


def tags_of(card: ModelCard) -> dict[str, Pretrained]:
    """Return the card's weights by tag, with `"imagenet"` for the first with ImageNet's classes."""
    imagenet = [entry for entry in card.pretrained.values() if entry.labels == "imagenet"]
    return dict(card.pretrained) | ({"imagenet": imagenet[0]} if imagenet else {})


def check_weights(cards: Sequence[ModelCard], weights: str | Path) -> None:
    """Raise InputError where there is no such tag or file; arguments as in `find_weights`."""
    text = str(weights)
    tag, equals, path = text.partition("=")
    tags = [tag for card in cards for tag in tags_of(card)]
    if text.startswith(HUB):
        return
    if tag in tags:
        if equals:
            check_file(path, MODEL_BYTES)
    elif Path(text).suffix in (".keras", ".h5", *STATE_DICTS) and not (equals and not Path(text).exists()):
        check_file(text, MODEL_BYTES)
    else:
        files = "a .keras, .weights.h5, .h5, .safetensors or .pth file"
        raise unknown(f"weights for {cards[0].name}", tag if equals else text, [*tags, files])
