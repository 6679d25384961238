"""`pocketzoo evaluate`: how good a model or an artifact of it is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import console, options
from .heavy import import_tensorflow
from .options import Data, Json, SkipUnreadable

if TYPE_CHECKING:
    import keras

    from ..export import Artifact


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            help="A .keras, .tflite or .onnx file, or a name from `pocketzoo list`, with its first weights."
        ),
    ],
    data: Data,
    test_time_augmentation: Annotated[
        str | None,
        typer.Option(help="Average over views of each image: 'flip' (mirrored) or 'shift' (moved by a few pixels)."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            help="Folder for evaluation.json and pictures: confusion matrix, calibration, the images answered worst."
        ),
    ] = None,
    skip_unreadable: SkipUnreadable = False,
    as_json: Json = False,
) -> None:
    """Measure a model, or an artifact on its own runtime, on the test split of a dataset."""
    evaluated, shape = _opened(model)
    from .. import training

    images = options.load(data, shape, skip_unreadable)
    views = {"test_time_augmentation": test_time_augmentation}
    if report is None:
        evaluation = training.evaluate(evaluated, images, **views)
    else:
        evaluation = training.write_report(evaluated, images, report, **views)
    if as_json:
        console.show_json(console.evaluation_facts(evaluation))
        return
    console.show_evaluation(evaluation, title=f"{model} on the test split of {data}")
    if report is not None:
        typer.echo(f"Report: {report}")


def _opened(model: str) -> "tuple[Artifact | keras.Model, tuple[int | None, ...]]":
    """What is evaluated, and the height, width and channels of the images that it takes."""
    from ..export.loading import load_artifact
    from ..zoo.registry import model_card

    suffix = Path(model).suffix
    if suffix in (".tflite", ".onnx"):
        artifact = load_artifact(model)
        import_tensorflow()  # which feeds the images
        return artifact, artifact.input.image_shape
    weights = None if suffix == ".keras" else options.default_weights(model_card(model))
    import_tensorflow()
    from .. import zoo
    from ..zoo.signature import image_shape

    loaded = zoo.load_model(model) if weights is None else zoo.create_model(model, weights=weights)
    return loaded, image_shape(loaded)
