"""The section `data` of a recipe."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from .section import Section

Side = Annotated[int, Field(gt=0, le=2**14)]


def _height_and_width(value: Any) -> Any:
    return (value, value) if isinstance(value, int | str) else value


class Data(Section):
    """Images to load, class weights and sampling."""

    source: str | None = None
    """Data source, as in `training.load_data`; an explicit argument of the command or the caller takes precedence."""
    image_size: Annotated[tuple[Side, Side] | None, BeforeValidator(_height_and_width)] = None
    """Side, or height and width, in pixels; by default those of the model."""
    layout: Literal["classes", "splits", "masks", "pairs", "defects"] | None = None
    """What the subfolders of a folder are, as in `training.load_data`; recognized if not set."""
    ignore: int | None = None
    """Label of the pixels of masks that have no class, often 255: they count in no loss and no metric."""
    class_weights: Literal["none", "inverse", "inverse_root", "effective"] = "none"
    """Weight of an image in the loss, by the number of images in its class: `inverse` to the number, to its square
    root, or to the effective number of samples (arXiv:1901.05555). The mean weight is 1."""
    sampling: Literal["none", "over", "under"] = "none"
    """`over`: oversampling, an epoch has as many images of each class as of the largest, with repetitions. `under`:
    undersampling, as many as of the smallest, a different selection in each epoch."""
    images_per_class: Annotated[int, Field(ge=2)] | None = None
    """Images of each class in a batch, whose size is a multiple of it: a batch has random classes, each as often as any
    other, and an epoch as many images as there are, without a rest of a batch. null: any images in a batch; for an
    embedding, whose losses compare images, 4, or 3 or 2 where the batch size is no multiple of 4."""
    cache: bool | Literal["auto"] = "auto"
    """Keep decoded training images in a temporary file during the run, so that each is decoded once. The file has one
    byte per pixel and channel; `auto` keeps up to 2 GiB, and at most half of the free space of the temporary folder."""
