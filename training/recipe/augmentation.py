"""The section `augmentation` of a recipe: a policy by name, or a list of transformations in the order they are made."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from .section import NAMED, Positive, Section

Fraction = Annotated[float, Field(ge=0, le=1)]
Policy = Literal["none", "light", "standard", "strong", "randaugment", "segmentation"]
"""`light`: small shifts, turns and zooms. `standard`: mirrored, cropped at random, colours a little off. `strong`: the
same, farther, with erased patches. `randaugment`: two operations at random (arXiv:1909.13719). `segmentation`:
mirrored, shifted, turned and zoomed, masks alike, and colours."""


class _Transformation(Section):
    name: str


class Flip(_Transformation):
    """Mirrored, half of the images."""

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
    """Slanted by up to this share."""

    name: Literal["shear"] = "shear"
    factor: Fraction = 0.1


class Crop(_Transformation):
    """A part of the image, of at least `smallest` of its area and an aspect ratio of 3/4 to 4/3, in its full size."""

    name: Literal["crop"] = "crop"
    smallest: Annotated[float, Field(gt=0, le=1)] = 0.5


class Colour(_Transformation):
    """Brightness, contrast and saturation off by up to these shares, the hue by up to this share of the circle."""

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
    """Operations drawn from a fixed list (arXiv:1909.13719)."""

    name: Literal["randaugment"] = "randaugment"
    operations: PositiveInt = 2
    magnitude: Annotated[float, Field(ge=0, le=1)] = 0.3


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
Augmentation = Policy | tuple[Transformation, ...]
