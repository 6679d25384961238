"""The section `data` of a recipe."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, PositiveInt

from .section import Section


def _sides(value: Any) -> Any:
    return (value, value) if isinstance(value, int | str) else value


class Data(Section):
    """What images to load, and how often and how strongly each counts in training."""

    source: str | None = None
    """As `training.load_data` takes it; what the command line or the caller gives comes first."""
    image_size: Annotated[tuple[PositiveInt, PositiveInt] | None, BeforeValidator(_sides)] = None
    """Side, or height and width, in pixels; the model's by default."""
    class_weights: Literal["none", "inverse", "inverse_root", "effective"] = "none"
    """Weight of an image in the loss by how many there are of its class: `inverse` to the number, to its square root,
    or to the effective number of samples (arXiv:1901.05555); mean 1 over the images."""
    sampling: Literal["none", "over", "under"] = "none"
    """`over`: an epoch shows each class as often as the largest, images repeated. `under`: as often as the smallest,
    others left out, another choice in each epoch."""
    cache: bool | Literal["auto"] = "auto"
    """Keep decoded training images in a temporary file while the run lasts, so that each is decoded once. It has as
    many bytes as the images have pixels, times their channels; `auto` keeps up to 2 GiB, and no more than half of the
    free space of the folder for temporary files."""
