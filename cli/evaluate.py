"""`pocketzoo evaluate`: metrics of a model or an artifact."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.atomic_files import check_output
from ..core.errors import InputError
from . import console
from .inputs import check_images, check_model, is_artifact_path, load_images, open_model, stated_range
from .model_contract import ModelContract
from .option_groups import DataReading
from .options import MODEL_FILE, Data, Json, Weights
from .results import evaluation_facts, show_evaluation
from .tensorflow_import import import_tensorflow

if TYPE_CHECKING:
    import keras

    from ..export import Artifact
    from .inputs import ImageShape


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            help=f"A .tflite or .onnx file, {MODEL_FILE}, or a name from `pocketzoo list`, with its first weights."
        ),
    ],
    data: Data,
    *,
    test_time_augmentation: Annotated[
        str | None,
        typer.Option(
            help="Average the predictions over views of each image: 'flip' (mirrored) or 'shift' (moved by a few "
            "pixels)."
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            help="Directory for evaluation.json and plots: confusion matrix, calibration, the worst predictions."
        ),
    ] = None,
    weights: Weights = None,
    contract: ModelContract,
    reading: DataReading,
    as_json: Json = False,
) -> None:
    """Evaluate a model, or an artifact in its runtime, on the test split of a dataset."""
    from ..training.augmentation.test_time import check_views

    check_model(model, weights, pretrained=True)
    contract.check()
    check_views(test_time_augmentation)
    if report is not None:
        check_output(report, folder=True)
    check_images(data, reading)
    evaluated, shape = _open(model, weights, contract)
    from .. import training
    from ..export import Artifact

    images = load_images(data, shape, reading, stated_range(evaluated))
    if not isinstance(evaluated, Artifact):
        contract.state(evaluated, images)
    if report is None:
        evaluation = training.evaluate(evaluated, images, test_time_augmentation=test_time_augmentation)
    else:
        evaluation = training.write_report(evaluated, images, report, test_time_augmentation=test_time_augmentation)
    if as_json:
        console.show_json(evaluation_facts(evaluation))
        return
    show_evaluation(evaluation, title=f"{model} on the test split of {data}")
    if report is not None:
        typer.echo(f"Report: {report}")


def _image_shape(artifact: "Artifact") -> "ImageShape":
    if len(artifact.inputs) > 1:
        raise InputError(
            f"{artifact.path} takes the inputs {', '.join(artifact.inputs)}, but files and folders have images alone; "
            "evaluate it in Python, by pocketzoo.training.evaluate."
        )
    artifact.check_takes_images()
    artifact.check_pixels_known()
    (tensor,) = artifact.inputs.values()
    return tensor.image_shape


def _open(model: str, weights: str | None, contract: ModelContract) -> "tuple[Artifact | keras.Model, ImageShape]":
    """Return the model or artifact, and the shape of the images that it takes."""
    from ..export.loading import load_artifact

    if is_artifact_path(model):
        artifact = contract.state_of_file(load_artifact(model))
        import_tensorflow()  # the image pipeline uses it
        return artifact, _image_shape(artifact)
    import_tensorflow()
    from ..zoo.signature import image_shape

    loaded = open_model(model, weights, pretrained=True)
    return loaded, image_shape(loaded)
