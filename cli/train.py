"""`pocketzoo train`: a new model on a dataset."""

from typing import TYPE_CHECKING

from ..core.errors import InputError
from . import console
from .inputs import load_training_images, new_model, read_recipe, spectrogram_of
from .option_groups import DataReading, ExtendableRun, TrainingSetup
from .options import EmbeddingSize, ImageSize, Json, ModelName, RunDir, Spectrogram
from .results import metric_text, show_training
from .tensorflow_import import import_tensorflow

if TYPE_CHECKING:
    import keras

    from ..training import CrossValidation


def train(
    name: ModelName,
    run_dir: RunDir,
    *,
    setup: TrainingSetup,
    embedding: EmbeddingSize = None,
    image_size: ImageSize = None,
    spectrogram: Spectrogram = None,
    reading: DataReading,
    run: ExtendableRun,
    as_json: Json = False,
) -> None:
    """Train a new model; RUN_DIR/best.keras is the result.

    With --set folds=5 it is cross-validated: trained five times, in RUN_DIR/fold-1 and so on.
    """
    from .. import training
    from ..zoo.registry import model_card

    card = model_card(name)
    settings = read_recipe(setup.recipe, setup.changes, training.Recipe(), setup.allow_code)
    if settings.folds is not None and run.extend:
        raise InputError("--extend continues one run; with folds there are several. Leave one of them out.")
    sound = spectrogram_of(spectrogram, reading)
    images = load_training_images(setup.data, settings, card.input_shape, reading, image_size)
    import_tensorflow()
    if settings.folds is None:
        model = new_model(name, images, settings.seed, embedding, sound)
        result = training.fit(model, images, settings, run_dir=run_dir, **vars(run))
        show_training(result, images, run_dir, as_json=as_json)
        return

    def make() -> "keras.Model":
        return new_model(name, images, settings.seed, embedding, sound)

    validated = training.cross_validate(
        make, images, settings, run_dir=run_dir, resume=run.resume, overwrite=run.overwrite
    )
    if as_json:
        console.show_json(validated.to_dict())
    else:
        _show_folds(validated, images.source)


def _show_folds(result: "CrossValidation", source: str) -> None:
    names = [name for name in result.mean if any(fold[name] is not None for fold in result.folds)]
    rows = {f"fold {number}": fold for number, fold in enumerate(result.folds, start=1)}
    rows |= {"mean": result.mean, "deviation": result.deviation}
    texts = [(title, *(metric_text(name, row[name]) for name in names)) for title, row in rows.items()]
    console.show_table(("", *names), texts, title=f"Validation images of each fold, {source}")
