"""`pocketzoo prune`: sets the smallest weights of a trained model to zero."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.atomic_files import atomic_path
from ..core.errors import InputError
from . import console
from .inputs import TrainingInputs, open_training_inputs
from .model_contract import ModelContract
from .option_groups import DataReading, RunControl, TrainingSetup
from .options import Json, TrainedModel
from .prune_channels import prune_channels, set_options
from .results import metric_text, show_compression

if TYPE_CHECKING:
    from ..training import Sensitivity, Sparsity

ChannelOption = typer.Option(hidden=True)
"""Works with --channels; `pocketzoo prune-channels --help` describes it."""


def prune(
    model: TrainedModel,
    *,
    run_dir: Annotated[Path | None, typer.Option(help="Directory for the files of the run.")] = None,
    setup: TrainingSetup,
    sparsity: Annotated[float | None, typer.Option(help="Share of zeros at the end.", show_default="0.5")] = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            help="'element': single weights; 'block:4x1': blocks of a kernel; '2:4': two of every four input channels.",
            show_default="element",
        ),
    ] = None,
    scope: Annotated[
        str | None,
        typer.Option(
            help="'layer': the same sparsity in each kernel; 'global': one threshold for all.", show_default="layer"
        ),
    ] = None,
    include: Annotated[list[str] | None, typer.Option(help="Layers to prune, such as 'stage3_*'; repeatable.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Layers not to prune; repeatable.")] = None,
    settings: Annotated[
        Path | None, typer.Option(help="YAML file with these and further settings, such as a sparsity for each layer.")
    ] = None,
    sensitivity: Annotated[
        Path | None,
        typer.Option(
            help="Do not prune: measure the effect of pruning each layer alone, and write settings with a sparsity for "
            "each layer to this file."
        ),
    ] = None,
    channels: Annotated[
        bool, typer.Option("--channels", help="Remove whole channels instead: `pocketzoo prune-channels`.")
    ] = False,
    budget: Annotated[str | None, ChannelOption] = None,
    criterion: Annotated[str | None, ChannelOption] = None,
    round_to: Annotated[int | None, ChannelOption] = None,
    steps: Annotated[int | None, ChannelOption] = None,
    plan: Annotated[Path | None, ChannelOption] = None,
    contract: ModelContract,
    reading: DataReading,
    run: RunControl,
    as_json: Json = False,
) -> None:
    """Prune a trained model during further training; RUN_DIR/best.keras is the result."""
    from .. import training
    from ..training.compression.default_recipes import SPARSITY

    weight_options = set_options(target=sparsity, pattern=pattern, include=include, exclude=exclude)
    channel_options = set_options(budget=budget, criterion=criterion, round_to=round_to, steps=steps, plan=plan)
    if channels:
        _check_none(weight_options | set_options(settings=settings, sensitivity=sensitivity))
        prune_channels(
            model,
            _required(run_dir),
            scope=scope,
            setup=setup,
            contract=contract,
            reading=reading,
            run=run,
            as_json=as_json,
            **channel_options,
        )
        return
    if channel_options:
        raise InputError(f"--{next(iter(channel_options)).replace('_', '-')} is only valid with --channels.")
    config = _read_settings(settings, weight_options | set_options(scope=scope))
    if sensitivity is not None:
        inputs = open_training_inputs(model, setup, reading, contract, SPARSITY)
        _measure_sensitivity(inputs, config, sensitivity, as_json)
        return
    run_dir = _required(run_dir)
    inputs = open_training_inputs(model, setup, reading, contract, SPARSITY)
    result = training.prune(
        inputs.model,
        inputs.data,
        inputs.recipe,
        sparsity=config,
        run_dir=run_dir,
        **vars(run),
    )
    title = f"{result.model.name}, {result.metrics['sparsity']:.1%} zeros in the pruned kernels"
    show_compression(inputs.untrained(), result, inputs.data, run_dir, title, as_json=as_json)


def _check_none(weight_options: dict[str, Any]) -> None:
    """Raise InputError where an option does not go with --channels."""
    if weight_options:
        name = min(weight_options).replace("target", "sparsity")
        raise InputError(f"--{name} sets weights to zero; --channels removes channels: choose one of them.")


def _required(run_dir: Path | None) -> Path:
    if run_dir is None:
        raise InputError("--run-dir is missing: the directory for the files of the run.")
    return run_dir


def _read_settings(file: Path | None, options: dict[str, Any]) -> "Sparsity":
    """Return the settings of a file, if there is one, with those of the command line in their place."""
    from ..training.compression.weights.sparsity import Sparsity
    from ..training.recipe.section import read_yaml_fields

    return Sparsity(**(read_yaml_fields(file, "pruning setting") if file else {}) | options)


def _measure_sensitivity(inputs: TrainingInputs, config: "Sparsity", file: Path, as_json: bool) -> None:
    """Measure the effect of pruning each layer, write the proposed settings to `file`, and print both."""
    import yaml

    from .. import training

    with console.status("Measuring every layer"):
        sensitivity = training.sensitivity(inputs.model, inputs.data, config)
    with atomic_path(file) as temporary:
        settings = sensitivity.proposal.model_dump(mode="json", exclude_unset=True)
        temporary.write_text(yaml.safe_dump(settings, sort_keys=False))
    if as_json:
        console.show_json(sensitivity.to_dict())
    else:
        _show_sensitivity(sensitivity, inputs.model.name)
        typer.echo(f"Settings: pocketzoo prune ... --settings {file}")


def _show_sensitivity(sensitivity: "Sensitivity", model_name: str) -> None:
    """Print one row per layer."""
    metric = sensitivity.figure

    def text(figures: dict[str, float]) -> str:
        return metric_text(metric.replace("_", " "), figures[metric])

    rows = [
        (layer.name, f"{layer.weights:,}", *map(text, layer.figures), f"{layer.target:.1%}")
        for layer in sensitivity.layers
    ]
    header = ("layer", "weights", *(f"{level:.0%} zeros" for level in sensitivity.levels), "proposed")
    dense = f"{metric} on {sensitivity.images} validation images, dense {text(sensitivity.dense)}"
    console.show_table(header, rows, title=f"{model_name}: {dense}")
