"""`pocketzoo evaluate`: how good a model file is."""

from pathlib import Path
from typing import Annotated

import typer

from . import console, options
from .heavy import import_tensorflow
from .options import Data, Json, SkipUnreadable


def evaluate(
    model: Annotated[Path, typer.Argument(help="A .keras file.")],
    data: Data,
    skip_unreadable: SkipUnreadable = False,
    as_json: Json = False,
) -> None:
    """Measure a model on the test split of a dataset."""
    import_tensorflow()
    from .. import training, zoo
    from ..zoo.inputs import image_shape

    loaded = zoo.load_model(model)
    evaluation = training.evaluate(loaded, options.load(data, image_shape(loaded), skip_unreadable))
    if as_json:
        console.show_json(console.evaluation_facts(evaluation))
    else:
        console.show_evaluation(evaluation, title=f"{model} on the test split of {data}")
