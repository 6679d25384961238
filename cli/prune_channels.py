"""`pocketzoo prune-channels`: removes the least important channels of a trained model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import InputError
from ..zoo.model_files import check_model_file
from . import console
from .inputs import check_images, check_stage, load_seeded, load_training_images, read_recipe, training_source
from .model_contract import ModelContract
from .option_groups import DataReading, RunControl, TrainingSetup
from .options import Json, KeepSparsity, RunDir, TrainedModel
from .results import compare, show_comparison
from .tensorflow_import import import_tensorflow

if TYPE_CHECKING:
    from ..training import ChannelPlan, PruneResult


def prune_channels(
    model: TrainedModel,
    run_dir: RunDir,
    *,
    setup: TrainingSetup,
    budget: Annotated[
        str | None,
        typer.Option(
            help="What may remain: macs:0.5, params:0.3, bytes:2e6, latency_ms:5; up to 1 is a share, but for "
            "latency_ms.",
            show_default="macs:0.5",
        ),
    ] = None,
    criterion: Annotated[
        str | None,
        typer.Option(
            help="Importance of a channel: l1, l2, fpgm, bn_gamma, taylor, obd, activation, random.", show_default="l1"
        ),
    ] = None,
    scope: Annotated[
        str | None,
        typer.Option(
            help="'global': the least important channels of the whole model are removed; 'layer': the same share of "
            "every layer's.",
            show_default="global",
        ),
    ] = None,
    round_to: Annotated[
        int | None, typer.Option(help="Keep a multiple of this many channels.", show_default="8")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Number of times to remove channels and train.", show_default="1")
    ] = None,
    plan: Annotated[
        Path | None, typer.Option(help="A plan.json with the channels to keep, instead of a budget.")
    ] = None,
    reading: DataReading,
    contract: ModelContract,
    run: RunControl,
    keep_sparsity: KeepSparsity = None,
    as_json: Json = False,
) -> None:
    """Remove channels of a trained model and train the rest; RUN_DIR/best.keras is the result.

    Without --data nothing is trained.
    """
    from ..training.compression.default_recipes import CHANNELS
    from ..training.compression.pipeline.spec import ChannelStage

    choices = set_options(budget=budget, criterion=criterion, scope=scope, round_to=round_to, steps=steps)
    kept = _load_plan(plan, choices)
    check_stage(ChannelStage, **choices)
    check_model_file(model)
    contract.check()
    settings = read_recipe(setup.recipe, setup.changes, CHANNELS, setup.allow_code)
    trains = setup.data is not None or settings.data.source is not None
    if not trains and (setup.recipe or setup.changes):
        raise InputError("there is no data to train on; set --data, or leave out --recipe and --set.")
    if trains:
        check_images(*training_source(setup.data, settings, reading))
    import_tensorflow()
    from .. import training
    from ..export.footprint import milliseconds
    from ..zoo.signature import image_shape

    original = load_seeded(model, settings.seed)
    images = load_training_images(setup.data, settings, image_shape(original), reading) if trains else None
    contract.state(original, images)
    result = training.prune_channels(
        original,
        images,
        plan=kept,
        recipe=settings if trains else None,
        measure=milliseconds,
        run_dir=run_dir,
        **vars(run),
        keep_sparsity=keep_sparsity,
        **choices,
    )
    comparison = compare({"before": original, "after": result.model}, images)
    if as_json:
        facts = {"channels": result.to_dict(), "comparison": comparison.to_dict()}
        console.show_json(facts | {"model": str(run_dir / "best.keras")})
        return
    _show(result, original.name)
    show_comparison(comparison, f"{original.name} before and after")
    typer.echo(f"Narrower model: {run_dir / 'best.keras'}\nPlan: {run_dir / 'plan.json'}")
    typer.echo(f"Plot: {run_dir / 'widths.png'}")


def set_options(**options: Any) -> dict[str, Any]:
    """Return the options that are set on the command line."""
    return {name: value for name, value in options.items() if value not in (None, [])}


def _load_plan(file: Path | None, choices: dict[str, Any]) -> "ChannelPlan | None":
    from ..training.compression.channels.plan import ChannelPlan

    if file is None:
        return None
    if choices:
        name = next(iter(choices)).replace("_", "-")
        raise InputError(f"--plan lists the channels to keep, so --{name} has no effect; leave one of them out.")
    return ChannelPlan.load(file)


def _show(result: "PruneResult", name: str) -> None:
    """Print the channels of every stage, and the costs, before and after."""
    from ..training.compression.channels.picture import stage_widths

    before = stage_widths({layer: width for layer, (width, _) in result.widths.items()})
    after = stage_widths({layer: width for layer, (_, width) in result.widths.items()})
    rows = [
        (stage, f"{width:,}", f"{after[stage]:,}", f"{after[stage] / width:.0%}") for stage, width in before.items()
    ]
    for what, old, new in (
        ("parameters", result.before.parameters, result.after.parameters),
        ("multiply-adds", result.before.multiply_adds, result.after.multiply_adds),
    ):
        if old is not None and new is not None:
            rows.append((what, f"{old:,}", f"{new:,}", f"{new / old:.0%}"))
    console.show_table(("channels of", "before", "after", "kept"), rows, title=f"{name}, {len(result.history)} steps")
    for layer, reason in result.frozen.items():
        typer.echo(f"{layer} keeps all its input channels: {reason}.", err=True)
    if result.form == "flat":
        typer.echo("The layers' configs cannot express the widths, so the result is the model's flat form.", err=True)
