"""Contact sheet of augmented images."""

from pathlib import Path

import numpy as np
from PIL import Image

from ...core.arguments import Seed, check_arguments
from ...core.errors import InputError
from ...zoo.pixel_range import RAW
from ..recipe.augmentation import Augmentation, transformations
from ..recipe.recipe import Recipe
from .images import ImageData
from .pixel_format import displayable, to_raw

IMAGES, VERSIONS = 6, 7


@check_arguments
def write_contact_sheet(
    data: ImageData, path: str | Path, *, augmentation: Augmentation = "light", seed: Seed = 0
) -> None:
    """Draws a PNG with six images of the train split, one in each row: the original and seven augmented versions.

    Args:
        data: The dataset.
        path: The file.
        augmentation: A policy or a list, as in a recipe. Images are mixed with others on the sheet.
        seed: Seed for the choice of the images and for the augmentation.

    Raises:
        InputError: The path does not end in .png.
    """
    from ...core.atomic_files import atomic_path
    from .pipeline import augmented_images  # imports TensorFlow

    path = Path(path)
    if path.suffix.lower() != ".png":
        raise InputError(f"{path} is not the name of a picture; it must end in .png.")
    chosen = np.random.default_rng(seed).permutation(len(data.train))[:IMAGES]
    rows, recipe = np.sort(chosen), Recipe(augmentation=augmentation, seed=seed)
    columns = [to_raw(data.train.images.take(rows).astype("float32"), data.pixel_range)]
    for version in range(VERSIONS if transformations(augmentation) else 0):
        columns.append(augmented_images(data.train, recipe, rows, epoch=version)[0])
    sheet = displayable(np.stack(columns, axis=1).round().clip(0, 255).astype("uint8"), RAW)
    with atomic_path(path) as unfinished:
        _tiled(sheet).save(unfinished, format="png")


def _tiled(images: np.ndarray) -> Image.Image:
    """Return one picture of images `(rows, columns, height, width, channels)`, separated by white lines."""
    framed = np.pad(images, [(0, 0), (0, 0), (0, 4), (0, 4), (0, 0)], constant_values=255)
    rows, columns, height, width, channels = framed.shape
    picture = framed.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, channels)
    return Image.fromarray(picture[..., 0] if channels == 1 else picture)
