"""`pocketzoo prune`: sets the smallest weights of a trained model to zero."""

from pathlib import Path
from typing import Annotated

import typer

from . import console, options
from .heavy import import_tensorflow
from .options import Changes, Data, Json, Overwrite, RecipeFile, Resume, SkipUnreadable


def prune(
    model: Annotated[Path, typer.Argument(help="A .keras file of a trained model.")],
    data: Data,
    run_dir: Annotated[Path, typer.Option(help="Where the run keeps its files.")],
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
    images = options.load(data, image_shape(loaded), skip_unreadable)
    before = training.evaluate(loaded, images)
    result = training.prune(loaded, images, how, sparsity=sparsity, run_dir=run_dir, resume=resume, overwrite=overwrite)
    after = training.evaluate(loaded, images)
    if as_json:
        facts = {"before": console.evaluation_facts(before), "after": console.evaluation_facts(after)}
        console.show_json({"run": result.metrics, **facts, "model": str(run_dir / "best.keras")})
        return
    headings, figures = zip(*console.summary(before).items(), strict=True)
    zeros = f"{result.metrics['sparsity']:.1%} zeros"
    rows = [("before", *figures), (zeros, *console.summary(after).values())]
    console.show_table((loaded.name, *(f"test {heading}" for heading in headings)), rows)
    typer.echo(f"Pruned model: {run_dir / 'best.keras'}")
