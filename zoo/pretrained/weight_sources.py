"""What `weights=` means: a tag on the card, a repository on the hub, or a file."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from ...core.errors import InputError, unknown
from ..cards import ModelCard, Pretrained
from .download import fetch
from .tensor_files import STATE_DICTS, check_readable
from .weight_conversion import PIXELS, Pixels

FOLDER = Path(__file__).parent.parent
"""Of the package's own weights and lists of labels."""


@dataclass(frozen=True)
class Weights:
    """Weights that were asked for, and all that must be known to use them."""

    name: str
    """As messages call them."""
    path: Path
    layout: str
    card: ModelCard
    """Of the net that they are of: the model's own, or its backbone's."""
    pixels: Pixels | None = None
    """What the net was fed; None where the file says so itself."""
    epsilon: float | None = None
    """Of the file's BatchNorms, if not the model's."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Of the builder, that these weights need."""
    task: str | None = "classification"
    """What the head answers that the file holds; None where that cannot be told."""
    classes: int | None = None
    """Of that head; None for as many as the card says."""
    labels: tuple[str, ...] | None = None


def find_weights(cards: Sequence[ModelCard], weights: str | Path) -> list[Weights]:
    """What `weights` may be; several only for a file that does not tell which publisher's it is.

    Args:
        cards: The model's own, and after it that of its backbone if it has one.
        weights: `"imagenet"`, a tag on one of the cards, `hf://owner/repository`, a path, or `TAG=PATH` for the file of
            a tag that was downloaded by hand.

    Raises:
        InputError: There is no such tag or file, it cannot be downloaded, or it is another architecture's.
    """
    text = str(weights)
    if text.startswith("hf://"):
        return [_on_the_hub(cards, text)]
    tag, by_hand, path = text.partition("=")
    for card in cards:
        if tag in _tags(card):
            entry = _tags(card)[tag]
            return [_of_entry(card, tag, entry, Path(path) if by_hand else _file_of(entry))]
    if Path(text).suffix in (".keras", ".h5", *STATE_DICTS) and not (by_hand and not Path(text).exists()):
        return _in_a_file(cards, Path(text))
    tags = [tag for card in cards for tag in _tags(card)]
    files = "a .keras, .weights.h5, .h5, .safetensors or .pth file"
    raise unknown(f"weights for {cards[0].name}", tag if by_hand else text, [*tags, files])


@cache
def labels_called(name: str | None) -> tuple[str, ...] | None:
    """The list of classes of that name, in the order of the outputs."""
    return None if name is None else tuple((FOLDER / "labels" / f"{name}.txt").read_text(encoding="utf-8").splitlines())


def _tags(card: ModelCard) -> dict[str, Pretrained]:
    """The card's weights by tag, and by `"imagenet"` the first with ImageNet's classes."""
    imagenet = [entry for entry in card.pretrained.values() if entry.labels == "imagenet"]
    return dict(card.pretrained) | ({"imagenet": imagenet[0]} if imagenet else {})


def _file_of(entry: Pretrained) -> Path:
    if entry.source.startswith("package:"):
        return FOLDER / "weights" / entry.source.removeprefix("package:")
    if entry.source.startswith("https://"):
        check_readable(Path(entry.source))
    return fetch(entry.source, entry.hash)


def _of_entry(card: ModelCard, tag: str, entry: Pretrained, path: Path) -> Weights:
    pixels = None if entry.pixels == "file" else PIXELS[entry.pixels]
    labels = labels_called(entry.labels)
    return Weights(
        f"{card.name}'s weights {tag!r} ({path})",
        path,
        entry.layout,
        card,
        pixels,
        entry.epsilon,
        entry.arguments,
        classes=labels and len(labels),
        labels=labels,
    )


def _in_a_file(cards: Sequence[ModelCard], path: Path) -> list[Weights]:
    """A file in our names, or in those of any publisher whose weights are on a card."""
    own = [Weights(str(path), path, "pocketzoo", card, task=None) for card in cards]
    if path.suffix == ".keras" or path.name.endswith(".weights.h5"):
        return own[:1]
    layouts = ("keras",) if path.suffix == ".h5" else ("timm", "torchvision")
    foreign = [
        _of_entry(card, tag, entry, path)
        for card in cards
        for tag, entry in card.pretrained.items()
        if entry.layout in layouts
    ]
    if path.suffix == ".safetensors":
        return [*own, *foreign]
    if not foreign:
        raise InputError(f"{path}: of {cards[0].name} no weights in the layout of {' or '.join(layouts)} are known.")
    return foreign


def _on_the_hub(cards: Sequence[ModelCard], source: str) -> Weights:
    """A repository in timm's form: `model.safetensors`, and `config.json` that says what it is."""
    for card in cards:
        for tag, entry in card.pretrained.items():
            if entry.source == source:
                return _of_entry(card, tag, entry, _file_of(entry))
    config = json.loads(fetch(source, filename="config.json").read_text())
    architecture = config.get("architecture")
    for card in cards:
        for entry in card.pretrained.values():
            if entry.layout == "timm" and entry.source.rpartition("/")[2].partition(".")[0] == architecture:
                preprocessing = config.get("pretrained_cfg", config)
                classes = config.get("num_classes", preprocessing.get("num_classes"))
                labels = config.get("label_names")
                if labels is None and classes == 1000 and source.endswith("in1k"):  # so timm calls ImageNet-1K
                    labels = labels_called("imagenet")
                return Weights(
                    source,
                    fetch(source),
                    "timm",
                    card,
                    Pixels.of(tuple(preprocessing["mean"]), tuple(preprocessing["std"])),
                    entry.epsilon,
                    entry.arguments,
                    classes=classes,
                    labels=labels and tuple(labels),
                )
    names = " or ".join(card.name for card in cards)
    raise InputError(f"{source} is of timm's architecture {architecture!r}, not of {names}.")
