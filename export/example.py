"""An image of the user's that a bundle shows, and what its files give for it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.errors import InputError
from ..tasks.registry import get_task
from .artifact.directories import CORE_ML
from .artifact.manifest import Manifest
from .artifact.metadata import Metadata
from .artifact.report import escape, markdown_table

PLAIN_NAME = re.compile(r"[\w .,()+=-]+", re.ASCII)
"""Names that mean nothing else in a comment of a program."""
ABOUT = "is an image of the kind that the model is for."
ROWS = 3
"""Classes, or values, that are shown of a prediction where one does not say all."""


@dataclass(frozen=True)
class Example:
    """One image in the size of the model, without the metadata of its file."""

    file: str
    """Its name in the bundle."""
    pixels: np.ndarray
    """Uint8 `(height, width, channels)`, 1 channel or 3."""

    @classmethod
    def from_file(cls, path: Path, metadata: Metadata) -> "Example":
        """Read an image file for a model.

        Raises:
            InputError: It is no image file, or the model takes others, or its outputs are not shown with labels.
        """
        from ..zoo.image_files import read_image

        check_example(path)
        if not metadata.is_plain or metadata.image_shape[-1] not in (1, 3):
            raise InputError(f"{path} cannot be an example: {metadata.model} does not take one grayscale or RGB image.")
        if get_task(metadata.task).figure_name is None:
            raise InputError(
                f"{path} cannot be an example: outputs of {metadata.model} ({metadata.task}) have no names."
            )
        height, width, channels = metadata.image_shape
        name = f"{path.stem}.png"
        pixels = read_image(path, height=height, width=width, channels=channels)
        return cls(name if PLAIN_NAME.fullmatch(name) else "example.png", pixels)

    def save(self, folder: Path) -> None:
        """Write it into a bundle."""
        from PIL import Image

        Image.fromarray(self.pixels if self.pixels.shape[-1] == 3 else self.pixels[..., 0]).save(folder / self.file)


def check_example(path: Path) -> None:
    """Raise InputError where there is no complete image file at `path`."""
    from ..zoo.image_files import read_image

    if not path.is_file():
        raise InputError(f"example {path}: there is no such file.")
    read_image(path, height=None, width=None)


def example_lines(manifest: Manifest, folder: Path, file: str, about: str = ABOUT) -> Iterator[str]:
    """The section of a README on the image `file` in a bundle.

    Args:
        manifest: Everything about the bundle.
        folder: The bundle.
        file: Name of the image.
        about: What it shows, behind its name.
    """
    from .loading import load_artifact
    from .prediction import Prediction, predict

    task = get_task(manifest.model.task)
    rows = []
    for record in manifest.artifacts:
        if record.file.endswith(CORE_ML):  # macOS alone runs it
            continue
        prediction = predict(load_artifact(folder / record.file), folder / file)
        assert isinstance(prediction, Prediction)  # of a model with one output
        shown = prediction.rows(1 if task.one_decision_per_image else ROWS)[0][:ROWS]
        rows.append((record.file, ", ".join(f"{escape(label)}: {task.format_figure(value)}" for label, value in shown)))
    yield f"`{file}` {about} The files give:"
    yield ""
    yield from markdown_table(("file", "prediction"), rows)
