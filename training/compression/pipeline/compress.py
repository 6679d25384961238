"""Several compression methods in one go: channels, distillation, sparsity, clusters, quantization."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras

from ....core.atomic_files import UNFINISHED, atomic_path
from ....core.errors import InputError
from ....zoo.fingerprint import weights_sha256
from ....zoo.saving import load_model, save_model
from ...data.images import ImageData
from ..channels.choose.budget import Measure
from .spec import CompressionSpec
from .stages import STAGES, Inputs, check_stages

SETTINGS = "pocketzoo-compression.json"


@dataclass(frozen=True)
class CompressionResult:
    """The compressed model, and the models on the way to it."""

    model: keras.Model
    """The model after the last stage."""
    models: dict[str, keras.Model]
    """By stage, in order; the first, `dense`, is the original model."""
    files: dict[str, Path]
    """The `.keras` file by stage, without the original's."""
    run_dir: Path


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
            use by something else, or as in the functions of the stages.
    """
    check_stages(spec, model)
    run_dir = Path(run_dir)
    sections = {f"spec.{name}": section for name, section in spec.model_dump(mode="json").items()}
    settings = {"model": weights_sha256(model), "data": data.source, "images": data.fingerprint()} | sections
    open_directory(run_dir, settings, resume=resume, overwrite=overwrite)
    inputs = Inputs(model, data, measure)
    models, files = {"dense": model}, {}
    for number, (name, run_stage) in enumerate(STAGES.items(), start=1):
        stage = getattr(spec, name)
        if stage is None:
            continue
        stage_run, file = run_dir / f"{number}-{name}", run_dir / f"{number}-{name}.keras"
        if not file.exists():
            # Some stages change their model, but the models so far are also results.
            previous = _copy([*models.values()][-1])
            options = {"run_dir": stage_run, "resume": stage_run.exists(), "verbose": verbose}
            save_model(run_stage(stage, previous, inputs, **options), file)
        models[name], files[name] = load_model(file), file
    return CompressionResult([*models.values()][-1], models, files, run_dir)


def _copy(model: keras.Model) -> keras.Model:
    with TemporaryDirectory() as folder:
        return load_model(save_model(model, Path(folder, "model.keras")))


def open_directory(path: Path, settings: dict[str, Any], *, resume: bool, overwrite: bool) -> None:
    """Create the directory of a new compression, or return to that of an interrupted one.

    Args:
        path: The directory.
        settings: What determines the result; a compression is resumed with the same settings only.
        resume: Continue with what is there.
        overwrite: Remove an earlier compression.

    Raises:
        InputError: The directory is in use by something else or by another compression, or cannot be written.
    """
    own = path / SETTINGS
    try:
        if overwrite and not resume and own.exists():
            _remove(path)
        path.mkdir(parents=True, exist_ok=True)
        for unfinished in path.glob(f"{UNFINISHED}*"):
            shutil.rmtree(unfinished) if unfinished.is_dir() else unfinished.unlink()
        if not any(path.iterdir()):
            with atomic_path(own) as temporary:
                temporary.write_text(json.dumps(settings, indent=1))
        elif not (resume and own.exists()):
            raise InputError(
                f"run directory {path} is not empty; resume the compression, overwrite it, or name another directory."
            )
    except OSError as error:
        raise InputError(f"run directory {path} cannot be written: {error.strerror}.") from error
    before = json.loads(own.read_text())
    differing = [name for name in before | settings if before.get(name) != settings.get(name)]
    if differing:
        raise InputError(f"run directory {path} belongs to another compression: {', '.join(differing)} differs.")


def _remove(path: Path) -> None:
    """Remove the files of a compression; other files stay, and keep the directory from being used."""
    for pattern in ("[1-5]-*", "bundle", "bundle.failed", "comparison.*", SETTINGS):
        for file in path.glob(pattern):
            shutil.rmtree(file) if file.is_dir() else file.unlink()
