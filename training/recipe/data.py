"""The section `data` of a recipe."""

from typing import Literal

from pydantic import PositiveInt

from .section import Section


class Data(Section):
    """What images to load, and how often and how strongly each counts in training."""

    source: str | None = None
    """As `training.load_data` takes it; what the command line or the caller gives comes first."""
    image_size: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None
    """Side, or height and width, in pixels; the model's by default."""
    class_weights: Literal["none", "inverse", "inverse_root", "effective"] = "none"
    """Weight of an image in the loss by how many there are of its class: `inverse` to the number, to its square root,
    or to the effective number of samples (arXiv:1901.05555); mean 1 over the images."""
    sampling: Literal["none", "over", "under"] = "none"
    """`over`: an epoch shows each class as often as the largest, images repeated. `under`: as often as the smallest,
    others left out, another choice in each epoch."""
    cache: bool = False
    """Keep decoded images in a file while the run lasts: for sources of large files that take long to decode."""
