"""`pocketzoo quantize`: quantization-aware training."""

from typing import Annotated

import typer

from .inputs import open_training_inputs
from .model_contract import FromLogits, Labels, Pixels, Task, state
from .options import (
    Changes,
    FolderLayout,
    Ignore,
    Json,
    Overwrite,
    RecipeData,
    RecipeFile,
    Resume,
    RunDir,
    SkipUnreadable,
    TrainedModel,
)
from .results import show_compression
from .tensorflow_import import import_tensorflow


def quantize(
    model: TrainedModel,
    run_dir: RunDir,
    data: RecipeData = None,
    activation_bits: Annotated[
        int, typer.Option(help="8; or 16, more accurate, slower, and for TFLite only. Weights have 8 bits.")
    ] = 8,
    recipe: RecipeFile = None,
    changes: Changes = None,
    task: Task = None,
    labels: Labels = None,
    pixels: Pixels = None,
    from_logits: FromLogits = None,
    layout: FolderLayout = None,
    ignore: Ignore = None,
    skip_unreadable: SkipUnreadable = False,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Train a trained model with fake quantization; RUN_DIR/best.keras exports to int8 without calibration images."""
    import_tensorflow()
    from .. import training
    from ..training.compression.quantization.quantize_aware import DEFAULT_RECIPE

    inputs = open_training_inputs(model, data, recipe, changes, skip_unreadable, DEFAULT_RECIPE, layout, ignore)
    state(inputs.model, task, labels, pixels, from_logits)
    result = training.quantize_aware(
        inputs.model,
        inputs.data,
        inputs.recipe,
        activation_bits=activation_bits,
        run_dir=run_dir,
        resume=resume,
        overwrite=overwrite,
    )
    title = f"{inputs.model.name}, int8 weights and {activation_bits}-bit activations"
    show_compression(inputs.model, result, inputs.data, run_dir, title, as_json=as_json)
