"""The form of measurements of exported models.

`training` and `export` do not import each other, so what needs both takes a function that measures. Those of
`export.footprint` have the types defined here: `measure_artifacts` and `measure_footprints`.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import keras


class FileSize(Protocol):
    """Size of a file."""

    @property
    def bytes(self) -> int:
        """Of the file itself."""

    @property
    def gzip_bytes(self) -> int:
        """Of the file compressed with gzip, as it is downloaded."""


class ArtifactCost(Protocol):
    """Size and latency of one artifact."""

    @property
    def size(self) -> FileSize:
        """Of the artifact's file."""

    @property
    def median_ms(self) -> float:
        """Median latency in milliseconds: one image, one thread."""


class Footprint(Protocol):
    """Size and latency of one model in every format in which it ships."""

    @property
    def parameters(self) -> int:
        """Number of parameters."""

    @property
    def nonzero(self) -> int:
        """Number of parameters that are not exactly zero."""

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds for one image."""

    @property
    def saved(self) -> FileSize:
        """Size of the `.keras` file."""

    @property
    def artifacts(self) -> Mapping[str, ArtifactCost]:
        """By format, such as `tflite-fp32`."""

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain data, for JSON."""


class MeasureArtifacts(Protocol):
    """Converts each model to one format and measures the artifacts."""

    def __call__(self, models: Mapping[str, keras.Model], formats: Mapping[str, str]) -> Mapping[str, ArtifactCost]:
        """Return the costs by the names of `models`, given the name of a format for each of them."""


class MeasureFootprints(Protocol):
    """Measures models side by side in the formats in which they ship."""

    def __call__(self, models: Mapping[str, keras.Model]) -> Mapping[str, Footprint]:
        """Return the footprints by the names of `models`."""
