"""How the commands that train begin and end."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..core.atomic_files import atomic_path
from ..core.errors import InputError
from . import console, options

if TYPE_CHECKING:
    import keras

    from ..training import ImageData, Recipe, RunResult


def load(
    data: str | None,
    recipe: "Recipe",
    shape: tuple[int | None, ...],
    image_size: int | None,
    skip_unreadable: bool,
) -> "ImageData":
    """The dataset that is named on the command line, or in the recipe where that names none.

    Args:
        data: What `--data` says.
        recipe: Its section `data` holds where the command line says nothing.
        shape: Height, width and channels that the model takes by itself.
        image_size: What `--image-size` says, a side in pixels.
        skip_unreadable: What `--skip-unreadable` says.
    """
    source = data or recipe.data.source
    if source is None:
        raise InputError("there is no data to train on; name some with --data, or as data.source in the recipe.")
    *sides, channels = shape
    wanted = image_size or recipe.data.image_size
    if wanted is not None:
        sides = [wanted, wanted] if isinstance(wanted, int) else list(wanted)
    return options.load(source, (*sides, channels), skip_unreadable)


def fresh_model(
    name: str, data: str | None, image_size: int | None, recipe: "Recipe", skip_unreadable: bool
) -> tuple["ImageData", Callable[[], "keras.Model"]]:
    """The dataset, and what makes a fresh model for it whose weights are drawn by the recipe's seed."""
    from ..zoo.registry import model_card

    images = load(data, recipe, model_card(name).input_shape, image_size, skip_unreadable)

    def make() -> "keras.Model":
        import keras

        from .. import zoo

        keras.utils.set_random_seed(recipe.seed)
        return zoo.create_model(name, head=images.task, labels=images.labels, input_shape=images.image_shape)

    return images, make


def show_change(
    models: "Mapping[str, keras.Model]",
    images: "ImageData",
    result: "RunResult",
    run_dir: Path,
    title: str,
    *,
    as_json: bool,
) -> None:
    """Prints what a finished run has changed: the models side by side on the test split, and what they cost.

    Args:
        models: By the name that their row gets.
        images: What all of them answer.
        result: Of the run.
        run_dir: Where it keeps its files.
        title: Of the table.
        as_json: Print the same facts for a program.
    """
    from .comparison import compare

    comparison, best = compare(models, images), run_dir / "best.keras"
    if as_json:
        console.show_json({"run": result.metrics, "comparison": comparison.to_dict(), "model": str(best)})
        return
    comparison.show(title)
    typer.echo(f"Model: {best}")


def show_result(result: "RunResult", images: "ImageData", run_dir: Path, *, as_json: bool) -> None:
    """Prints the figures of a finished run on the test split, and keeps them in `test.json`."""
    from .. import training

    evaluation = training.evaluate(result.model, images)
    best = run_dir / "best.keras"
    with atomic_path(run_dir / "test.json") as temporary:
        temporary.write_text(json.dumps(console.evaluation_facts(evaluation), indent=1))
    if as_json:
        facts: dict[str, Any] = {"run": result.metrics, "test": console.evaluation_facts(evaluation)}
        console.show_json(facts | {"model": str(best)})
        return
    console.show_evaluation(evaluation, title=f"{result.model.name} on the test split of {images.source}")
    typer.echo(f"Best model: {best}")
