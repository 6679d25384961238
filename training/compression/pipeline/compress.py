"""Several compression methods in one go: channels, distillation, sparsity, clusters, quantization."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import keras

from ....core.arguments import check_arguments
from ....core.short_repr import ShortRepr
from ....core.work_directory import WorkDirectory
from ....zoo.fingerprint import weights_sha256
from ....zoo.model_arguments import accepts_any_model
from ....zoo.saving import load_model, save_model
from ...data.accepted_data import accepts_any_data
from ...data.images import ImageData
from ..channels.choose.cost_limits import Measure
from .spec import CompressionSpec
from .stages import STAGES, Inputs, check_stages

SETTINGS = "pocketzoo-compression.json"
RESULTS = ("[1-5]-*", "bundle", "bundle.failed", "comparison.*")
"""Files of a compression, including those that `pocketzoo compress` adds."""
EXPLANATIONS = {
    "model": "the model's weights are different",
    "images": "the images or their labels are different",
}


@dataclass(frozen=True)
class CompressionResult(ShortRepr):
    """The compressed model, and the models on the way to it."""

    model: keras.Model
    """The model after the last stage."""
    models: dict[str, keras.Model]
    """By stage, in order; the first, `dense`, is the original model."""
    files: dict[str, Path]
    """The `.keras` file by stage, without the original's."""
    run_dir: Path


@accepts_any_data("dataset")
@check_arguments
@accepts_any_model
def compress(
    model: keras.Model,
    data: ImageData,
    spec: CompressionSpec,
    *,
    run_dir: str | Path,
    measure: Measure | None = None,
    resume: bool = False,
    overwrite: bool = False,
    verbose: bool = True,
) -> CompressionResult:
    """Run the training stages of `spec` on a trained `model`, each on the result of the one before.

    Every stage keeps its run in `<number>-<stage>/` and, once it is finished, its model in `<number>-<stage>.keras`.
    A finished stage does not run again.

    Args:
        model: A trained model, which is also the teacher of distillation. It is not changed.
        data: The dataset to train on.
        spec: The stages. Its section `export` is for the caller: pass the result to `export.export_model`.
        run_dir: Directory for the stages' files.
        measure: Returns the latency of a model in milliseconds, such as `export.footprint.milliseconds`; for a
            budget of latency in the stage `channels`.
        resume: Continue an interrupted compression in `run_dir`; model, data and spec must be the same.
        overwrite: Replace an earlier compression in `run_dir`.
        verbose: Show progress on standard error.

    Returns:
        The model after each stage, with its file.

    Raises:
        InputError: A stage does not accept the model (all are checked before the first one trains), `run_dir` is in
            use by something else or by another process, or as in the functions of the stages.
    """
    check_stages(spec, model)
    directory = WorkDirectory(Path(run_dir), "compression", SETTINGS, RESULTS, EXPLANATIONS)
    sections = {f"spec.{name}": section for name, section in spec.model_dump(mode="json").items()}
    settings = {"model": weights_sha256(model), "data": data.source, "images": data.fingerprint()} | sections
    with directory.lock():
        directory.open(settings, resume=resume, overwrite=overwrite)
        return _run_stages(spec, Inputs(model, data, measure), directory.path, verbose)


def _run_stages(spec: CompressionSpec, inputs: Inputs, run_dir: Path, verbose: bool) -> CompressionResult:
    """Run the stages that have no model in `run_dir` yet, and load the models of the others."""
    models, files = {"dense": inputs.original}, {}
    for number, (name, run_stage) in enumerate(STAGES.items(), start=1):
        stage = getattr(spec, name)
        if stage is None:
            continue
        stage_run, file = run_dir / f"{number}-{name}", run_dir / f"{number}-{name}.keras"
        if not file.exists():
            keras.utils.set_random_seed(getattr(stage.recipe, "seed", 0))  # of Dropout: a resumed run has the same
            # Some stages change their model, but the models so far are also results.
            previous = _copy([*models.values()][-1])
            options = {"run_dir": stage_run, "resume": stage_run.exists(), "verbose": verbose}
            save_model(run_stage(stage, previous, inputs, **options), file)
        models[name], files[name] = load_model(file), file
    return CompressionResult([*models.values()][-1], models, files, run_dir)


def _copy(model: keras.Model) -> keras.Model:
    with TemporaryDirectory() as folder:
        return load_model(save_model(model, Path(folder, "model.keras")))
