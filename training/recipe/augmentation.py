"""The section `augmentation` of a recipe: a policy by name, or a list of transformations.

Geometric transformations are combined and applied first, so that an image is resampled once; then the others, in order.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, Tag

from .section import NAMED, ONE_OR_SEVERAL, Positive, Section
from .user_functions import NAME, UserFunction, is_name

Fraction = Annotated[float, Field(ge=0, le=1)]


class _Transformation(Section):
    name: str


class Flip(_Transformation):
    """Random flip of half of the images; `horizontal_and_vertical` flips half of them along each axis."""

    name: Literal["flip"] = "flip"
    mode: Literal["horizontal", "vertical", "horizontal_and_vertical"] = "horizontal"


class Translate(_Transformation):
    """Random shift by up to these shares of height and width."""

    name: Literal["translate"] = "translate"
    height: Fraction = 0.1
    width: Fraction = 0.1


class Rotate(_Transformation):
    """Random rotation by up to this many degrees in either direction."""

    name: Literal["rotate"] = "rotate"
    degrees: Annotated[float, Field(ge=0, le=180)] = 10.0


class Zoom(_Transformation):
    """Random scaling, smaller or larger by up to this share."""

    name: Literal["zoom"] = "zoom"
    factor: Annotated[float, Field(ge=0, lt=1)] = 0.1


class Shear(_Transformation):
    """Random shear by up to this share of height and width."""

    name: Literal["shear"] = "shear"
    factor: Fraction = 0.1


class Crop(_Transformation):
    """Random crop, resized to the full size: at least the share `smallest` of the area, with 3/4 to 4/3 of the aspect
    ratio."""

    name: Literal["crop"] = "crop"
    smallest: Annotated[float, Field(gt=0, le=1)] = 0.5


class Color(_Transformation):
    """Color jitter: changes brightness, contrast and saturation by up to these shares, and the hue by up to this share
    of the color circle; in grayscale images only brightness and contrast. `colour` is its former name."""

    name: Literal["color", "colour"] = "color"
    brightness: Fraction = 0.2
    contrast: Fraction = 0.2
    saturation: Fraction = 0.2
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0


class Erase(_Transformation):
    """Random erasing: a gray rectangle of up to this share of the image, in half of the images (arXiv:1708.04896)."""

    name: Literal["erase"] = "erase"
    largest: Annotated[float, Field(gt=0, le=1)] = 0.25


class Noise(_Transformation):
    """Gaussian noise with a random standard deviation of up to this share of the range of the values."""

    name: Literal["noise"] = "noise"
    deviation: Fraction = 0.03


class RandAugment(_Transformation):
    """Random operations from a fixed list (arXiv:1909.13719): identity, shear, translation, rotation, brightness,
    color, contrast, sharpness, posterize, solarize, autocontrast and equalize."""

    name: Literal["randaugment"] = "randaugment"
    operations: Annotated[int, Field(ge=1, le=4)] = 2
    magnitude: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Strength of each operation; at 1, for example, a rotation by 30 degrees, or a brightness change of 0.9."""


class MixUp(_Transformation):
    """Mixes every image and its target with another one of the batch (arXiv:1710.09412)."""

    name: Literal["mixup"] = "mixup"
    alpha: Positive = 0.2


class CutMix(_Transformation):
    """Pastes a rectangle from another image of the batch, and mixes targets by area (arXiv:1905.04899)."""

    name: Literal["cutmix"] = "cutmix"
    alpha: Positive = 1.0


class Mosaic(_Transformation):
    """Joins parts of four images of the batch in one, at half to the full size, with the objects in them: boxes are
    clipped, and dropped where less than 30 % remains (arXiv:2004.10934)."""

    name: Literal["mosaic"] = "mosaic"


class Function(_Transformation):
    """A function of your own, `function(image, target, rng)`, which returns image and target; in a file, its name as in
    `my_package.my_module:my_function`, with `--allow-code`."""

    name: Literal["function"] = "function"
    function: UserFunction


def _from_function(value: Any) -> Any:
    return {"name": NAME, NAME: value} if is_name(value) or callable(value) else value


Transformation = Annotated[
    Flip
    | Translate
    | Rotate
    | Zoom
    | Shear
    | Crop
    | Color
    | Erase
    | Noise
    | RandAugment
    | MixUp
    | CutMix
    | Mosaic
    | Function,
    Field(discriminator="name"),
    NAMED,
    BeforeValidator(_from_function),
]
Policy = Literal["none", "light", "standard", "strong", "randaugment", "segmentation", "signal"]
"""Names of the policies in `POLICIES`."""
Augmentation = Annotated[
    Annotated[Policy, Tag("one")] | Annotated[tuple[Transformation, ...], Tag("several")],
    ONE_OR_SEVERAL,
    BeforeValidator(lambda value: (value,) if is_name(value) or callable(value) else value),
]

POLICIES: dict[str, tuple[Transformation, ...]] = {
    "none": (),
    "light": (Translate(height=0.08, width=0.08), Rotate(degrees=10), Zoom(factor=0.1)),
    "standard": (Flip(), Crop(smallest=0.5), Color()),
    "strong": (
        Flip(),
        Rotate(degrees=15),
        Crop(smallest=0.25),
        Color(brightness=0.3, contrast=0.4, saturation=0.4, hue=0.05),
        Erase(),
    ),
    "randaugment": (Flip(), RandAugment()),
    "segmentation": (Flip(), Translate(), Rotate(), Zoom(factor=0.2), Color()),
    "signal": (Translate(height=0), Color(brightness=0, contrast=0.2), Noise()),
}
"""Transformations of each policy. `light` has no flip, because that would turn digits and letters into others. Signals
are images of one row to all of them: `signal` shifts them in time, scales them and adds noise."""


OF_COLORS: tuple[type[Transformation], ...] = (Color, Erase, RandAugment)
"""Transformations that change the colors of images, and nothing else of them or also something else."""


def transformations(augmentation: Augmentation) -> tuple[Transformation, ...]:
    """Return the transformations of a policy, or of a list."""
    return POLICIES[augmentation] if isinstance(augmentation, str) else augmentation
