"""`pocketzoo evaluate`: how good a model file is."""

from pathlib import Path
from typing import Annotated

import typer

from . import console, options
from .heavy import import_tensorflow
from .options import Data, Json, SkipUnreadable


def evaluate(
    model: Annotated[
        str, typer.Argument(help="A .keras file, or a name from `pocketzoo list`, with its first weights.")
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
    """Measure a model on the test split of a dataset."""
    from ..zoo.registry import model_card

    weights = None if model.endswith(".keras") else options.default_weights(model_card(model))
    import_tensorflow()
    from .. import training, zoo
    from ..zoo.inputs import image_shape

    loaded = zoo.load_model(model) if weights is None else zoo.create_model(model, weights=weights)
    images = options.load(data, image_shape(loaded), skip_unreadable)
    if report is None:
        evaluation = training.evaluate(loaded, images, test_time_augmentation=test_time_augmentation)
    else:
        evaluation = training.write_report(loaded, images, report, test_time_augmentation=test_time_augmentation)
    if as_json:
        console.show_json(console.evaluation_facts(evaluation))
        return
    console.show_evaluation(evaluation, title=f"{model} on the test split of {data}")
    if report is not None:
        typer.echo(f"Report: {report}")
