"""`pocketzoo distill`: a student model learns from a trained teacher."""

from pathlib import Path
from typing import Annotated

import typer

from ..core.errors import InputError
from .inputs import check_model, check_stage, is_model_path, load_seeded, new_model, open_training_inputs
from .model_contract import ModelContract
from .option_groups import DataReading, ExtendableRun, TrainingSetup
from .options import Json, KeepSparsity, NameOrFile, RunDir
from .results import show_compression


def distill(
    student: NameOrFile,
    teacher: Annotated[Path, typer.Argument(help="A .keras file of a trained model.")],
    run_dir: RunDir,
    *,
    setup: TrainingSetup,
    temperature: Annotated[float, typer.Option(help="Temperature that softens the probabilities; above 0.")] = 4.0,
    weight: Annotated[float, typer.Option(help="Weight of the teacher in the loss, 0 to 1.")] = 0.9,
    features: Annotated[
        str | None,
        typer.Option(
            help="Endpoints whose attention maps are to match the teacher's: 'stage1,stage2', or 'stage2=stage3' where "
            "the teacher's has another name."
        ),
    ] = None,
    contract: ModelContract,
    reading: DataReading,
    run: ExtendableRun,
    keep_sparsity: KeepSparsity = None,
    as_json: Json = False,
) -> None:
    """Train a student to reproduce the outputs of a trained teacher; RUN_DIR/best.keras is the result."""
    from .. import training
    from ..training.compression.pipeline.spec import DistillationStage

    pairs = endpoint_pairs(features)
    check_stage(DistillationStage, temperature=temperature, weight=weight)
    check_model(student)
    inputs = open_training_inputs(teacher, setup, reading, contract, training.Recipe())
    if is_model_path(student):
        pupil = load_seeded(student, inputs.recipe.seed)
        contract.state(pupil, inputs.data)
    else:
        pupil = new_model(student, inputs.data, inputs.recipe.seed)
    result = training.distill(
        pupil,
        inputs.model,
        inputs.data,
        inputs.recipe,
        temperature=temperature,
        weight=weight,
        features=pairs,
        run_dir=run_dir,
        **vars(run),
        keep_sparsity=keep_sparsity,
    )
    names = (f"teacher {inputs.model.name}", f"student {pupil.name}")
    title = f"On the test split of {inputs.data.source}"
    show_compression(inputs.model, result, inputs.data, run_dir, title, names=names, as_json=as_json)


def endpoint_pairs(text: str | None) -> dict[str, str]:
    """Parse `stage1,stage2=stage3` into the student's endpoints, each with the teacher's."""
    pairs = {}
    for part in text.split(",") if text else ():
        own, _, theirs = (name.strip() for name in part.partition("="))
        if not own or (not theirs and "=" in part):
            raise InputError(
                f"--features {text!r} is not a list of endpoints, such as 'stage1,stage2' or 'stage2=stage3'."
            )
        pairs[own] = theirs or own
    return pairs
