"""Writes docs/models.md from the cards.

python docs/make_models.py
"""

from itertools import groupby
from pathlib import Path

from pocketzoo.core.atomic_files import atomic_path
from pocketzoo.zoo.cards import ModelCard, Pretrained
from pocketzoo.zoo.registry import list_models, model_card

PAGE = Path(__file__).with_name("models.md")
HEAD = """# Models

Generated from the cards in `zoo/cards/` by `make docs`; do not edit.

Every model takes any number of classes and channels, and any of the heads `classification`, `multi_label`,
`regression`, `segmentation` and `embedding`. Models with layers of their own between the last feature map and the head
(LeNet, AlexNet, VGG, SPP-Net, MobileNetV3) cannot take `segmentation`.

- **Parameters** are for the default input and number of classes, BatchNorm statistics included, without those of the
  input normalization. **Multiply-adds** are for one image (`zoo.count_macs`).
- **Smallest**: the smallest input, in pixels. **Any size**: height and width may be left open. A segmentation model
  then takes images whose sides are multiples of its largest stride, and needs padded convolutions.
- **Endpoints** are written name (stride, channels).
- **Weights** load by their tag, `weights="a1_in1k"`; `"imagenet"` is the first of a model's tags with the ImageNet
  classes. Their accuracy is the published top-1, not measured here.
"""


OTHER_DIMENSIONS = {1: "signals, `(length, channels)`", 3: "volumes, `(depth, height, width, channels)`"}
"""What models are built for besides images, by the number of dimensions."""


def page() -> str:
    """The page as Markdown."""
    cards = sorted((model_card(name) for name in list_models()), key=lambda card: card.family)
    families = [(family, list(members)) for family, members in groupby(cards, key=lambda card: card.family)]
    return HEAD + "".join(_family(family, members) for family, members in families)


def _also_for(dimensions: int, kind: str, cards: list[ModelCard]) -> str:
    names = [card.name for card in cards if dimensions in card.dimensions]
    listed = "" if len(names) == len(cards) else f" ({', '.join(f'`{name}`' for name in names)})"
    return f"Also for {kind}{listed}." if names else ""


def _family(family: str, cards: list[ModelCard]) -> str:
    papers = dict.fromkeys(
        f"{card.paper.authors}: [{card.paper.title}]({card.paper.url}), {card.paper.year}." for card in cards
    )
    sources = [_sources(card) for card in cards]
    endpoints = [
        f"- `{card.name}`: "
        + ", ".join(f"{name} ({place.stride}, {place.channels})" for name, place in card.endpoints.items())
        for card in cards
    ]
    weights = [
        f"- `{card.name}`: " + ", ".join(_weights(tag, entry) for tag, entry in card.pretrained.items())
        for card in cards
        if card.pretrained
    ]
    table = [
        "| model | description | parameters | trainable | multiply-adds | input | smallest | any size | task |",
        "| --- | --- | ---: | ---: | ---: | --- | ---: | --- | --- |",
        *(_row(card) for card in cards),
    ]
    parts = [
        "\n".join(papers),
        *(_also_for(dimensions, kind, cards) for dimensions, kind in OTHER_DIMENSIONS.items()),
        "\n".join(table),
        "Sources of the counts:\n\n" + "\n".join(sources),
        "Endpoints:\n\n" + "\n".join(endpoints),
        *(["Weights:\n\n" + "\n".join(weights)] if weights else []),
    ]
    return f"\n## {family}\n\n" + "\n\n".join(filter(None, parts)) + "\n"


def _weights(tag: str, entry: Pretrained) -> str:
    figure = "" if entry.top1 is None else f"{entry.top1:.2f} % ({entry.top1_source}), "
    license_name = entry.licence or "license not stated"
    return f"`{tag}` {figure}{license_name}, <{entry.source}>"


def _row(card: ModelCard) -> str:
    cells = [
        f"`{card.name}`",
        card.summary,
        f"{card.parameters:,}",
        f"{card.trainable_parameters:,}",
        f"{card.multiply_adds:,}",
        "x".join(map(str, card.input_shape)),
        str(card.smallest_input),
        "yes" if card.variable_size else "no",
        card.task,
    ]
    return f"| {' | '.join(cells)} |"


def _sources(card: ModelCard) -> str:
    published = card.published_multiply_adds
    macs = f" Published multiply-adds: {published.value:,.0f} ({published.source})." if published else ""
    return f"- `{card.name}`: {' '.join(card.parameters_source.split())}{macs}"


if __name__ == "__main__":
    with atomic_path(PAGE) as temporary:
        temporary.write_text(page(), encoding="utf-8")
