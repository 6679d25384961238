"""`pocketzoo train`: a fresh model on a dataset."""

from pathlib import Path
from typing import Annotated

import typer

from . import console, options
from .heavy import import_tensorflow
from .options import Changes, Data, Json, Overwrite, RecipeFile, Resume, SkipUnreadable


def train(
    name: Annotated[str, typer.Argument(help="A name from `pocketzoo list`.")],
    data: Data,
    run_dir: Annotated[Path, typer.Option(help="Where the run keeps its files.")],
    image_size: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Side of the images in pixels; the card's by default.")
    ] = None,
    recipe: RecipeFile = None,
    changes: Changes = None,
    skip_unreadable: SkipUnreadable = False,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Train a fresh model; RUN_DIR/best.keras is the result."""
    from ..zoo.registry import model_card

    height, width, channels = model_card(name).input_shape
    shape = (height, width, channels) if image_size is None else (image_size, image_size, channels)

    import_tensorflow()
    import keras

    from .. import training, zoo

    how = options.recipe(recipe, changes, training.Recipe())
    images = options.load(data, shape, skip_unreadable)
    keras.utils.set_random_seed(how.seed)
    model = zoo.create_model(name, head=images.task, labels=images.labels, input_shape=images.image_shape)
    result = training.fit(model, images, how, run_dir=run_dir, resume=resume, overwrite=overwrite)
    evaluation = training.evaluate(model, images)
    if as_json:
        test = console.evaluation_facts(evaluation)
        console.show_json({"run": result.metrics, "test": test, "model": str(run_dir / "best.keras")})
        return
    console.show_evaluation(evaluation, title=f"{name} on the test split of {data}")
    typer.echo(f"Best model: {run_dir / 'best.keras'}")
