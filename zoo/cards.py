"""Model cards: what is known of a model, as validated data read from `cards/*.toml`."""

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from ..core.errors import InputError, describe

CARDS = Path(__file__).parent / "cards"
LAYOUTS = ("keras", "timm", "torchvision", "pocketzoo")
_FUNCTION = r"^[a-z0-9_]+:[a-z0-9_]+$"


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Endpoint(_Table):
    """A named place in a backbone where decoders, pyramids and feature extraction attach."""

    layer: str
    """Name of the layer whose output it is."""
    stride: PositiveInt
    """Input pixels for each step of the map."""
    channels: PositiveInt


class Paper(_Table):
    """Where the architecture was published."""

    title: str
    authors: str
    year: int
    url: str


class Figure(_Table):
    """A figure as it was published, often rounded."""

    value: float
    source: str
    """Where, and what it includes."""


class Pretrained(_Table):
    """Published weights of one model."""

    source: str = Field(pattern=r"^(https://|hf://[^/]+/|package:).+")
    """Address of the file, `hf://owner/repository` of the hub for its `model.safetensors`, or `package:` and a file's
    name in `zoo/weights/`."""
    layout: Literal[LAYOUTS]
    """Whose names the tensors have."""
    pixels: Literal["signed", "unit", "imagenet", "caffe", "file"]
    """Normalisation: -1..1, 0..1, ImageNet's mean and deviation, ImageNet's mean of BGR, or what the file says."""
    labels: str | None = None
    """Name of the list of the classes, in `zoo/labels/`."""
    hash: str | None = Field(default=None, pattern=r"^(md5:[0-9a-f]{32}|sha256:[0-9a-f]{8,64})$")
    """As published; of a SHA-256 maybe its beginning only."""
    epsilon: float | None = Field(default=None, gt=0)
    """Of the file's BatchNorms, where the model's is another."""
    arguments: dict[str, Any] = {}
    """Arguments of the builder that these weights need."""
    licence: str | None = None
    top1: float | None = Field(default=None, gt=0, le=100)
    """Published accuracy in percent."""
    top1_source: str | None = None
    """Where, and measured how."""


class ModelCard(_Table):
    """What is known of one model: the fields that its family's file shares, and those of its own table."""

    name: str
    family: str
    task: str = "classification"
    """What it was made for; any other head can be put on."""
    summary: str
    """One line for lists."""
    builder: str = Field(pattern=_FUNCTION)
    """`module:function` in `zoo/`: normalised pixels in, feature map out; or, where there is a `backbone`, a dict from
    stride to the backbone's deepest map of that stride in, feature map out."""
    backbone: str | None = None
    """Name of the model whose endpoints the builder attaches to."""
    backbone_arguments: dict[str, Any] = {}
    """Keyword arguments of the backbone's builder that differ from its own card's."""
    neck: str | None = Field(default=None, pattern=_FUNCTION)
    """`module:function` in `zoo/`: feature map in, the vector that a head takes out. Decoders go without it."""
    arguments: dict[str, Any] = {}
    """Keyword arguments of the builder and the neck that make this variant."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the features that the head drops in training."""
    score_map: bool = False
    """Whether the head scores every place and averages the scores, not the features."""
    paper: Paper
    input_shape: tuple[PositiveInt, PositiveInt, PositiveInt]
    """Height, width and channels when none are asked for."""
    smallest_input: PositiveInt
    """Least height and width in pixels."""
    variable_size: bool
    """Whether height and width may be left open (None)."""
    classes: PositiveInt
    """Number of classes when none is asked for."""
    trainable_parameters: PositiveInt
    """Exact count at `input_shape` and `classes`."""
    parameters: PositiveInt
    """The same with BatchNorm's moving statistics, as Keras counts; without PixelNormalization's constants."""
    parameters_source: str
    """Where the count was published, what it includes, and what differs here by convention."""
    multiply_adds: PositiveInt
    """Exact count of one image's multiplications with addition at `input_shape` and `classes`: `zoo.count_macs`."""
    published_multiply_adds: Figure | None = None
    """What the paper or the authors' code says, where it says it."""
    endpoints: dict[str, Endpoint]
    """From shallow to deep."""
    pretrained: dict[str, Pretrained] = {}
    """Published weights by tag; `"imagenet"` means the first with ImageNet's labels."""

    @model_validator(mode="after")
    def _default_is_allowed(self):
        if min(self.input_shape[:2]) < self.smallest_input:
            raise ValueError(f"input_shape {self.input_shape} is below smallest_input {self.smallest_input}")
        return self


def load_cards(folder: Path = CARDS) -> dict[str, ModelCard]:
    """Reads every card file of `folder`, sorted by file name, then in the order of the file.

    Raises:
        InputError: A file is no TOML, a card has an unknown key or an impossible value, or two cards share a name.
    """
    cards: dict[str, ModelCard] = {}
    for path in sorted(folder.glob("*.toml")):
        for card in _read_family(path):
            if card.name in cards:
                raise InputError(f"{path.name}: the model name {card.name!r} is already taken by another card.")
            cards[card.name] = card
    return cards


def _read_family(path: Path) -> list[ModelCard]:
    try:
        shared = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path.name} is not valid TOML: {error}.") from error
    cards = []
    defaults = shared.pop("pretrained_defaults", {})
    for name, variant in shared.pop("models", {}).items():
        tags = variant.get("pretrained", {})
        variant = variant | {"pretrained": {tag: defaults | entry for tag, entry in tags.items()}}
        try:
            cards.append(ModelCard(**{"name": name, "family": path.stem, **shared, **variant}))
        except ValidationError as error:
            raise InputError(f"{path.name}, model {name!r}: {describe(error)}.") from error
    return cards
