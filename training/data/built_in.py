"""Data sets by name that need no download: they are made of scikit-learn's digits."""

from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from ...core.errors import InputError
from ...zoo.image_files import MODES, Dtype
from ...zoo.pixel_range import RAW
from .images import ImageData


class BuiltIn(NamedTuple):
    """Defaults of a data set; the function of its name, with underscores, in the module of that name makes it."""

    sides: tuple[int, int]
    """Height and width in pixels."""
    channels: int
    targets: str | None = None
    """Default of what may follow its name after a colon; None where nothing may."""


BUILT_IN = {
    "digits": BuiltIn((32, 32), 1),
    "digit-points": BuiltIn((64, 64), 1),
    "digit-scenes": BuiltIn((64, 64), 3, "segmentation"),
    "digit-strings": BuiltIn((32, 128), 1),
    "digit-defects": BuiltIn((32, 32), 1),
}


def is_built_in(source: str | Path) -> bool:
    """Return whether a source is one of these data sets, whatever follows its name after a colon."""
    return str(source).partition(":")[0] in BUILT_IN


def check_built_in(source: str) -> None:
    """Raise InputError where a data set has no such targets."""
    name, _, targets = source.partition(":")
    if targets and BUILT_IN[name].targets is None:
        raise InputError(f"{source} has {targets!r} after the name, but {name} has one kind of targets; leave it out.")
    if targets:
        import_module(f".{name.replace('-', '_')}", __package__).check_targets(targets)  # imports scikit-learn


def load_built_in(
    source: str,
    *,
    sides: tuple[int, int] | None,
    channels: int | None,
    seed: int,
    dtype: Dtype | None = None,
    pixel_range: tuple[float, float] | None = None,
) -> ImageData:
    """Return a data set; arguments as of `load_data`.

    Raises:
        InputError: It has no such targets, channels or size, or its pixels are of another type.
    """
    check_built_in(source)
    name, _, targets = source.partition(":")
    if channels not in (None, *MODES):
        raise InputError(f"channels is {channels}; allowed are 1 (gray) and 3 (RGB).")
    if dtype not in (None, "uint8") or pixel_range not in (None, RAW):
        raise InputError(f"{name} have uint8 pixels 0..255; they take no other dtype or pixel_range.")
    defaults, function = BUILT_IN[name], name.replace("-", "_")
    chosen = [] if defaults.targets is None else [targets or defaults.targets]
    make = getattr(import_module(f".{function}", __package__), function)
    made: ImageData = make(*chosen, sides or defaults.sides, channels or defaults.channels, seed)
    return made
