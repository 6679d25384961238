"""Exporting a model: convert, prove every artifact on its runtime, and put them in a directory with a manifest."""

import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..core.errors import InputError
from .artifact.bundle_directory import check_free, converting, finished_directory
from .artifact.certificate import Circumstances
from .artifact.manifest import ArtifactRecord, Gate, Manifest
from .artifact.metadata import Metadata
from .artifact.report import write_report
from .artifact.tensors import closed
from .formats import Format
from .sample_images import Samples
from .targets import formats_of, integer_formats, takers_of, targets_of
from .validation.checks.subject import Subject
from .validation.comparison import ProofError, Reference
from .validation.measures import MEASURES
from .validation.runner import Made, certified_record, put_to_checks
from .validation.thresholds import check_measured, checked_bars

if TYPE_CHECKING:
    import keras

    from .conversion.export_graph import ExportForm

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
    bars: Mapping[str, float] | None = None,
    keep_float: str | Sequence[str] = (),
    input_size: tuple[int, int] | None = None,
    batch: Literal[1, "N"] = 1,
    overwrite: bool = False,
    progress: Callable[[str], None] = lambda _: None,
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
            drawn by class; those that are also in `evaluation` are left out. A model that was trained for integers
            knows its ranges and takes none; it ships in integers only.
        evaluation: Images, best with labels, that the model never saw, such as `data.test`, in the same forms. Labels
            are what the model's task is evaluated by: class indices, `(count, labels)` of 0 or 1, numbers
            `(count, outputs)`, or masks `(count, height, width)`. Without images artifacts are held against Keras on
            the calibration images, without these on noise, and gates that cannot be measured so are skipped.
        bars: Other bars than the formats have, for all that are made, those in floats among them:
            `{"agreement": 0.95, "accuracy_drop": 0.02}`, or `relative_difference`, `label_accuracy_drop`,
            `mean_iou_drop`, `mae_rise`; and budgets of memory, of which there is none by default: `arena_bytes`,
            `sram_bytes`. The manifest says what was set.
        keep_float: Names of layers that int8 leaves in floats, or patterns such as `head_*`; the report names those
            that suffer most.
        input_size: Height and width of the artifacts, where the model leaves them open. Without it they stay open,
            which the formats in floats alone can have.
        batch: 1, or "N" for any number of images at once, which ONNX in floats alone can have.
        overwrite: Replace a bundle that is in the way.
        progress: Called with a line on what is done next.

    Raises:
        InputError: Something that was given cannot be used, or another process is writing to `out_dir`.
        ConversionError: A converter failed. What it said is left as `<out_dir>.failed.log`.
        ProofError: An artifact failed. Its bundle is left as `<out_dir>.failed`, for a look.
    """
    from ..zoo.fingerprint import weights_sha256
    from .conversion.write_artifacts import write_artifacts

    check_free(Path(out_dir), overwrite=overwrite)
    targets = targets_of([targets] if isinstance(targets, str) else targets)
    formats = formats_of(targets)
    form = _form(model, formats, input_size, batch)
    bars = checked_bars(bars or {}, form.metadata.task)
    check_measured(bars, targets)
    keep_float = [keep_float] if isinstance(keep_float, str) else keep_float
    evaluation = None if evaluation is None else _evaluation(evaluation, form.metadata)
    calibration = None if calibration is None else _calibration(calibration, evaluation, form.metadata)
    formats, skipped = _makeable(formats, targets, form, calibration)
    reference = _reference(model, form.metadata, evaluation, calibration)
    circumstances = _circumstances(skipped, reference)
    with finished_directory(Path(out_dir), overwrite=overwrite) as folder:
        files = write_artifacts(form, formats, calibration, folder, keep_float=keep_float)
        proven = put_to_checks(_made(files, formats, form, reference, bars, progress), targets, progress)
        untouched = weights_sha256(model) == form.metadata.weights_sha256
        records = [
            certified_record(made, _gates(made.subject, form, untouched), checks, targets, circumstances)
            for made, checks in proven
        ]
        manifest = _manifest(form, targets, records, calibration, circumstances)
        (folder / "manifest.json").write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
        write_report(manifest, folder / "report.md")
        if not manifest.passed:
            raise ProofError(
                f"{model.name} as exported fails its proof: {'; '.join(manifest.failures())} "
                f"(on {len(reference.samples)} {reference.origin})."
            )
    return manifest


def _form(model: "keras.Model", formats: Sequence[Format], input_size: Any, batch: Any) -> "ExportForm":
    """The export form with the size and batch that were asked for; raises InputError where `formats` have none such."""
    from .conversion.export_graph import ExportForm

    if batch not in (1, "N"):
        raise InputError(f"batch is {batch!r}; it takes 1 or 'N'.")
    fixed = [kind.name for kind in formats if kind.suffix != ".onnx" or kind.quantized]
    if batch == "N" and fixed:
        raise InputError(
            f"batch is 'N', which ONNX in floats can have, and {', '.join(fixed)} cannot; export them with batch 1."
        )
    _check_size(input_size)
    open_size = all(kind.open_size for kind in formats)
    return ExportForm.of(model, input_size=input_size, open_size=open_size, open_batch=batch == "N")


def _makeable(
    formats: Sequence[Format], targets: Sequence[str], form: "ExportForm", calibration: Samples | None
) -> tuple[list[Format], dict[str, str]]:
    """Those of `formats` that can be made, and of the others why not, by name."""
    if form.activation_bits is not None:
        made = integer_formats(formats, form.activation_bits)
        reason = f"the model was trained for integers with {form.activation_bits}-bit activations"
        return made, {kind.name: reason for kind in formats if kind not in made}
    if calibration is not None:
        return list(formats), {}
    made, skipped = [kind for kind in formats if not kind.quantized], _without_ranges(formats)
    _check_served(targets, made, skipped)
    return made, skipped


def _check_size(size: Any) -> None:
    pixels = isinstance(size, (tuple, list)) and all(isinstance(side, int) and side > 0 for side in size)
    if size is not None and not (pixels and len(size) == 2):
        raise InputError(f"input_size is {size!r}; it takes height and width in pixels, such as (224, 192).")


def _evaluation(source: Any, metadata: Metadata) -> Samples:
    outputs = len(metadata.labels) if metadata.task in MEASURES else None
    samples = Samples.of(source, "evaluation", metadata.image_shape, outputs, task=metadata.task)
    if len(samples) == 1 or not np.any(samples.images != samples.images[0]):
        raise InputError("evaluation has one image only; answers that do not vary prove nothing, so give several.")
    return samples


def _calibration(source: Any, evaluation: Samples | None, metadata: Metadata) -> Samples:
    classes = len(metadata.labels) if metadata.task == "classification" else None
    samples = Samples.of(source, "calibration", metadata.image_shape, classes, most=CALIBRATION_IMAGES)
    samples.check_no_noise("calibration")
    if evaluation is not None:
        samples = samples.without(evaluation)
        if not len(samples):
            raise InputError("all calibration images are evaluation images too; calibrate with training images.")
    return samples


def _without_ranges(formats: Sequence[Format]) -> dict[str, str]:
    """Those that cannot be made without calibration, and why."""
    reason = "it takes calibration: training images, which show the ranges of activations (calibration, or --data)"
    return {kind.name: reason for kind in formats if kind.quantized}


def _check_served(targets: Sequence[str], formats: Sequence[Format], skipped: dict[str, str]) -> None:
    """Raises InputError where nothing can be made for a target."""
    served = {target for kind in formats for target in takers_of(kind, targets)}
    left = [target for target in targets if target not in served]
    if left:
        names = {kind.name for kind in formats_of(left)}
        name, reason = next((name, reason) for name, reason in skipped.items() if name in names)
        raise InputError(f"target {left[0]} has nothing but {name}, and {reason}.")


def _reference(
    model: "keras.Model", metadata: Metadata, evaluation: Samples | None, calibration: Samples | None
) -> Reference:
    if evaluation is not None:
        samples, origin = evaluation, "evaluation images"
    elif calibration is not None:
        samples, origin = Samples(calibration.images, None), "calibration images"
    else:
        noise = np.random.default_rng(0).integers(0, 256, (NOISE_IMAGES, *closed(metadata.image_shape)))
        samples, origin = Samples(noise, None), "noise"
    outputs = model.predict(samples.images, verbose=0)
    if not np.any(outputs != outputs[0]):
        raise InputError(
            f"{model.name} answers the same to each of {len(outputs)} {origin}; by that no artifact can be judged."
        )
    if metadata.task == "segmentation" and samples.labels is not None and outputs.shape[:-1] != samples.labels.shape:
        raise InputError(f"the model answers maps of {outputs.shape[1:-1]}, the masks are {samples.labels.shape[1:]}.")
    return Reference(samples, origin, outputs, metadata.task)


def _circumstances(skipped: dict[str, str], reference: Reference) -> Circumstances:
    seen = reference.samples if reference.origin == "evaluation images" else None
    return Circumstances(
        skipped=skipped,
        evaluation=seen and seen.record(keras_accuracy=reference.accuracy, keras_figures=reference.figures),
        proven_on=reference.origin,
        host=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _made(
    files: Iterator[tuple[Path, Format]],
    formats: Sequence[Format],
    form: "ExportForm",
    reference: Reference,
    bars: Mapping[str, float],
    progress: Callable[[str], None],
) -> Iterator[Made]:
    """Each artifact once `files` has written it, in the order of `formats`."""
    for kind in formats:
        progress(f"Converting to {kind.name}")
        with converting(f"{form.metadata.model} as {kind.name}"):
            file, _ = next(files)
            made = Made.of(Subject(file, kind.with_bars(bars), form.metadata, reference, bars))
        yield made


def _gates(subject: Subject, form: "ExportForm", untouched: bool) -> tuple[Gate, ...]:
    least = form.kernel_weights * subject.kind.bytes_per_weight
    return (
        Gate.measured("model untouched", float(untouched), ">=", 1),
        Gate.measured("bytes", subject.path.stat().st_size, ">=", least),
    )


def _manifest(
    form: "ExportForm",
    targets: Sequence[str],
    records: Sequence[ArtifactRecord],
    calibration: Samples | None,
    circumstances: Circumstances,
) -> Manifest:
    return Manifest(
        model=form.metadata,
        parameters=form.flat.count_params(),
        sparsity=form.sparsity,
        targets=tuple(targets),
        artifacts=tuple(records),
        calibration=calibration and calibration.record(),
        tools={name: version(name) for name in TOOLS},
        **dict(circumstances),
    )
