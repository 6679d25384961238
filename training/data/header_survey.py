"""Statistics of a dataset from the headers of its image files alone, in a fraction of the time of decoding them."""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from ...core.arguments import check_arguments
from ...core.encoded_images import ImageHeader, read_header
from ...core.errors import InputError
from ...core.outputs import by_name, map_outputs
from ...core.short_repr import ShortRepr
from ...tasks.registry import get_task
from .built_in import is_built_in
from .files import Files
from .folders import Layout
from .listing import Listing, Target
from .reading import for_each
from .sources import list_source
from .splitting import SPLITS
from .survey import count_labels, extreme_sizes

UNSPLIT = "unsplit"
"""What the only part of a source without splits is called: which images training would take depends on their pixels."""
NOT_CHECKED = (
    "damage behind the headers",
    "copies of images, within a split or across splits and classes",
    "brightness and range of the pixels",
    "the split that training would make",
    "the classes in masks",
)
"""What headers do not tell; `survey` does."""


@dataclass(frozen=True)
class HeaderSurvey(ShortRepr):
    """Result of `survey_headers`."""

    source: str
    task: str | dict[str, str]
    """Name of the task; a dict for several outputs."""
    images: dict[str, int]
    """Number of images by split that the source has; under `"unsplit"` where it has none."""
    labels: dict[str, dict[str, float]] | dict[str, dict[str, dict[str, float]]]
    """Number of images by class and split; for a regression, values by name. By output where there are several. Empty
    for masks."""
    sizes: dict[str, tuple[int, int]]
    """Height and width of the smallest, the median and the largest image by area."""
    formats: dict[str, int]
    """Number of images by format of their content, such as `JPEG`."""
    modes: dict[str, int]
    """Number of images by Pillow's name for their bands and bits, such as `RGB`."""
    unreadable: dict[str, str]
    """What is wrong with each file or class folder that cannot be used, by name."""
    interpretation: str
    """How a folder was read, in a sentence; empty for sources whose form states what they are."""
    not_checked: tuple[str, ...] = NOT_CHECKED
    """What only a survey of the pixels tells."""

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as plain data, for JSON."""
        return asdict(self)


@check_arguments
def survey_headers(data: str | Path, *, layout: Layout | None = None) -> HeaderSurvey:
    """Return what the headers of all image files of a source say; no pixels are decoded, and few bytes are read.

    Args:
        data: A source of files, as in `load_data`: a folder, a table, shards.
        layout: What the subfolders of a folder are, as in `load_data`.

    Raises:
        InputError: There is no such source, it is invalid or not made of files, or none of its images has a header.
    """
    if is_built_in(data):
        raise InputError(f"{data} is not made of files; its images have no headers to read.")
    listing = list_source(data, layout)
    errors: dict[str, str] = {lost.name: str(lost.error) for lost in listing.lost} | listing.empty

    def read(row: int) -> ImageHeader | None:
        try:
            return _read_row(listing, row)
        except InputError as error:
            errors[listing.images.name(row)] = str(error)
            return None

    found = for_each(read, range(len(listing)), "Reading headers")
    headers = [header for header in found if header is not None]
    if not headers:
        raise InputError(
            f"{listing.source}: none of {len(errors)} images can be read, first {next(iter(errors.values()))}"
        )
    usable = listing.at(np.flatnonzero([header is not None for header in found]))
    names = [name for name in SPLITS if name not in listing.missing]
    splits = usable.splits if len(names) > 1 else np.full(len(usable), UNSPLIT, object)
    names = names if len(names) > 1 else [UNSPLIT]

    def labels(target: Target) -> dict[str, dict[str, float]]:
        return {} if get_task(target.task).class_unit == "pixels" else count_labels(target, splits, names)

    return HeaderSurvey(
        source=listing.source,
        task=map_outputs(lambda target: target.task, usable.targets),
        images={name: int((splits == name).sum()) for name in names},
        labels=map_outputs(labels, usable.targets),
        sizes=extreme_sizes(header.size for header in headers),
        formats=dict(Counter(header.format for header in headers).most_common()),
        modes=dict(Counter(header.mode for header in headers).most_common()),
        unreadable=dict(sorted(errors.items())),
        interpretation=listing.interpretation,
    )


def _read_row(listing: Listing, row: int) -> ImageHeader:
    """Return the header of an image; raises InputError where its mask has another size."""
    with cast(Files, listing.images).open(row) as file:
        header = read_header(file, listing.images.name(row))
    for target in by_name(listing.targets).values():
        if target.in_files:
            name = target.rows.name(row)
            with target.rows.open(row) as file:
                size = read_header(file, name).size
            get_task(target.task).check_size(size, name, header.size)
    return header
