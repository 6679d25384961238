"""`pocketzoo predict`: what an artifact sees in pictures. Imports no TensorFlow."""

from pathlib import Path
from typing import Annotated

import typer

from . import console
from .options import Json


def predict(
    artifact: Annotated[Path, typer.Argument(help="A .tflite or .onnx file.")],
    images: Annotated[list[Path], typer.Argument(help="Image files.")],
    top: Annotated[int, typer.Option(min=1, help="How many classes to show for each image.")] = 3,
    as_json: Json = False,
) -> None:
    """Classify images with an exported artifact."""
    import numpy as np

    from ..export.artifact import load_artifact
    from ..export.prediction import predict as predict_images
    from ..zoo.pixels import read_image

    opened = load_artifact(artifact)
    _, height, width, channels = opened.input.shape
    pixels = np.stack([read_image(path, height=height, width=width, channels=channels) for path in images])
    answers = predict_images(opened, pixels).top(top)
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
