"""Resolution of `weights=`: a tag on the card, a repository on the Hugging Face Hub, or a file."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, FiniteFloat, PositiveInt, ValidationError

from ...core.errors import InputError, describe
from ..cards import ModelCard, Pretrained
from .download import fetch, forget
from .tensor_files import check_readable
from .weight_conversion import PIXELS, Pixels
from .weight_names import HUB, check_weights, tags_of

FOLDER = Path(__file__).parent.parent
"""Folder that contains the weights and label lists of the package."""


@dataclass(frozen=True)
class Weights:
    """A source of weights, with everything that is needed to use them."""

    name: str
    """Name in messages."""
    path: Path
    layout: str
    """Naming and axis order of the tensors, a `Layout` of cards."""
    card: ModelCard
    """Card of the architecture that the weights belong to: the model's or its backbone's."""
    pixels: Pixels | None = None
    """Normalization in training; None if it is stored in the file."""
    epsilon: float | None = None
    """Epsilon of the BatchNorm layers in the file, if it differs from the model's."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Arguments of the builder that these weights need."""
    task: str | None = "classification"
    """Task of the head in the file; None if unknown."""
    classes: int | None = None
    """Number of classes of the head in the file; None for the card's."""
    labels: tuple[str, ...] | None = None
    """Names of the classes; None if unknown."""
    origin: dict[str, str] = field(default_factory=dict)
    """`source` and `license` of published weights, as far as they are known."""


def find_weights(cards: Sequence[ModelCard], weights: str | Path) -> list[Weights]:
    """Return the candidates for `weights`: several only for a file that does not identify its publisher.

    Args:
        cards: The model's card, followed by that of its backbone if it has one.
        weights: `"imagenet"`, a tag on one of the cards, `hf://owner/repository`, a path, or `TAG=PATH` for a tag's
            file that was downloaded manually.

    Raises:
        InputError: There is no such tag or file, it cannot be downloaded, or it belongs to another architecture.
    """
    check_weights(cards, weights)
    text = str(weights)
    if text.startswith(HUB):
        return [_from_hub(cards, text)]
    tag, equals, path = text.partition("=")
    for card in cards:
        if tag in tags_of(card):
            entry = tags_of(card)[tag]
            return [_published(card, tag, entry, Path(path) if equals else _file_of(entry))]
    return _from_file(cards, Path(text))


@cache
def read_labels(name: str) -> tuple[str, ...]:
    """Return the label list `name` in `zoo/labels/`, in the order of the outputs."""
    return tuple((FOLDER / "labels" / f"{name}.txt").read_text(encoding="utf-8").splitlines())


def _file_of(entry: Pretrained) -> Path:
    if entry.source.startswith("package:"):
        return FOLDER / "weights" / entry.source.removeprefix("package:")
    if entry.source.startswith("https://"):
        check_readable(Path(entry.source))
    return fetch(entry.source + (f"@{entry.commit}" if entry.commit else ""), entry.hash)


def _from_card(card: ModelCard, tag: str, entry: Pretrained, path: Path) -> Weights:
    pixels = None if entry.pixels == "file" else PIXELS[entry.pixels]
    labels = None if entry.labels is None else read_labels(entry.labels)
    return Weights(
        f"{card.name}'s weights {tag!r} ({path})",
        path,
        entry.layout,
        card,
        pixels,
        entry.epsilon,
        entry.arguments,
        classes=None if labels is None else len(labels),
        labels=labels,
    )


def _published(card: ModelCard, tag: str, entry: Pretrained, path: Path) -> Weights:
    """Return the weights of a tag, with their origin, which nothing tells of a file that only has their layout."""
    source = entry.source.replace("package:", "pocketzoo/") + (f"@{entry.commit}" if entry.commit else "")
    origin = {"source": source} | ({"license": entry.licence} if entry.licence else {})
    return replace(_from_card(card, tag, entry, path), origin=origin)


def _from_file(cards: Sequence[ModelCard], path: Path) -> list[Weights]:
    """Return the candidates for a file: the zoo's own format, or the layout of any weights on the cards."""
    native = [Weights(str(path), path, "pocketzoo", card, task=None) for card in cards]
    if path.suffix == ".keras" or path.name.endswith(".weights.h5"):
        return native[:1]
    layouts = ("keras",) if path.suffix == ".h5" else ("timm", "torchvision")
    published = [
        _from_card(card, tag, entry, path)
        for card in cards
        for tag, entry in card.pretrained.items()
        if entry.layout in layouts
    ]
    if path.suffix == ".safetensors":
        return [*native, *published]
    if not published:
        raise InputError(f"{path}: {cards[0].name} has no published weights in the layout of {' or '.join(layouts)}.")
    return published


_Model = TypeVar("_Model", bound=BaseModel)
_Deviation = Annotated[FiniteFloat, Field(gt=0)]


class _Preprocessing(BaseModel):
    """What timm states about the images in training, of values 0..1."""

    mean: tuple[FiniteFloat, FiniteFloat, FiniteFloat]
    std: tuple[_Deviation, _Deviation, _Deviation]
    num_classes: PositiveInt | None = None


class _Repository(BaseModel):
    """The `config.json` of a timm repository."""

    architecture: str
    pretrained_cfg: dict[str, Any] | None = None
    """A `_Preprocessing`, which older files have beside the architecture."""
    num_classes: PositiveInt | None = None
    label_names: tuple[str, ...] | None = None


def _checked(source: str, path: Path, kind: type[_Model], config: dict[str, Any]) -> _Model:
    """Return what is stated in the `config.json` of a repository, which is removed from the cache if it is invalid."""
    try:
        return kind.model_validate(config)
    except ValidationError as error:
        forget(path)
        raise InputError(f"config.json of {source} does not describe a timm model: {describe(error)}.") from error


def _from_hub(cards: Sequence[ModelCard], source: str) -> Weights:
    """Return the weights in a timm repository, which has `model.safetensors` and a `config.json` that describes it."""
    for card in cards:
        for tag, entry in card.pretrained.items():
            if entry.source == source:
                return _published(card, tag, entry, _file_of(entry))
    path = fetch(source, filename="config.json")
    config = json.loads(path.read_bytes())
    repository = _checked(source, path, _Repository, config)
    for card in cards:
        for entry in card.pretrained.values():
            named = entry.source.rpartition("/")[2].partition(".")[0]
            if entry.layout == "timm" and named == repository.architecture:
                preprocessing = _checked(source, path, _Preprocessing, repository.pretrained_cfg or config)
                classes, labels = repository.num_classes or preprocessing.num_classes, repository.label_names
                if labels is None and classes == 1000 and source.partition("@")[0].endswith("in1k"):
                    labels = read_labels("imagenet")  # timm's suffix for ImageNet-1K
                return Weights(
                    source,
                    fetch(source),
                    "timm",
                    card,
                    Pixels.of(preprocessing.mean, preprocessing.std),
                    entry.epsilon,
                    entry.arguments,
                    classes=classes,
                    labels=labels or None,
                    origin={"source": source},
                )
    names = " or ".join(card.name for card in cards)
    raise InputError(f"{source} has timm's architecture {repository.architecture!r}, not that of {names}.")
