"""Model cards: validated data about each model, read from `cards/*.toml`."""

import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from ..core.errors import InputError as InputError  # public in `zoo`, whose lazy names are in its own modules
from ..core.errors import describe
from ..core.limits import NESTING
from ..core.short_repr import ShortRepr

CARDS = Path(__file__).parent / "cards"
Layout = Literal["keras", "timm", "torchvision", "pocketzoo"]
_FUNCTION = r"^[a-z0-9_]+:[a-z0-9_]+$"


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Endpoint(_Table):
    """A named intermediate output of a backbone that decoders, pyramids and feature extraction attach to."""

    layer: str
    """Name of the layer."""
    stride: PositiveInt
    """Input pixels per pixel of the feature map."""
    channels: PositiveInt


class Paper(_Table):
    """The publication of an architecture."""

    title: str
    authors: str
    year: int
    url: str


class Figure(_Table):
    """A published figure, often rounded."""

    value: float
    source: str
    """Where it was published, and what it includes."""


class Pretrained(_Table):
    """Published weights of one model."""

    source: str = Field(pattern=r"^(https://|hf://[^/]+/|package:).+")
    """URL of the file, `hf://owner/repository` for `model.safetensors` on the Hugging Face Hub, or `package:` and the
    name of a file in `zoo/weights/`."""
    commit: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}$")
    """Commit of a repository on the hub; the file is that of this commit, whatever is published there later."""
    layout: Layout
    """Naming and axis order of the tensors: whose convention they follow."""
    pixels: Literal["signed", "unit", "imagenet", "caffe", "file"]
    """Pixel normalization: to -1..1, to 0..1, with ImageNet's mean and standard deviation, with ImageNet's BGR mean, or
    as stored in the file."""
    labels: str | None = None
    """Name of the list of classes in `zoo/labels/`."""
    hash: str | None = Field(default=None, pattern=r"^(md5:[0-9a-f]{32}|sha256:[0-9a-f]{8,64})$")
    """Published hash; a SHA-256 may be truncated to its first digits."""
    epsilon: float | None = Field(default=None, gt=0)
    """Epsilon of the BatchNorm layers in the file, if it differs from the model's."""
    arguments: dict[str, Any] = {}
    """Arguments of the builder that these weights need."""
    licence: str | None = None
    top1: float | None = Field(default=None, gt=0, le=100)
    """Published top-1 accuracy in percent."""
    top1_source: str | None = None
    """Where the accuracy was published, and how it was measured."""

    @model_validator(mode="after")
    def _commit_is_of_the_hub(self) -> Self:
        if self.commit and not self.source.startswith("hf://"):
            raise ValueError(f"commit is only for a repository on the hub, not for {self.source}")
        return self


class ModelCard(ShortRepr, _Table):
    """Data about one model: the fields that its family's file shares, and those of its own table."""

    name: str
    family: str
    task: str = "classification"
    """What it was made for; any other head can be put on."""
    summary: str
    """One line for lists."""
    builder: str = Field(pattern=_FUNCTION)
    """`module:function` in `zoo/`: takes normalized pixels and returns a feature map; with a `backbone`, takes a dict
    from stride to the backbone's deepest feature map of that stride instead."""
    backbone: str | None = None
    """Name of the model whose endpoints the builder attaches to."""
    backbone_arguments: dict[str, Any] = {}
    """Keyword arguments of the backbone's builder that differ from those on its own card."""
    neck: str | None = Field(default=None, pattern=_FUNCTION)
    """`module:function` in `zoo/`: takes the feature map and returns the head's input vector. Decoders have no neck."""
    arguments: dict[str, Any] = {}
    """Keyword arguments of the builder and the neck for this variant."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout rate of the head."""
    score_map: bool = False
    """Whether the head computes scores at every pixel and averages the scores instead of the features."""
    scale: PositiveInt = 1
    """Pixels of the picture that the model makes for one of its input, along each axis."""
    value_range: tuple[float, float] = (0.0, 255.0)
    """Lowest and highest value of the pictures that the model makes."""
    joins_image: bool = False
    """Whether the last channels of the features are the normalized image."""
    paper: Paper
    input_shape: tuple[PositiveInt, PositiveInt, PositiveInt]
    """Default height, width and channels."""
    smallest_input: PositiveInt
    """Minimum height and width in pixels."""
    variable_size: bool
    """Whether height and width may be None."""
    dimensions: tuple[Literal[1, 2, 3], ...] = (2,)
    """Numbers of spatial dimensions that it can be built in: 1 for signals, 2 for images, 3 for volumes."""
    classes: PositiveInt
    """Default number of classes."""
    trainable_parameters: PositiveInt
    """Exact count at `input_shape` and `classes`."""
    parameters: PositiveInt
    """Exact count including BatchNorm's moving statistics, as Keras counts; without PixelNormalization's constants."""
    parameters_source: str
    """Where the count was published, what it includes, and how it differs from the count here by convention."""
    multiply_adds: PositiveInt
    """Exact number of multiply-adds for one image at `input_shape` and `classes`, as `zoo.count_macs` counts them."""
    published_multiply_adds: Figure | None = None
    """Figure in the paper or the authors' code, if there is one."""
    endpoints: dict[str, Endpoint]
    """Endpoints by name, from shallow to deep."""
    pretrained: dict[str, Pretrained] = {}
    """Published weights by tag; `"imagenet"` means the first with ImageNet's labels."""

    @model_validator(mode="after")
    def _default_is_allowed(self) -> Self:
        if min(self.input_shape[:2]) < self.smallest_input:
            raise ValueError(f"input_shape {self.input_shape} is below smallest_input {self.smallest_input}")
        return self


def load_cards(folder: Path = CARDS) -> dict[str, ModelCard]:
    """Read every card file in `folder`, in the order of file names and of the tables in each file.

    Raises:
        InputError: A file is not valid TOML, a card has an unknown key or an invalid value, or two cards have the same
            name.
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
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} is not valid TOML: {error}.") from error
    except RecursionError as error:
        raise NESTING.refusal(f"{path.name} has more levels than can be read") from error
    cards = []
    defaults = _table(path, shared.pop("pretrained_defaults", {}), "pretrained_defaults")
    for name, value in _table(path, shared.pop("models", {}), "models").items():
        variant = _table(path, value, f"model {name!r}")
        tags = _table(path, variant.get("pretrained", {}), f"model {name!r}, pretrained")
        entries = {tag: defaults | _table(path, entry, f"weights {tag!r}") for tag, entry in tags.items()}
        fields = {"name": name, "family": path.stem, **shared, **variant, "pretrained": entries}
        try:
            cards.append(ModelCard(**fields))
        except ValidationError as error:
            raise InputError(f"{path.name}, model {name!r}: {describe(error)}.") from error
    return cards


def _table(path: Path, value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{path.name}: {what} is {value!r}; it takes a table.")
    return value
