"""`pocketzoo predict`: what a model sees in pictures. Imports TensorFlow for Keras models only."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import InputError
from ..zoo.registry import model_card
from . import console
from .inputs import default_weights
from .options import Json
from .tensorflow_import import import_tensorflow

if TYPE_CHECKING:
    from ..export import Artifact, Prediction

FIELDS = {"segmentation": "share", "regression": "value"}
"""What the figure of an answer is, where it is no probability."""
MOST_CLASSES = 256
PALETTE = [
    channel for index in range(MOST_CLASSES) for channel in (index * 67 % 256, index * 131 % 256, index * 197 % 256)
]
"""A colour for each class, far from those of its neighbours; the first is black."""


def predict(
    model: Annotated[
        str, typer.Argument(help="A .tflite, .onnx or .keras file, or a name from `pocketzoo list --pretrained`.")
    ],
    images: Annotated[list[Path], typer.Argument(help="Image files.")],
    top: Annotated[int, typer.Option(min=1, help="How many classes to show for each image.")] = 3,
    weights: Annotated[
        str | None,
        typer.Option(help="For a name: which weights, as `pocketzoo info NAME` lists them; the first if none."),
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(help="Of a segmentation: a folder for its masks, PNG with a colour for each class.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Ask about images an exported artifact, a saved model, or one of the zoo by name."""
    from ..export.prediction import predict as predict_images
    from ..zoo.image_files import read_image

    opened = _opened(model, weights)
    pictures = [None] * len(images) if masks is None else _pictures(masks, images)
    height, width, channels = opened.input.image_shape
    told = []
    for path, picture in zip(images, pictures, strict=True):  # one by one: each may have a size of its own
        prediction = predict_images(opened, read_image(path, height=height, width=width, channels=channels))
        told.append((path, _told(prediction, top)))
        if picture is not None:
            _write_mask(picture, prediction)
    field = FIELDS.get(prediction.task, "probability")
    if as_json:
        named = [
            {"image": str(path), "top": [{"label": label, field: figure} for label, figure in answer]}
            for path, answer in told
        ]
        console.show_json(named)
        return
    rows = [
        (path, label, f"{figure:.6g}" if field == "value" else f"{figure:.2%}")
        for path, answer in told
        for label, figure in answer
    ]
    console.show_table(("image", "label", field), rows)


def _told(prediction: "Prediction", top: int) -> list[tuple[str, float]]:
    """What is shown of one image."""
    if prediction.task == "segmentation":
        return prediction.shares()[0][:top]
    return prediction.values()[0] if prediction.task == "regression" else prediction.top(top)[0]


def _pictures(folder: Path, images: Sequence[Path]) -> list[Path]:
    """Where the mask of each image is put, under its name."""
    names = [path.stem for path in images]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise InputError(f"two images are called {twice!r}; their masks would have the same name.")
    return [folder / f"{name}.png" for name in names]


def _write_mask(path: Path, prediction: "Prediction") -> None:
    """A PNG whose values are the indices of the classes, each of which has a colour."""
    from PIL import Image

    from ..core.atomic_files import atomic_path

    (mask,) = prediction.masks
    if len(prediction.labels) > MOST_CLASSES:
        raise InputError(f"there are {len(prediction.labels)} classes; a mask in PNG holds {MOST_CLASSES} at most.")
    picture = Image.fromarray(mask.astype("uint8"))
    picture.putpalette(PALETTE)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG")


def _opened(model: str, weights: str | None) -> "Artifact":
    from ..export.loading import load_artifact

    path = Path(model)
    if path.suffix and weights is not None:
        raise InputError(f"{model} has its own weights; --weights goes with a model by name.")
    if path.suffix:
        if path.suffix == ".keras":
            import_tensorflow()
        return load_artifact(path)
    card = model_card(model)
    import_tensorflow()
    from .. import zoo
    from ..export.runtimes.keras import as_artifact

    return as_artifact(zoo.create_model(model, weights=weights or default_weights(card)))
