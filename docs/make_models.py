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

Made from the cards in `zoo/cards/` by `make docs`; do not edit. Parameters are those of the default input and number of
classes, with BatchNorm's statistics and without the input's normalisation; multiply-adds are for one image
(`zoo.count_macs`). Every model takes any number of classes and channels, and any of the heads `classification`,
`multi_label`, `regression`, `segmentation` and `embedding`; models with layers of their own between the last map and
the head (LeNet, AlexNet, VGG, SPP-Net, MobileNetV3) cannot take `segmentation`. "Any size" means that height and width
may be left open; an answer for every pixel then takes images of a multiple of the deepest stride, and padded
convolutions. An endpoint is written name (stride, channels). Weights load by tag, `weights="a1_in1k"`;
`"imagenet"` means the first of a model's that have ImageNet's classes. Their figure is the published top-1 accuracy,
not measured here.
"""


def page() -> str:
    """The page as Markdown."""
    cards = sorted((model_card(name) for name in list_models()), key=lambda card: card.family)
    families = [(family, list(members)) for family, members in groupby(cards, key=lambda card: card.family)]
    return HEAD + "".join(_family(family, members) for family, members in families)


def _family(family: str, cards: list[ModelCard]) -> str:
    papers = dict.fromkeys(
        f"{card.paper.authors}: [{card.paper.title}]({card.paper.url}), {card.paper.year}." for card in cards
    )
    sources = [f"- `{card.name}`: {' '.join(card.parameters_source.split())}" for card in cards]
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
        "| model | what it is | parameters | trainable | multiply-adds | input | least | any size | task |",
        "| --- | --- | ---: | ---: | ---: | --- | ---: | --- | --- |",
        *(_row(card) for card in cards),
    ]
    parts = [
        "\n".join(papers),
        "\n".join(table),
        "Counts:\n" + "\n".join(sources),
        "Endpoints:\n" + "\n".join(endpoints),
        *(["Weights:\n" + "\n".join(weights)] if weights else []),
    ]
    return f"\n## {family}\n\n" + "\n\n".join(parts) + "\n"


def _weights(tag: str, entry: Pretrained) -> str:
    figure = "" if entry.top1 is None else f"{entry.top1:.2f} % ({entry.top1_source}), "
    licence = entry.licence or "licence not stated"
    return f"`{tag}` {figure}{licence}, <{entry.source}>"


def _row(card: ModelCard) -> str:
    published = card.published_multiply_adds
    macs = f"{card.multiply_adds:,}" + (f" (published {published.value:.4g}: {published.source})" if published else "")
    cells = [
        f"`{card.name}`",
        card.summary,
        f"{card.parameters:,}",
        f"{card.trainable_parameters:,}",
        macs,
        "x".join(map(str, card.input_shape)),
        str(card.smallest_input),
        "yes" if card.variable_size else "no",
        card.task,
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    with atomic_path(PAGE) as temporary:
        temporary.write_text(page(), encoding="utf-8")
