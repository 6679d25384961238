"""`pocketzoo fit-anomaly`: a detector of anomalies from the good images of a dataset."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..core.atomic_files import check_output
from ..core.errors import InputError
from . import console
from .inputs import check_images, check_model, is_model_path, load_images, open_model, pretrained_model, stated_range
from .option_groups import DataReading
from .options import Data, ImageSize, Json, NameOrFile, Overwrite, Weights
from .results import evaluation_facts, show_evaluation
from .tensorflow_import import import_tensorflow


class Method(StrEnum):
    """Methods of `training.fit_anomaly`."""

    padim = "padim"
    patchcore = "patchcore"
    reconstruction = "reconstruction"


def fit_anomaly(
    model: NameOrFile,
    data: Data,
    out: Annotated[Path, typer.Option(help="The .keras file of the detector.")],
    *,
    weights: Weights = None,
    method: Annotated[
        Method,
        typer.Option(
            help="padim: features unlike those of good images at the same place; patchcore: unlike those at any place; "
            "reconstruction: the error of a trained autoencoder."
        ),
    ] = Method.padim,
    endpoints: Annotated[
        str | None,
        typer.Option(help="Layers whose features are compared, with commas; by default two that fit the image size."),
    ] = None,
    false_alarm_rate: Annotated[
        float, typer.Option(help="Share of good images above the threshold, where validation has no defects.")
    ] = 0.05,
    seed: Annotated[int, typer.Option(min=0, help="Seed for the choice of features.")] = 0,
    image_size: ImageSize = None,
    reading: DataReading,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Fit a detector of anomalies to the good images of a dataset, and evaluate it on the test split.

    A model by name has its first published weights, unless --weights names others. The backbone is not trained.
    """
    check_model(model, weights, pretrained=True)
    if check_output(out).suffix != ".keras":
        raise InputError(f"--out is {str(out)!r}; the name of the detector must end in .keras.")
    if out.exists() and not overwrite:
        raise InputError(f"{out} exists; add --overwrite to replace it, or name another file.")
    check_images(data, reading)
    import_tensorflow()
    from .. import training, zoo
    from ..zoo.registry import model_card
    from ..zoo.signature import image_shape

    if is_model_path(model):
        if image_size is not None:
            raise InputError(f"--image-size is {image_size}, but {model} has a size of its own; leave it out.")
        backbone = open_model(model)
        images = load_images(data, image_shape(backbone), reading, stated_range(backbone))
    else:
        *sides, channels = model_card(model).input_shape
        images = load_images(data, (*([image_size] * 2 if image_size else sides), channels), reading)
        backbone = pretrained_model(model, weights, images.image_shape)
    names = None if endpoints is None else [name.strip() for name in endpoints.split(",")]
    fitted = training.fit_anomaly(
        backbone, images, method=method.value, endpoints=names, false_alarm_rate=false_alarm_rate, seed=seed
    )
    zoo.save_model(fitted.model, out)
    try:
        evaluation = training.evaluate(fitted.model, images.test)
    except InputError as error:  # of good images alone, which suffice for a detector
        typer.echo(f"Not evaluated: {error}", err=True)
        evaluation = None
    if as_json:
        facts = None if evaluation is None else evaluation_facts(evaluation)
        console.show_json(fitted.to_dict() | {"test": facts, "model": str(out)})
        return
    if evaluation is not None:
        show_evaluation(evaluation, title=f"{backbone.name} with {method.value} on the test split of {data}")
    typer.echo(f"Compared: {', '.join(fitted.endpoints) or 'images and their reconstructions'}")
    typer.echo(f"Threshold: {fitted.threshold:.4g}, {fitted.rule}\nDetector: {out}")
