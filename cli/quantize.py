"""`pocketzoo quantize`: a trained model trains on while it computes as integers will."""

from pathlib import Path
from typing import Annotated

import typer

from . import options, runs
from .heavy import import_tensorflow
from .options import Changes, Json, Overwrite, RecipeData, RecipeFile, Resume, SkipUnreadable


def quantize(
    model: Annotated[Path, typer.Argument(help="A .keras file of a trained model.")],
    run_dir: Annotated[Path, typer.Option(help="Where the run keeps its files.")],
    data: RecipeData = None,
    activation_bits: Annotated[
        int, typer.Option(help="8; or 16, more exact and slower, for TFLite only. Weights have 8.")
    ] = 8,
    recipe: RecipeFile = None,
    changes: Changes = None,
    skip_unreadable: SkipUnreadable = False,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Train a trained model for integers; RUN_DIR/best.keras exports to int8 without calibration images."""
    import_tensorflow()
    from .. import training, zoo
    from ..training.compression.quantization.quantize_aware import DEFAULT_RECIPE
    from ..zoo.signature import image_shape

    loaded = zoo.load_model(model)
    how = options.recipe(recipe, changes, DEFAULT_RECIPE)
    images = runs.load(data, how, image_shape(loaded), None, skip_unreadable)
    result = training.quantize_aware(
        loaded, images, how, activation_bits=activation_bits, run_dir=run_dir, resume=resume, overwrite=overwrite
    )
    title = f"{loaded.name}, int8 weights and {activation_bits}-bit activations"
    runs.show_change({"before": loaded, "after": result.model}, images, result, run_dir, title, as_json=as_json)
