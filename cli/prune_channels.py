"""`pocketzoo prune --channels`: removes the channels of a trained model that matter least."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..core.errors import InputError
from . import console, options, runs
from .heavy import import_tensorflow

if TYPE_CHECKING:
    from ..training.compression.channels.plan import ChannelPlan
    from ..training.compression.channels.prune_channels import PruneResult


def prune_channels(
    model: Path,
    data: str | None,
    run_dir: Path,
    *,
    recipe: Path | None,
    changes: list[str] | None,
    skip_unreadable: bool,
    as_json: bool,
    **arguments: Any,
) -> None:
    """Removes channels and trains what is left; RUN_DIR/best.keras is the result.

    Without data nothing is trained. `arguments` are those of `training.prune_channels` that were given, of a plan its
    file.
    """
    if "plan" in arguments:
        arguments["plan"] = _plan(**arguments)
    import_tensorflow()
    from .. import training, zoo
    from ..export.footprint import milliseconds
    from ..training.compression.channels.prune_channels import DEFAULT_RECIPE
    from ..zoo.signature import image_shape
    from .comparison import compare

    dense = zoo.load_model(model)
    how = options.recipe(recipe, changes, DEFAULT_RECIPE)
    trains = data is not None or how.data.source is not None
    if not trains and (recipe or changes):
        raise InputError("there is no data to train on; name some with --data, or leave --recipe and --set out.")
    images = runs.load(data, how, image_shape(dense), None, skip_unreadable) if trains else None
    result = training.prune_channels(
        dense, images, recipe=how if trains else None, measure=milliseconds, run_dir=run_dir, **arguments
    )
    comparison = compare({"before": dense, "after": result.model}, images)
    if as_json:
        facts = {"channels": result.to_dict(), "comparison": comparison.to_dict()}
        console.show_json(facts | {"model": str(run_dir / "best.keras")})
        return
    _show(result, dense.name)
    comparison.show(f"{dense.name} before and after")
    typer.echo(f"Narrower model: {run_dir / 'best.keras'}\nPlan: {run_dir / 'plan.json'}")
    typer.echo(f"Picture: {run_dir / 'widths.png'}")


def _plan(plan: Path, resume: bool, overwrite: bool, **others: Any) -> "ChannelPlan":
    from ..training.compression.channels.plan import ChannelPlan

    if others:
        name = next(iter(others)).replace("_", "-")
        raise InputError(f"--plan says what stays, so --{name} has nothing to say; leave one of them out.")
    return ChannelPlan.load(plan)


def _show(result: "PruneResult", name: str) -> None:
    """Prints the channels of every stage and the costs, before and after."""
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
        if old is not None:
            rows.append((what, f"{old:,}", f"{new:,}", f"{new / old:.0%}"))
    console.show_table(("channels of", "before", "after", "left"), rows, title=f"{name}, {len(result.history)} steps")
    for layer, why in result.frozen.items():
        typer.echo(f"{layer} keeps the channels that it sees: {why}.", err=True)
    if result.form == "flat":
        typer.echo("The layers' configs cannot say the widths; the result is the model's flat form.", err=True)
