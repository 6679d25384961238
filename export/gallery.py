"""A gallery: images by their embeddings, of which the nearest to another image are found. Takes no TensorFlow."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import InputError
from ..tasks.registry import get_task
from ..tasks.retrieval import unit_vectors
from ..zoo.image_sources import image_files
from .artifact.artifact import Artifact
from .artifact.metadata import OutputForm
from .prediction import predict

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Neighbor:
    """An image of a gallery that was found."""

    path: Path
    label: str
    """Its class: the name of its folder in the gallery; empty without one."""
    similarity: float
    """Cosine similarity, -1..1."""


@dataclass(frozen=True)
class Gallery:
    """Images of a folder with their embeddings; `open_gallery` makes one."""

    paths: tuple[Path, ...]
    labels: tuple[str, ...]
    vectors: np.ndarray
    """Of length 1, float32 `(images, length)`."""
    skipped: tuple[str, ...] = ()
    """Why files were left out, where the caller asked to skip those that cannot be read."""

    def nearest(self, embedding: np.ndarray, count: int, *, without: str | Path | None = None) -> list[Neighbor]:
        """Return the images that are nearest to an embedding `(length,)`, the nearest first.

        Args:
            embedding: Output of the model of the gallery.
            count: Number of images.
            without: File of the image itself, which may be in the gallery and is not found then.
        """
        similarities = self.vectors @ unit_vectors(embedding[np.newaxis])[0]
        own = None if without is None else Path(without).resolve()
        order = [row for row in np.argsort(-similarities, kind="stable") if self.paths[row].resolve() != own]
        return [Neighbor(self.paths[row], self.labels[row], float(similarities[row])) for row in order[:count]]


def open_gallery(artifact: Artifact, folder: str | Path, *, skip_unreadable: bool = False) -> Gallery:
    """Compute the embeddings of all images in a folder; those in its subfolders are of the class named so.

    Args:
        artifact: An artifact whose only output is an embedding.
        folder: The folder.
        skip_unreadable: Leave out images that cannot be read, instead of stopping at the first.

    Raises:
        InputError: The output is no embedding; or the folder has fewer than two images, or a single class, or an image
            that cannot be read.
    """
    folder, form = Path(folder), artifact.output_forms
    if not isinstance(form, OutputForm) or not get_task(form.task).compares_images:
        what = "several outputs" if not isinstance(form, OutputForm) else f"the task {form.task}"
        raise InputError(
            f"{artifact.path} has {what}, but a gallery compares the output of an embedding; give a model with such a "
            "head, as create_model(..., head='embedding') and replace_head make it."
        )
    if not folder.is_dir():
        raise InputError(f"gallery {folder} is no folder; it takes one with images, or with a folder for each class.")
    files = image_files(folder)
    labels = [path.relative_to(folder).parts[0] if path.parent != folder else "" for path in files]
    if len(files) < 2:
        count = f"one image, {files[0].name}" if files else "no images"
        raise InputError(f"gallery {folder} has {count}; it takes 2 or more, to find the nearest.")
    if len(set(labels)) == 1 and labels[0]:
        raise InputError(
            f"gallery {folder} has one class, {labels[0]}, so the nearest image would always be of it; give 2 or more "
            "folders of classes, or the images without one."
        )
    found: list[tuple[Path, str, np.ndarray]] = []
    skipped = list[str]()
    for path, label in zip(files, labels, strict=True):
        try:
            prediction = predict(artifact, path)
        except InputError as error:
            if not skip_unreadable:
                raise
            skipped.append(str(error))
            continue
        assert not isinstance(prediction, dict)  # the only output was checked above
        found.append((path, label, prediction.probabilities[0]))
    if len(found) < 2:
        raise InputError(f"gallery {folder} has {len(found)} images that can be read; it takes 2 or more.")
    paths, names, vectors = zip(*found, strict=True)
    return Gallery(paths, names, unit_vectors(np.stack(vectors)), tuple(skipped))


def plot_nearest(image: np.ndarray, name: str, neighbors: list[Neighbor]) -> "Figure":
    """Return a sheet with an image, uint8 `(height, width, 3)`, and those that were found, of any size.

    Args:
        image: The image.
        name: Its file.
        neighbors: What was found.
    """
    from ..tasks.plots import plot_captioned
    from ..zoo.image_files import read_image

    height, width = image.shape[:2]
    found = [np.asarray(read_image(one.path, height=height, width=width), "uint8") for one in neighbors]
    captions = [("nearest:", False), *((f"{one.label} {one.similarity:.3f}".strip(), False) for one in neighbors)]
    return plot_captioned(np.stack([image, *found]), captions, [name, *(str(one.path) for one in neighbors)])
