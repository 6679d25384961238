"""`pocketzoo predict`: what a model sees in pictures. Imports TensorFlow for Keras models only."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..zoo.errors import InputError
from ..zoo.registry import model_card
from . import console
from .heavy import import_tensorflow
from .options import Json, default_weights

if TYPE_CHECKING:
    from ..export import Artifact


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
    as_json: Json = False,
) -> None:
    """Classify images with an exported artifact, a saved model, or one of the zoo by name."""
    from ..export.prediction import predict as predict_images
    from ..zoo.pixels import read_image

    opened = _opened(model, weights)
    height, width, channels = opened.input.image_shape
    pixels = (read_image(path, height=height, width=width, channels=channels) for path in images)
    answers = [predict_images(opened, image).top(top)[0] for image in pixels]  # each may have a size of its own
    if as_json:
        named = [
            {"image": str(path), "top": [{"label": label, "probability": p} for label, p in answer]}
            for path, answer in zip(images, answers, strict=True)
        ]
        console.show_json(named)
        return
    rows = [
        (path, label, f"{probability:.2%}")
        for path, answer in zip(images, answers, strict=True)
        for label, probability in answer
    ]
    console.show_table(("image", "label", "probability"), rows)


def _opened(model: str, weights: str | None) -> "Artifact":
    from ..export.artifact import load_artifact

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
    from ..export.keras_artifact import as_artifact

    return as_artifact(zoo.create_model(model, weights=weights or default_weights(card)))
