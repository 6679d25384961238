"""From a listing of files to a dataset: each file is read once and validated before training begins."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.pool import ThreadPool
from typing import Any, Literal

import numpy as np
from rich.progress import track

from ...core.encoded_images import read_values
from ...core.errors import InputError
from ...core.outputs import by_name, map_outputs
from ...core.safe_console import SafeConsole
from ...tasks.registry import get_task
from ...zoo.image_files import MODES, Dtype, fit_values
from ...zoo.pixel_range import Range
from .images import FileImages, ImageData, ImageSplit
from .listing import Listing, Lost, Target
from .partition import contradictions, partition
from .pixel_format import PixelFormat, choose_format

OnUnreadable = Literal["raise", "skip"]


@dataclass(frozen=True)
class FileFacts:
    """What is known of an image file after it was read once."""

    file: bytes
    """Hash of its bytes."""
    pixels: bytes
    """Hash of its pixels in full size, equal for copies in any format that keeps them."""
    dtype: str
    """NumPy dtype of its values as stored."""
    size: tuple[int, int]
    """Height and width as stored."""
    bands: int
    lowest: float
    highest: float


def read_listing(
    listing: Listing,
    sides: tuple[int, int],
    channels: int | None,
    *,
    seed: int,
    on_unreadable: OnUnreadable,
    dtype: Dtype | None = None,
    pixel_range: Range | None = None,
) -> ImageData:
    """Return the dataset of a listing whose images are files, resized to `sides`.

    Missing splits are stratified by the classes of the (first) classification, if there is one.

    Args:
        listing: The files.
        sides: Height and width.
        channels: Channels of the images; None for 3, or the bands of the files where these are not 8-bit images.
        seed: Seed for the split.
        on_unreadable: Whether files that cannot be used are an error or left out.
        dtype: Dtype of the pixels, and `pixel_range` their range, as in `choose_format`.
        pixel_range: See above.

    Raises:
        InputError: A file cannot be used and is not to be skipped, an image is in two splits or classes, or a class
            has too few.
    """
    if listing.empty:
        raise InputError(next(iter(listing.empty.values())))
    facts, bad = read_all(listing)
    found = [fact for fact in facts if fact is not None]
    pixels = pixel_format(found, listing, dtype=dtype, pixel_range=pixel_range)
    channels = channels or usual_channels(found, pixels)
    for row, fact in enumerate(facts):
        if fact is not None and (error := _misfit(fact, listing.images.name(row), pixels.dtype, channels)):
            bad[row] = Lost(listing.images.name(row), str(listing.splits[row]), error)
    contents = contents_of(facts)
    lost = (*listing.lost, *(bad[row] for row in sorted(bad)))
    if lost and on_unreadable == "raise":
        raise InputError(
            f"{listing.source}: {len(lost)} of {len(listing) + len(listing.lost)} images cannot be read, first "
            f"{lost[0].error} Remove them, or skip them (on_unreadable='skip', --skip-unreadable)."
        )
    if on_unreadable == "skip":
        contradictory = contradictions(listing, contents, [row for row in range(len(listing)) if row not in bad])
        lost, bad = (*lost, *contradictory.values()), bad | contradictory
    good = [row for row in range(len(listing)) if row not in bad]
    usable = listing.at(np.array(good, int))
    sizes = [fact.size for row in good if (fact := facts[row]) is not None]
    usable = replace(usable, targets=map_outputs(lambda each: _settled(each, sizes, listing.source), usable.targets))
    parts = partition(usable, [contents[row] for row in good], missing=listing.missing, seed=seed)

    def split(part: Listing) -> ImageSplit:
        targets = map_outputs(lambda target: target.as_targets(*sides), part.targets)
        return ImageSplit(FileImages(part.images, (*sides, channels), pixels.dtype), targets)

    train, validation, test = map(split, parts)
    return ImageData(
        listing.source,
        map_outputs(lambda target: target.labels, usable.targets),
        train,
        validation,
        test,
        skipped=tuple(image.name for image in lost),
        task=map_outputs(lambda target: target.task, usable.targets),
        interpretation=" ".join(filter(None, (listing.interpretation, pixels.note))),
        pixel_range=pixels.pixel_range,
        ignore=listing.ignore,
    )


def read_all(listing: Listing) -> tuple[list[FileFacts | None], dict[int, Lost]]:
    """Decodes every file, so that training does not stop at a damaged one hours later.

    Returns:
        Facts of each image file, and by row the images that cannot be used, or whose target in a file cannot.
    """
    in_files = [target for target in by_name(listing.targets).values() if target.in_files]
    bad: dict[int, Lost] = {}

    def read(row: int) -> FileFacts | None:
        try:
            encoded = listing.images.read(row)
            facts, values = read_facts(encoded, listing.images.name(row))
            for target in in_files:
                target.check_file(target.decode(row), row, values.shape[:2])
            return facts
        except InputError as error:
            bad[row] = Lost(listing.images.name(row), str(listing.splits[row]), error)
            return None

    return for_each(read, range(len(listing)), "Reading images"), bad


def read_facts(encoded: bytes, name: str) -> tuple[FileFacts, np.ndarray]:
    """Return the facts of an image file and its values, `(height, width, bands)`.

    Raises:
        InputError: It cannot be read, or has values that are not finite.
    """
    values = read_values(encoded, name)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise InputError(f"{name} has pixels that are no finite numbers.")
    colors = np.repeat(values, 3, axis=-1) if values.shape[-1] == 1 else values  # gray may be stored as color
    digest = hashlib.sha256(f"{colors.dtype} {colors.shape}".encode())
    digest.update(np.ascontiguousarray(colors).data)
    facts = FileFacts(
        hashlib.sha256(encoded).digest(),
        digest.digest(),
        str(values.dtype),
        values.shape[:2],
        values.shape[-1],
        float(values.min()),
        float(values.max()),
    )
    return facts, values


def contents_of(facts: Sequence[FileFacts | None]) -> list[bytes]:
    """Return a hash for each image, equal for those of the same pixels: that of the file whose hash is the smallest.

    Of an image without copies it is the hash of its bytes, so that its split is the same for every size it is read in.
    """
    smallest: dict[bytes, bytes] = {}
    for fact in filter(None, facts):
        smallest[fact.pixels] = min(fact.file, smallest.get(fact.pixels, fact.file))
    return [b"" if fact is None else smallest[fact.pixels] for fact in facts]


def pixel_format(
    facts: Sequence[FileFacts], listing: Listing, *, dtype: Dtype | None, pixel_range: Range | None
) -> PixelFormat:
    """Return the format of the images of a listing; errors as of `choose_format`.

    What the listing states applies where the user states nothing.
    """
    if not facts:
        return PixelFormat()
    low, high = min(fact.lowest for fact in facts), max(fact.highest for fact in facts)
    if dtype is None:
        dtype = listing.dtype
        pixel_range = listing.pixel_range if pixel_range is None else pixel_range
    found = {fact.dtype for fact in facts}
    return choose_format(found, low, high, listing.source, dtype=dtype, pixel_range=pixel_range)


def usual_channels(facts: Sequence[FileFacts], pixels: PixelFormat) -> int:
    """Return 3, or the bands of the files: of those with other values than 8 bits, or with more than three bands."""
    bands = {fact.bands for fact in facts}
    return bands.pop() if len(bands) == 1 and (pixels.dtype != "uint8" or not bands & set(MODES)) else 3


def _misfit(fact: FileFacts, name: str, dtype: Dtype, channels: int) -> InputError | None:
    """Return why the values of a file cannot have that dtype and number of channels; None if they can."""
    extremes = np.full((1, 2, fact.bands), fact.lowest, fact.dtype)
    extremes[:, 1] = fact.highest
    try:
        fit_values(extremes, name, height=1, width=2, channels=channels, dtype=dtype)
    except InputError as error:
        return error
    return None


def for_each(function: Callable[[int], Any], rows: Sequence[int], description: str) -> list[Any]:
    """Return the results of `function` for each row, in parallel; many rows show a progress bar on standard error."""
    console = SafeConsole(stderr=True, quiet=len(rows) < 500)
    with ThreadPool() as pool:  # in chunks: a future for each of 100,000 files would take 200 MB
        return list(track(pool.imap(function, rows, chunksize=16), description, total=len(rows), console=console))


def _settled(target: Target, sizes: Sequence[tuple[int, int]], source: str) -> Target:
    """Return the target with the labels and the scale that its files show; `sizes` are those of the images."""
    task = get_task(target.task)
    if isinstance(target.rows, np.ndarray) or (target.labels is not None and not task.may_enlarge):
        return target
    rows = range(len(target.rows))
    facts = for_each(lambda row: task.file_facts(target.decode(row), sizes[row]), rows, "Reading targets")
    by_file = {target.rows.name(row): fact for row, fact in zip(rows, facts, strict=True)}
    labels, scale = task.settle_files(by_file, source, target.ignore)
    return replace(target, labels=target.labels or labels, scale=scale)
