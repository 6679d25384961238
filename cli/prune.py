"""`pocketzoo prune`: sets the smallest weights of a trained model to zero."""

from pathlib import Path
from typing import Annotated

import typer

from . import console, options, runs
from .heavy import import_tensorflow
from .options import Changes, Json, Overwrite, RecipeData, RecipeFile, Resume, SkipUnreadable


def prune(
    model: Annotated[Path, typer.Argument(help="A .keras file of a trained model.")],
    run_dir: Annotated[Path, typer.Option(help="Where the run keeps its files.")],
    data: RecipeData = None,
    sparsity: Annotated[float, typer.Option(help="Share of zeros in every kernel at the end.")] = 0.5,
    recipe: RecipeFile = None,
    changes: Changes = None,
    skip_unreadable: SkipUnreadable = False,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Prune a trained model while it trains on; RUN_DIR/best.keras is the result."""
    import_tensorflow()
    from .. import training, zoo
    from ..training.compression.pruning import DEFAULT_RECIPE
    from ..zoo.inputs import image_shape

    loaded = zoo.load_model(model)
    how = options.recipe(recipe, changes, DEFAULT_RECIPE)
    images = runs.load(data, how, image_shape(loaded), None, skip_unreadable)
    before = training.evaluate(loaded, images)
    result = training.prune(loaded, images, how, sparsity=sparsity, run_dir=run_dir, resume=resume, overwrite=overwrite)
    after = training.evaluate(loaded, images)
    if as_json:
        facts = {"before": console.evaluation_facts(before), "after": console.evaluation_facts(after)}
        console.show_json({"run": result.metrics, **facts, "model": str(run_dir / "best.keras")})
        return
    after_by_name = console.summary(after)
    rows = [(name, figure, after_by_name[name]) for name, figure in console.summary(before).items()]
    console.show_table((f"{loaded.name}, test split", "before", f"{result.metrics['sparsity']:.1%} zeros"), rows)
    typer.echo(f"Pruned model: {run_dir / 'best.keras'}")
