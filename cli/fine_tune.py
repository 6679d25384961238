"""`pocketzoo fine-tune`: a pretrained model adapted to a dataset."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import InputError
from . import options, runs
from .heavy import import_tensorflow
from .options import Changes, Json, Overwrite, RecipeData, RecipeFile, Resume, SkipUnreadable

if TYPE_CHECKING:
    import keras

    from ..training import ImageData


def fine_tune(
    model: Annotated[str, typer.Argument(help="A name from `pocketzoo list`, or a .keras file of a trained model.")],
    run_dir: Annotated[Path, typer.Option(help="Where the run keeps its files.")],
    data: RecipeData = None,
    weights: Annotated[
        str | None, typer.Option(help="What a model by name starts from: a tag or a file; its first tag by default.")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Side of the images in pixels; the model's by default.")
    ] = None,
    recipe: RecipeFile = None,
    changes: Changes = None,
    skip_unreadable: SkipUnreadable = False,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Adapt a pretrained model, its head first; RUN_DIR/best.keras is the result."""
    from ..zoo.registry import card_of, model_card

    is_file = model.endswith(".keras")
    if is_file and weights is not None:
        raise InputError(f"{model} has its own weights; --weights goes with a model by name.")
    card = None if is_file else model_card(model)

    import_tensorflow()
    import keras

    from .. import training, zoo
    from ..zoo.signature import image_shape

    how = options.recipe(recipe, changes, training.FineTuneRecipe())
    loaded = zoo.load_model(model) if is_file else None
    if is_file:
        card_of(loaded.name)
    shape = image_shape(loaded) if is_file else card.input_shape
    if is_file and image_size is not None and not {*shape[:2]} <= {None, image_size}:
        raise InputError(f"{model} takes images of {shape[0]}x{shape[1]} pixels; --image-size is {image_size}.")
    images = runs.load(data, how, shape, image_size, skip_unreadable)
    keras.utils.set_random_seed(how.seed)
    if is_file:
        tuned = _with_head_for(loaded, images)
    else:
        asked = {"head": images.task, "labels": images.labels, "input_shape": images.image_shape}
        tuned = zoo.create_model(model, weights=weights or options.default_weights(card), **asked)
    result = training.fine_tune(tuned, images, how, run_dir=run_dir, resume=resume, overwrite=overwrite)
    runs.show_result(result, images, run_dir, as_json=as_json)


def _with_head_for(model: "keras.Model", data: "ImageData") -> "keras.Model":
    """`model` if it answers what `data` asks, else its backbone under a fresh head."""
    from .. import zoo
    from ..training.compatibility import check_fit_together

    try:
        check_fit_together(model, data)
    except InputError as error:
        typer.echo(f"A fresh head: {error}", err=True)
        return zoo.replace_head(model, data.task, labels=data.labels)
    return model
