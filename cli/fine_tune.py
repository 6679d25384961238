"""`pocketzoo fine-tune`: a pretrained model adapted to a dataset."""

from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import InputError
from .inputs import (
    check_images,
    check_model,
    default_weights,
    head_for,
    is_model_path,
    load_seeded,
    load_training_images,
    read_recipe,
    training_source,
)
from .model_contract import ModelContract, Pixels
from .option_groups import DataReading, ExtendableRun, TrainingSetup
from .options import EmbeddingSize, ImageSize, Json, KeepSparsity, NameOrFile, RunDir
from .results import show_training
from .tensorflow_import import import_tensorflow

if TYPE_CHECKING:
    import keras

    from ..training import ImageData
    from .inputs import ImageShape


def fine_tune(
    model: NameOrFile,
    run_dir: RunDir,
    *,
    setup: TrainingSetup,
    weights: Annotated[
        str | None, typer.Option(help="Initial weights of a model by name: a tag or a file; the first tag if not set.")
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(help="Layer of a model from a file whose output goes into a new head; found if not set."),
    ] = None,
    embedding: EmbeddingSize = None,
    image_size: ImageSize = None,
    reading: DataReading,
    pixels: Pixels = None,
    run: ExtendableRun,
    keep_sparsity: KeepSparsity = None,
    as_json: Json = False,
) -> None:
    """Adapt a pretrained model, its head first; RUN_DIR/best.keras is the result."""
    from .. import training
    from ..zoo.registry import model_card

    check_model(model, weights, pretrained=True)
    ModelContract(pixels=pixels).check()
    if features is not None and not is_model_path(model):
        raise InputError(f"--features is {features!r}, but {model} is a model of the zoo, which has its head anew.")
    if pixels is not None and not is_model_path(model):
        raise InputError(f"--pixels is {pixels!r}, but {model} is a model of the zoo, which takes 0..255.")
    card = None if is_model_path(model) else model_card(model)

    settings = read_recipe(setup.recipe, setup.changes, training.FineTuneRecipe(), setup.allow_code)
    check_images(*training_source(setup.data, settings, reading))
    import_tensorflow()
    import keras

    from .. import zoo
    from ..zoo.signature import image_shape

    shape: ImageShape
    if card is None:
        loaded = load_seeded(model, settings.seed)
        ModelContract(pixels=pixels).state(loaded)
        shape = image_shape(loaded)
        if image_size is not None and not {*shape[:2]} <= {None, image_size}:
            raise InputError(f"{model} takes images of {shape[0]}x{shape[1]} pixels; --image-size is {image_size}.")
    else:
        shape = card.input_shape
    images = load_training_images(setup.data, settings, shape, reading, image_size)
    keras.utils.set_random_seed(settings.seed)
    if card is None:
        pretrained = _with_head_for(loaded, images, features, embedding)
    else:
        pretrained = zoo.create_model(
            model,
            weights=weights or default_weights(card),
            **head_for(images, embedding),
            input_shape=images.image_shape,
        )
    result = training.fine_tune(
        pretrained,
        images,
        settings,
        run_dir=run_dir,
        **vars(run),
        keep_sparsity=keep_sparsity,
    )
    show_training(result, images, run_dir, as_json=as_json)


def _with_head_for(
    model: "keras.Model", data: "ImageData", features: str | None, embedding: int | None
) -> "keras.Model":
    """Return `model` if its outputs match the labels of `data`, otherwise its backbone with a new head."""
    from .. import zoo
    from ..training.compatibility import check_fit_together
    from ..training.data.accepted_data import for_tasks, tasks_wanted_by
    from ..zoo.contract import state_contract

    if features is not None or embedding is not None:
        return zoo.replace_head(model, **head_for(data, embedding), features=features)
    data = for_tasks(data, tasks_wanted_by(model))
    try:
        state_contract(model, known_tasks=data.task, known_labels=data.labels, report=False)  # fine_tune reports it
        check_fit_together(model, data)
    except InputError as error:
        typer.echo(f"New head: {error}", err=True)
        return zoo.replace_head(model, data.task, labels=data.labels)
    return model
