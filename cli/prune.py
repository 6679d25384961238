"""`pocketzoo prune`: sets the smallest weights of a trained model to zero, or removes channels."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.atomic_files import atomic_path
from ..core.errors import InputError
from . import console, options, runs
from .heavy import import_tensorflow
from .options import Changes, Json, Overwrite, RecipeData, RecipeFile, Resume, SkipUnreadable
from .prune_channels import prune_channels

if TYPE_CHECKING:
    from ..training import Sensitivity, Sparsity


def prune(
    model: Annotated[Path, typer.Argument(help="A .keras file of a trained model.")],
    run_dir: Annotated[Path | None, typer.Option(help="Where the run keeps its files.")] = None,
    data: RecipeData = None,
    sparsity: Annotated[float | None, typer.Option(help="Share of zeros at the end.  [default: 0.5]")] = None,
    pattern: Annotated[
        str | None,
        typer.Option(help="'element'; blocks of a kernel, such as 'block:4x1'; or '2:4', two of four channels."),
    ] = None,
    scope: Annotated[
        str | None, typer.Option(help="'layer': each kernel comes to the sparsity; 'global': all together.")
    ] = None,
    include: Annotated[list[str] | None, typer.Option(help="Layers to prune, such as 'stage3_*'; repeatable.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Layers to leave as they are; repeatable.")] = None,
    settings: Annotated[
        Path | None, typer.Option(help="YAML file with these and further settings, such as targets by layer.")
    ] = None,
    sensitivity: Annotated[
        Path | None,
        typer.Option(
            help="Do not prune: measure what pruning each layer alone would cost, and write settings with a target for "
            "each layer to this file."
        ),
    ] = None,
    channels: Annotated[
        bool, typer.Option("--channels", help="Remove whole channels instead; without data nothing is trained.")
    ] = False,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Of --channels, what may be left: macs:0.5, params:0.3, bytes:2e6, latency_ms:5.  [default: macs:0.5]"
        ),
    ] = None,
    criterion: Annotated[
        str | None,
        typer.Option(
            help="Of --channels, how much one matters: l1, l2, fpgm, bn_gamma, taylor, obd, activation, random.  "
            "[default: l1]"
        ),
    ] = None,
    round_to: Annotated[
        int | None, typer.Option(help="Of --channels, what their number is a multiple of.  [default: 8]")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Of --channels, how often to remove some and train.  [default: 1]")
    ] = None,
    plan: Annotated[
        Path | None, typer.Option(help="Of --channels, a plan.json that says what stays, in place of a budget.")
    ] = None,
    recipe: RecipeFile = None,
    changes: Changes = None,
    skip_unreadable: SkipUnreadable = False,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Prune a trained model while it trains on; RUN_DIR/best.keras is the result."""
    said = _given(target=sparsity, pattern=pattern, scope=scope, include=include, exclude=exclude)
    of_channels = _given(budget=budget, criterion=criterion, round_to=round_to, steps=steps, plan=plan)
    if channels:
        _check_alone(said.keys() - {"scope"} | _given(settings=settings, sensitivity=sensitivity).keys(), run_dir)
        files = {"recipe": recipe, "changes": changes, "skip_unreadable": skip_unreadable, "as_json": as_json}
        arguments = of_channels | _given(scope=scope) | {"resume": resume, "overwrite": overwrite}
        prune_channels(model, data, run_dir, **files, **arguments)
        return
    if of_channels:
        raise InputError(f"--{next(iter(of_channels)).replace('_', '-')} goes with --channels.")
    wanted = _settings(settings, said)
    if run_dir is None and sensitivity is None:
        raise InputError("--run-dir is missing: it says where the run keeps its files.")
    import_tensorflow()
    from .. import training, zoo
    from ..training.compression.weights.pruning import DEFAULT_RECIPE
    from ..zoo.signature import image_shape

    loaded = zoo.load_model(model)
    how = options.recipe(recipe, changes, DEFAULT_RECIPE)
    images = runs.load(data, how, image_shape(loaded), None, skip_unreadable)
    if sensitivity is not None:
        with console.status("Measuring every layer"):
            measured = training.sensitivity(loaded, images, wanted)
        _show_sensitivity(measured, loaded.name, sensitivity, as_json=as_json)
        return
    result = training.prune(loaded, images, how, sparsity=wanted, run_dir=run_dir, resume=resume, overwrite=overwrite)
    title = f"{loaded.name}, {result.metrics['sparsity']:.1%} zeros in what was pruned"
    models = {"before": zoo.load_model(model), "after": loaded}
    runs.show_change(models, images, result, run_dir, title, as_json=as_json)


def _given(**options: Any) -> dict[str, Any]:
    """Those that the command line says."""
    return {name: value for name, value in options.items() if value not in (None, [])}


def _check_alone(others: set[str], run_dir: Path | None) -> None:
    if others:
        name = min(others).replace("target", "sparsity")
        raise InputError(f"--{name} sets weights to zero; --channels removes channels: give one of them.")
    if run_dir is None:
        raise InputError("--run-dir is missing: it says where the run keeps its files.")


def _settings(file: Path | None, said: dict[str, Any]) -> "Sparsity":
    """Those of a file, if there is one, with what the command line says otherwise."""
    from ..training.compression.weights.sparsity import Sparsity
    from ..training.recipe.section import read_yaml_fields

    return Sparsity(**(read_yaml_fields(file, "pruning setting") if file else {}) | said)


def _show_sensitivity(measured: "Sensitivity", title: str, file: Path, *, as_json: bool) -> None:
    """Prints a row a layer, and writes the proposal."""
    import yaml

    with atomic_path(file) as temporary:
        settings = measured.proposal.model_dump(mode="json", exclude_unset=True)
        temporary.write_text(yaml.safe_dump(settings, sort_keys=False))
    if as_json:
        console.show_json(measured.to_dict())
        return
    name = measured.figure

    def text(figures: dict[str, float]) -> str:
        return console.as_text(name.replace("_", " "), figures[name])

    rows = [
        (layer.name, f"{layer.weights:,}", *map(text, layer.figures), f"{layer.target:.1%}")
        for layer in measured.layers
    ]
    header = ("layer", "weights", *(f"{level:.0%} zeros" for level in measured.levels), "proposed")
    console.show_table(
        header, rows, title=f"{title}: {name} on {measured.images} validation images, dense {text(measured.dense)}"
    )
    typer.echo(f"Settings: pocketzoo prune ... --settings {file}")
