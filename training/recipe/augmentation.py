"""The section `augmentation` of a recipe: a policy by name, or a list of transformations.

All that move pixels are made first, as one, so that an image is resampled once; then the others, in their order.
"""

from typing import Annotated, Literal

from pydantic import Field, Tag

from .section import NAMED, ONE_OR_SEVERAL, Positive, Section

Fraction = Annotated[float, Field(ge=0, le=1)]


class _Transformation(Section):
    name: str


class Flip(_Transformation):
    """Mirrored, half of the images; with both modes, each way half of them."""

    name: Literal["flip"] = "flip"
    mode: Literal["horizontal", "vertical", "horizontal_and_vertical"] = "horizontal"


class Translate(_Transformation):
    """Shifted by up to these shares of the height and the width."""

    name: Literal["translate"] = "translate"
    height: Fraction = 0.1
    width: Fraction = 0.1


class Rotate(_Transformation):
    """Turned by up to so many degrees to either side."""

    name: Literal["rotate"] = "rotate"
    degrees: Annotated[float, Field(ge=0, le=180)] = 10.0


class Zoom(_Transformation):
    """Made smaller or larger by up to this share."""

    name: Literal["zoom"] = "zoom"
    factor: Annotated[float, Field(ge=0, lt=1)] = 0.1


class Shear(_Transformation):
    """Slanted by up to this share of the height and of the width."""

    name: Literal["shear"] = "shear"
    factor: Fraction = 0.1


class Crop(_Transformation):
    """A part of the image in its full size: at least `smallest` of its area, and 3/4 to 4/3 of its aspect ratio."""

    name: Literal["crop"] = "crop"
    smallest: Annotated[float, Field(gt=0, le=1)] = 0.5


class Colour(_Transformation):
    """Brightness, contrast and saturation off by up to these shares, the hue by up to this share of the circle; of grey
    images brightness and contrast."""

    name: Literal["colour"] = "colour"
    brightness: Fraction = 0.2
    contrast: Fraction = 0.2
    saturation: Fraction = 0.2
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0


class Erase(_Transformation):
    """A rectangle of up to this share of the image is made grey (arXiv:1708.04896), half of the images."""

    name: Literal["erase"] = "erase"
    largest: Annotated[float, Field(gt=0, le=1)] = 0.25


class RandAugment(_Transformation):
    """Operations drawn from a fixed list (arXiv:1909.13719): as it is, sheared, shifted, turned, brightness, colour,
    contrast, sharpness, posterised, solarised, contrast stretched or equalised."""

    name: Literal["randaugment"] = "randaugment"
    operations: Annotated[int, Field(ge=1, le=4)] = 2
    magnitude: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Strength of each operation; at 1, for example, turned by 30 degrees, or brightness off by 0.9."""


class MixUp(_Transformation):
    """Every image and its target mixed with another's of the batch (arXiv:1710.09412)."""

    name: Literal["mixup"] = "mixup"
    alpha: Positive = 0.2


class CutMix(_Transformation):
    """A rectangle of every image taken from another of the batch, targets mixed by area (arXiv:1905.04899)."""

    name: Literal["cutmix"] = "cutmix"
    alpha: Positive = 1.0


Transformation = Annotated[
    Flip | Translate | Rotate | Zoom | Shear | Crop | Colour | Erase | RandAugment | MixUp | CutMix,
    Field(discriminator="name"),
    NAMED,
]
Policy = Literal["none", "light", "standard", "strong", "randaugment", "segmentation"]
"""By name: `POLICIES` says what each means."""
Augmentation = Annotated[
    Annotated[Policy, Tag("one")] | Annotated[tuple[Transformation, ...], Tag("several")], ONE_OR_SEVERAL
]

POLICIES: dict[str, tuple[Transformation, ...]] = {
    "none": (),
    "light": (Translate(height=0.08, width=0.08), Rotate(degrees=10), Zoom(factor=0.1)),
    "standard": (Flip(), Crop(smallest=0.5), Colour()),
    "strong": (
        Flip(),
        Rotate(degrees=15),
        Crop(smallest=0.25),
        Colour(brightness=0.3, contrast=0.4, saturation=0.4, hue=0.05),
        Erase(),
    ),
    "randaugment": (Flip(), RandAugment()),
    "segmentation": (Flip(), Translate(), Rotate(), Zoom(factor=0.2), Colour()),
}
"""What the policies mean. Only `light` keeps left and right apart, as digits and letters need it."""


def transformations(augmentation: Augmentation) -> tuple[Transformation, ...]:
    """Those of the policy of this name, or those of the list."""
    return POLICIES[augmentation] if isinstance(augmentation, str) else augmentation
