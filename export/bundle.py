"""Exporting a model: convert, prove every artifact on its runtime, and put them in a directory with a manifest."""

import gzip
import hashlib
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..zoo.errors import InputError
from .artifact import load_artifact
from .checks.subject import Subject
from .checks.table import CHECKS
from .finished import finished_directory
from .formats import Format
from .graphs import operators
from .manifest import ArtifactRecord, Gate, ImagesRecord, Manifest, Tensor
from .proof import ProofError, Reference
from .report import write_report
from .samples import Samples
from .targets import checks_of, formats_of, integer_formats, takers_of, targets_of
from .tensors import closed

if TYPE_CHECKING:
    import keras

    from .form import ExportForm

CALIBRATION_IMAGES = 200
NOISE_IMAGES = 16
TOOLS = ("tensorflow", "keras", "tf2onnx", "onnx", "onnxslim", "onnxruntime", "ai-edge-litert", "numpy", "pocketzoo")


def export_model(
    model: "keras.Model",
    out_dir: str | Path,
    *,
    targets: Sequence[str] = ("mobile",),
    calibration: Any = None,
    evaluation: Any = None,
    keep_float: Sequence[str] = (),
    input_size: tuple[int, int] | None = None,
    batch: Literal[1, "N"] = 1,
    overwrite: bool = False,
) -> Manifest:
    """Exports `model` for `targets` into a bundle: the artifacts, `manifest.json` and `report.md`.

    Every artifact is opened by its own runtime and held against the Keras model, image by image. The directory is there
    only if every artifact passes.

    Args:
        model: A model for images, with one answer. It is not changed.
        out_dir: The bundle's directory.
        targets: Names from `list_targets()`.
        calibration: Training images that show the ranges of the activations, for int8: an array of raw pixels 0..255,
            `(count, height, width, channels)`, a pair (images, labels), or a split such as `data.train`. 200 are used,
            evenly by class; those that are also in `evaluation` are left out. A model that was trained for integers
            knows its ranges and takes none; it ships in integers only.
        evaluation: Images, best with labels, that the model never saw, such as `data.test`, in the same forms; only a
            classifier's labels are used. Without them artifacts are held against Keras on the calibration images,
            without these on noise, and the gates that cannot be measured so are marked as skipped.
        keep_float: Patterns of names of layers that int8 leaves in floats, such as `head_*`; the report names those
            that suffer most.
        input_size: Height and width of the artifacts, where the model leaves them open. Without it they stay open,
            which the formats in floats alone can have.
        batch: 1, or "N" for any number of images at once, which ONNX in floats alone can have.
        overwrite: Replace a bundle that is in the way.

    Raises:
        InputError: Something that was given cannot be used.
        ProofError: An artifact failed. Its bundle is left as `<out_dir>.failed`, for a look.
    """
    from .conversion import write_artifacts
    from .form import ExportForm, weights_sha256

    targets = targets_of([targets] if isinstance(targets, str) else targets)
    formats = formats_of(targets)
    if batch == "N" and any(kind.suffix != ".onnx" or kind.quantized for kind in formats):
        names = ", ".join(kind.name for kind in formats if kind.suffix != ".onnx" or kind.quantized)
        raise InputError(f"batch is 'N', which ONNX in floats can have, and {names} cannot; export them with batch 1.")
    open_size = all(kind.open_size for kind in formats)
    form = ExportForm.of(model, input_size=input_size, open_size=open_size, open_batch=batch == "N")
    if form.activation_bits is not None:
        formats = integer_formats(formats, form.activation_bits)
    shape = form.metadata.image_shape
    classes = len(form.metadata.labels) if form.metadata.task == "classification" else None
    evaluation = None if evaluation is None else _evaluation(evaluation, shape, classes)
    calibration = None if calibration is None else _calibration(calibration, evaluation, shape, classes)
    skipped = _without_ranges(formats) if calibration is None and form.activation_bits is None else {}
    formats = [kind for kind in formats if kind.name not in skipped]
    _check_served(targets, formats, skipped)
    reference = _reference(model, form.metadata.task, evaluation, calibration, shape)
    with finished_directory(Path(out_dir), overwrite=overwrite) as folder:
        records = [
            _prove(file, kind, targets, reference, form, weights_now=weights_sha256(model))
            for file, kind in write_artifacts(form, formats, calibration, folder, keep_float=keep_float)
        ]
        manifest = _manifest(form, targets, records, skipped, calibration, reference)
        (folder / "manifest.json").write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
        write_report(manifest, folder / "report.md")
        if not manifest.passed:
            raise ProofError(
                f"{model.name} as exported does not answer as it did: {'; '.join(manifest.failures())} "
                f"(on {len(reference.samples)} {reference.origin})."
            )
    return manifest


