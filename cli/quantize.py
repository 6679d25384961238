"""`pocketzoo quantize`: quantization-aware training."""

from typing import Annotated

import typer

from .inputs import check_stage, open_training_inputs
from .model_contract import ModelContract
from .option_groups import DataReading, RunControl, TrainingSetup
from .options import Json, RunDir, TrainedModel
from .results import show_compression


def quantize(
    model: TrainedModel,
    run_dir: RunDir,
    *,
    setup: TrainingSetup,
    activation_bits: Annotated[
        int, typer.Option(help="8; or 16, more accurate, slower, and for TFLite only. Weights have 8 bits.")
    ] = 8,
    contract: ModelContract,
    reading: DataReading,
    run: RunControl,
    as_json: Json = False,
) -> None:
    """Train a trained model with fake quantization; RUN_DIR/best.keras exports to int8 without calibration images."""
    from .. import training
    from ..training.compression.default_recipes import QUANTIZATION
    from ..training.compression.pipeline.spec import QuantizationStage

    check_stage(QuantizationStage, activation_bits=activation_bits)
    inputs = open_training_inputs(model, setup, reading, contract, QUANTIZATION)
    result = training.quantize_aware(
        inputs.model,
        inputs.data,
        inputs.recipe,
        activation_bits=activation_bits,
        run_dir=run_dir,
        **vars(run),
    )
    title = f"{inputs.model.name}, int8 weights and {activation_bits}-bit activations"
    show_compression(inputs.model, result, inputs.data, run_dir, title, as_json=as_json)
