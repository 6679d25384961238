"""`pocketzoo find-lr`: a learning rate to train with."""

from pathlib import Path
from typing import Annotated

import typer

from . import console
from .inputs import load_training_images, new_model, read_recipe, spectrogram_of
from .option_groups import DataReading, TrainingSetup
from .options import ImageSize, Json, ModelName, Spectrogram
from .tensorflow_import import import_tensorflow


def find_lr(
    name: ModelName,
    *,
    setup: TrainingSetup,
    image_size: ImageSize = None,
    spectrogram: Spectrogram = None,
    plot: Annotated[Path | None, typer.Option(help="PNG to plot the loss over the learning rate to.")] = None,
    reading: DataReading,
    as_json: Json = False,
) -> None:
    """Train a new model for 100 batches at increasing learning rates, and suggest one for the recipe."""
    from .. import training
    from ..zoo.registry import model_card

    card = model_card(name)
    settings = read_recipe(setup.recipe, setup.changes, training.Recipe(), setup.allow_code)
    sound = spectrogram_of(spectrogram, reading)
    images = load_training_images(setup.data, settings, card.input_shape, reading, image_size)
    import_tensorflow()
    with console.status("Trying learning rates"):
        model = new_model(name, images, settings.seed, spectrogram=sound)
        search = training.find_learning_rate(model, images, settings)
    if plot is not None:
        search.plot(plot)
    if as_json:
        console.show_json(search.to_dict())
        return
    shown = range(0, len(search.rates), 5)
    rows = [(f"{search.rates[step]:.1e}", f"{search.smoothed[step]:.4f}") for step in shown]
    console.show_table(("learning rate", "smoothed loss"), rows, title=f"{name} on {images.source}")
    typer.echo(f"The loss falls fastest at {search.suggestion:.2g}: --set optimizer.lr={search.suggestion:.2g}")