def _evaluation(source: Any, shape: tuple[int, int, int], classes: int | None) -> Samples:
    samples = Samples.of(source, "evaluation", shape, classes)
    if len(samples) == 1 or not np.any(samples.images != samples.images[0]):
        raise InputError("evaluation has one image only; answers that do not vary prove nothing, so give several.")
    return samples


def _calibration(source: Any, evaluation: Samples | None, shape: tuple[int, int, int], classes: int | None) -> Samples:
    samples = Samples.of(source, "calibration", shape, classes, most=CALIBRATION_IMAGES)
    samples.check_no_noise("calibration")
    if evaluation is not None:
        samples = samples.without(evaluation)
        if not len(samples):
            raise InputError("all calibration images are evaluation images too; calibrate with training images.")
    return samples


def _without_ranges(formats: Sequence[Format]) -> dict[str, str]:
    """Those that cannot be made without calibration, and why."""
    reason = "it takes calibration: training images that show the ranges of activations"
    return {kind.name: reason for kind in formats if kind.quantized}


def _check_served(targets: Sequence[str], formats: Sequence[Format], skipped: dict[str, str]) -> None:
    """Raises InputError where nothing can be made for a target."""
    served = {target for kind in formats for target in takers_of(kind, targets)}
    left = [target for target in targets if target not in served]
    if left and skipped:
        names = {kind.name for kind in formats_of(left)}
        name, reason = next((name, reason) for name, reason in skipped.items() if name in names)
        raise InputError(f"target {left[0]} has nothing but {name}, and {reason}.")


def _reference(
    model: "keras.Model",
    task: str,
    evaluation: Samples | None,
    calibration: Samples | None,
    shape: tuple[int, int, int],
) -> Reference:
    if evaluation is not None:
        samples, origin = evaluation, "evaluation images"
    elif calibration is not None:
        samples, origin = Samples(calibration.images, None), "calibration images"
    else:
        noise = np.random.default_rng(0).integers(0, 256, (NOISE_IMAGES, *closed(shape)))
        samples, origin = Samples(noise, None), "noise"
    return Reference(samples, origin, model.predict(samples.images, verbose=0), task)


def _prove(
    file: Path, kind: Format, targets: Sequence[str], reference: Reference, form: "ExportForm", weights_now: str
) -> ArtifactRecord:
    artifact = load_artifact(file)
    content = file.read_bytes()
    subject = Subject(file, kind, form.metadata, reference)
    return ArtifactRecord(
        file=file.name,
        format=kind.name,
        targets=tuple(takers_of(kind, targets)),
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        gzip_bytes=len(gzip.compress(content)),
        input=Tensor(**asdict(artifact.input)),
        output=Tensor(**asdict(artifact.output)),
        noise_db=artifact.metadata.making.noise_db,
        operators=operators(file),
        gates=(
            Gate.measured("model untouched", float(weights_now == form.metadata.weights_sha256), ">=", 1),
            Gate.measured("bytes", len(content), ">=", form.kernel_weights * kind.bytes_per_weight),
        ),
        checks=tuple(CHECKS[name](subject) for name in checks_of(kind, targets)),
    )


def _manifest(
    form: "ExportForm",
    targets: Sequence[str],
    records: Sequence[ArtifactRecord],
    skipped: dict[str, str],
    calibration: Samples | None,
    reference: Reference,
) -> Manifest:
    seen = reference.samples if reference.origin == "evaluation images" else None
    return Manifest(
        model=form.metadata,
        parameters=form.flat.count_params(),
        sparsity=form.sparsity,
        targets=tuple(targets),
        artifacts=tuple(records),
        skipped=skipped,
        calibration=calibration and ImagesRecord(count=len(calibration), sha256=calibration.sha256),
        evaluation=seen and ImagesRecord(count=len(seen), sha256=seen.sha256, keras_accuracy=reference.accuracy),
        proven_on=reference.origin,
        tools={name: version(name) for name in TOOLS},
        host=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
