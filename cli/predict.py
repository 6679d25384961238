"""`pocketzoo predict`: predictions for image files. Imports TensorFlow for Keras models only."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import InputError
from ..zoo.registry import model_card
from . import console
from .inputs import check_weights, is_model_path, open_model
from .options import MODEL_FILE, Json
from .tensorflow_import import import_tensorflow

if TYPE_CHECKING:
    from ..export import Artifact, Prediction


def predict(
    model: Annotated[
        str,
        typer.Argument(help=f"A .tflite or .onnx file, {MODEL_FILE}, or a name from `pocketzoo list --pretrained`."),
    ],
    images: Annotated[list[Path], typer.Argument(help="Image files.")],
    top: Annotated[int, typer.Option(min=1, help="How many classes to show for each image.")] = 3,
    weights: Annotated[
        str | None,
        typer.Option(help="For a name: which weights, as `pocketzoo info NAME` lists them; the first if none."),
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(help="Folder for the masks of a segmentation: PNG with a color for each class.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Predict with an exported artifact, a saved model, or a model of the zoo by name."""
    from ..export.prediction import predict as predict_images
    from ..tasks import get_task
    from ..zoo.image_files import read_image

    artifact = _open(model, weights)
    mask_files = [None] * len(images) if masks is None else _mask_files(masks, images)
    height, width, channels = artifact.input.image_shape
    rows: list[tuple[Path, list[tuple[str, float]]]] = []
    for path, mask_file in zip(images, mask_files, strict=True):  # one by one: with an open size, sizes may differ
        prediction = predict_images(artifact, read_image(path, height=height, width=width, channels=channels))
        rows.append((path, prediction.rows(top)[0]))
        if mask_file is not None:
            _write_mask(mask_file, prediction)
    task = get_task(prediction.task)
    if as_json:
        console.show_json(
            [
                {"image": str(path), "top": [{"label": label, task.figure_name: figure} for label, figure in of_image]}
                for path, of_image in rows
            ]
        )
        return
    cells = [(path, label, task.format_figure(figure)) for path, of_image in rows for label, figure in of_image]
    console.show_table(("image", "label", task.figure_name), cells)


def _mask_files(folder: Path, images: Sequence[Path]) -> list[Path]:
    """Path of the mask of each image, under the name of the image."""
    names = [path.stem for path in images]
    duplicate = next((name for name in names if names.count(name) > 1), None)
    if duplicate:
        raise InputError(f"two images are called {duplicate!r}; their masks would have the same name.")
    return [folder / f"{name}.png" for name in names]


def _write_mask(path: Path, prediction: "Prediction") -> None:
    """Write the predicted mask as a PNG of class indices, with a color for each class."""
    from ..core.atomic_files import atomic_path
    from ..tasks import get_task

    picture = get_task(prediction.task).picture(prediction.probabilities[0])
    if picture is None:
        raise InputError(f"the outputs of a {prediction.task} are not masks.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG")


def _open(model: str, weights: str | None) -> "Artifact":
    from ..export.loading import load_artifact

    check_weights(model, weights)
    if is_model_path(model):
        import_tensorflow()
    if is_model_path(model) or Path(model).suffix:
        return load_artifact(model)
    model_card(model)
    import_tensorflow()
    from ..export.loading import to_artifact

    return to_artifact(open_model(model, weights, pretrained=True))
