"""What a check is given."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...artifact.metadata import Metadata
from ...formats import Format
from ..comparison import Reference


@dataclass(frozen=True)
class Subject:
    """An artifact that is to be put to something."""

    path: Path
    """The file, in the bundle's directory; what a check makes of it is put beside it."""
    kind: Format
    """Of which format it is, with the bars that apply."""
    metadata: Metadata
    """What it says of itself."""
    reference: Reference
    """Images, and what the Keras model answers to them."""
    bars: Mapping[str, float] = field(default_factory=dict)
    """Bars that the user set, by the names of gates or, for budgets, of facts, such as `arena_bytes`."""
