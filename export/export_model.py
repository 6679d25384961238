"""Exporting a model: build the export graph, convert it, validate every artifact on its runtime, and write a bundle."""

import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..core.arguments import check_arguments
from ..core.errors import InputError
from ..core.outputs import Flags, LabelNames, PixelRange, TaskNames
from ..zoo.model_arguments import accepts_any_model
from .artifact.bundle_directory import check_free, converting, finished_directory
from .artifact.directories import CORE_ML, artifact_bytes
from .artifact.errors import ProofError
from .artifact.manifest import ArtifactRecord, Gate, Manifest, ValidationContext
from .artifact.report import write_report
from .example import Example, example_lines
from .format_selection import check_pixel_ranges, select_formats
from .formats import Format
from .readme.readme import write_labels, write_readme
from .sample_images import Samples, calibration_samples, evaluation_samples
from .sample_sources import in_memory, likely_ranges, likely_tasks
from .signals import as_row_images, parts_in_floats
from .targets import check_batch, check_converters, default_batch, formats_of, targets_of
from .triton import update_models
from .validation.checks.artifact_check import Subject
from .validation.integers import integer_gates
from .validation.reference import Reference
from .validation.runner import ConvertedArtifact, certify_artifact, run_checks
from .validation.thresholds import check_thresholds, with_budget
from .web.packages import check_vendor, copy_packages
from .web.page import PAGE, SHOWN, write_page

if TYPE_CHECKING:
    import keras

    from .conversion.export_graph import ExportGraph

TOOLS = ("tensorflow", "keras", "tf2onnx", "onnx", "onnxslim", "onnxruntime", "ai-edge-litert", "numpy", "pocketzoo")


@check_arguments
@accepts_any_model
def export_model(
    model: "keras.Model",
    out_dir: str | Path,
    *,
    targets: str | Sequence[str] = ("mobile",),
    calibration: Any = None,
    evaluation: Any = None,
    thresholds: Mapping[str, float] | None = None,
    budget: str | Mapping[str, float | str] | None = None,
    keep_float: str | Sequence[str] = (),
    input_size: tuple[int, int] | None = None,
    batch: Literal[1, "N"] | None = None,
    rgb: bool = False,
    vendor: str | Path | None = None,
    example: str | Path | None = None,
    overwrite: bool = False,
    progress: Callable[[str], None] = lambda _: None,
    bars: Mapping[str, float] | None = None,
    task: TaskNames | None = None,
    labels: LabelNames | None = None,
    pixels: PixelRange | None = None,
    from_logits: Flags | None = None,
) -> Manifest:
    """Export `model` for `targets` into a bundle: the artifacts, `README.md`, `manifest.json` and `report.md`.

    Every artifact is opened in its own runtime and compared with the Keras model, image by image. The directory is
    created only if every artifact passes.

    Args:
        model: A model that takes an image, and perhaps other images, vectors or indices, and has one output or several,
            in a list or a dict; or signals `(length, channels)`, which files take as images of one row, `(1, length,
            channels)`. It is not changed. Files have the inputs and outputs in its order, and several of them under its
            names: the keys of a dict, else the names of its input layers and output layers.
        out_dir: Directory of the bundle.
        targets: Names from `list_targets()`.
        calibration: Training images that determine activation ranges for int8: an array `(count, height, width,
            channels)`, where whole numbers are raw pixels 0..255 and floats are values that the model expects; a pair
            (images, labels); or a split such as `data.train`. 200 are used, balanced over the classes; images that are
            also in `evaluation` are excluded. For several inputs, a dict of arrays by name, or a list in the order of
            the model, in place of the images. Or a finite `tf.data.Dataset` or `keras.utils.PyDataset` of such batches,
            which is read into memory. A quantization-aware model has its own ranges and needs none; it is
            exported in integers only.
        evaluation: Images, preferably with labels, that were not used for training, such as `data.test`, in the same
            forms. The labels depend on the task: class indices, `(count, labels)` of 0 or 1, numbers
            `(count, outputs)`, or masks `(count, height, width)`; for several outputs a dict of such arrays by name, in
            which some may be missing, or a list in the order of the model. Without them, artifacts are compared with
            Keras on the calibration images, and without these on noise; gates that cannot be measured then are skipped.
        thresholds: Replace those of all exported formats, including float formats: `{"agreement": 0.95,
            "accuracy_drop": 0.02}`, or `relative_difference`, `label_accuracy_drop`, `mean_iou_drop`, `mae_rise`; and
            limits of edge targets, which have no default and which `budget` sets too: `flash_bytes`, `arena_bytes`,
            `sram_bytes`, `latency_ms`. The manifest records them.
        budget: Flash, RAM and time of an edge device, which have no default: `"flash=256KiB,ram=64KiB,latency_ms=20"`
            with the units B, kB (or KB), MB, KiB and MiB, or a mapping of these names to such texts, bytes and
            milliseconds.
        keep_float: Names of layers that int8 leaves in floating point, or patterns such as `head_*`; the report lists
            the layers most affected by quantization. Core ML and 16-bit activations do not take it.
        input_size: Height and width of the artifacts, where the model leaves them open. By default they stay open,
            which only float formats support.
        batch: Images at once: 1, or "N" for any number, which only float ONNX supports; SavedModels always take any. If
            None, "N" for `serving` alone, else 1.
        rgb: Whether files of a model of grayscale images take RGB images, as cameras give them; a gray RGB image has
            the outputs of its gray levels.
        vendor: Folder that npm filled, from which the packages of the web page are copied into the bundle, so that the
            page loads nothing from elsewhere; with None it loads them from a CDN, in the same versions.
        example: An image file of yours that the bundle shows, in the size of the model, with what each file gives for
            it; projects for microcontrollers run it. No other image is in a bundle.
        overwrite: Replace an existing bundle.
        progress: Called with a line on the next step.
        bars: Former name of `thresholds`.
        task: Task of a model without a head of the zoo: `"classification"`, `"multi_label"`, `"regression"`,
            `"segmentation"`, `"embedding"`, or `"raw"` for any other numbers, which are only compared. If None, that of
            the data, of the loss the model was compiled with, or of its last activation.
        labels: Names of its classes, labels or values. If None, those of the dataset of `evaluation`, else their
            indices.
        pixels: Range of pixel values that it expects, such as `"0..1"` or `(-1, 1)`. If None, the range that its first
            layers show, or that of float images, else 0..255.
        from_logits: Whether its outputs are logits; artifacts then output logits, too, and predictions of them are
            probabilities. What is inferred is printed once, and recorded in the manifest.

    Raises:
        InputError: An argument cannot be used, or another process is writing to `out_dir`.
        ConversionError: A converter failed. Its output is saved in `<out_dir>.failed.log`.
        ProofError: An artifact failed its validation. The bundle is kept as `<out_dir>.failed` for inspection.
    """
    from ..zoo.contract import state_contract
    from ..zoo.float32_form import float32_form
    from ..zoo.planar_form import planar_form, takes_signals
    from ..zoo.signature import check_image_inputs, input_keys, output_keys
    from .conversion.artifact_files import write_artifacts
    from .validation.keras_reference import KerasReference

    calibration, evaluation = in_memory(calibration, "calibration"), in_memory(evaluation, "evaluation")
    check_free(Path(out_dir), overwrite=overwrite)
    targets = targets_of([targets] if isinstance(targets, str) else targets)
    formats = formats_of(targets)
    check_converters(formats)
    if vendor is not None:
        check_vendor(Path(vendor), targets)
    check_image_inputs(model)
    state_contract(
        model,
        task=task,
        labels=labels,
        pixels=pixels,
        from_logits=from_logits,
        known_tasks=getattr(evaluation, "task", None),
        known_labels=getattr(evaluation, "names", None),
        likely_tasks=likely_tasks(evaluation, input_keys(model), output_keys(model)),
        likely_range=likely_ranges({"evaluation": evaluation, "calibration": calibration}, input_keys(model)),
    )
    model = float32_form(model)
    stated = model
    if takes_signals(model):
        if "web" in targets:
            raise InputError(f"{model.name} takes signals, and the page of target web opens images; leave it out.")
        if example is not None:
            raise InputError(f"{model.name} takes signals, and an example is an image; leave it out.")
        model = planar_form(model)
        calibration, evaluation = (as_row_images(source, model) for source in (calibration, evaluation))
    batch = default_batch(targets) if batch is None else batch
    graph = _export_graph(model, formats, input_size, batch, rgb)
    keep_float = [keep_float] if isinstance(keep_float, str) else list(keep_float)
    if graph.activation_bits is None:
        keep_float += parts_in_floats(stated, graph.flat, targets, formats)
    keras_reference = KerasReference(model)
    metadata = graph.metadata
    if thresholds is not None and bars is not None:
        raise InputError("thresholds and bars are two names of one argument; give thresholds only.")
    thresholds = with_budget(thresholds or bars or {}, budget, targets)
    thresholds = check_thresholds(thresholds, metadata.tasks, targets, is_plain=metadata.is_plain)
    own = graph.model_metadata
    evaluation = None if evaluation is None else evaluation_samples(evaluation, own)
    calibration = None if calibration is None else calibration_samples(calibration, evaluation, own)
    formats, skipped = select_formats(formats, targets, graph, calibration)
    check_pixel_ranges(formats, metadata)
    reference = keras_reference.evaluate(own, evaluation, calibration)
    if rgb:
        reference = replace(reference, samples=reference.samples.as_rgb())
        calibration = calibration and calibration.as_rgb()
    context = _validation_context(skipped, reference)
    shown = None if example is None else Example.from_file(Path(example), metadata)
    with finished_directory(Path(out_dir), overwrite=overwrite) as folder:
        if vendor is not None:
            copy_packages(Path(vendor), folder, {fmt.suffix for fmt in formats if fmt.name in SHOWN})
        if shown is not None:
            shown.save(folder)
        files = write_artifacts(graph, formats, calibration, folder, keep_float=keep_float)
        artifacts = _convert(files, formats, graph, reference, thresholds, shown, progress)
        results = run_checks(artifacts, targets, progress)
        unchanged = keras_reference.weights_sha256() == metadata.weights_sha256
        file_gates = partial(_file_gates, graph, targets, unchanged=unchanged, all_integers=not keep_float)
        records = [
            certify_artifact(artifact, file_gates(artifact.subject), checks, targets, context)
            for artifact, checks in results
        ]
        manifest = _manifest(graph, targets, records, calibration, context)
        _write_documents(manifest, folder, shown)
        if not manifest.passed:
            raise ProofError(
                f"the export of {metadata.model} failed its validation: {'; '.join(manifest.failures())} "
                f"(on {len(reference)} {reference.origin})."
            )
    return manifest


def _export_graph(
    model: "keras.Model", formats: Sequence[Format], input_size: Any, batch: Any, rgb: bool
) -> "ExportGraph":
    """Build the export graph with the given size and batch; raises InputError where `formats` do not support them."""
    from .conversion.export_graph import ExportGraph

    check_batch(batch, formats)
    pixels = isinstance(input_size, (tuple, list)) and all(isinstance(side, int) and side > 0 for side in input_size)
    if input_size is not None and not (pixels and len(input_size) == 2):
        raise InputError(f"input_size is {input_size!r}; it takes height and width in pixels, such as (224, 192).")
    open_size = all(fmt.open_size for fmt in formats)
    return ExportGraph.from_model(model, input_size=input_size, open_size=open_size, open_batch=batch == "N", rgb=rgb)


def _validation_context(skipped: dict[str, str], reference: Reference) -> ValidationContext:
    evaluated, score = reference.samples if reference.origin == "evaluation images" else None, reference.score
    return ValidationContext(
        skipped=skipped,
        evaluation=evaluated and evaluated.record(keras_accuracy=score.accuracy, keras_figures=score.figures),
        proven_on=reference.origin,
        host=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _convert(
    files: Iterator[tuple[Path, Format]],
    formats: Sequence[Format],
    graph: "ExportGraph",
    reference: Reference,
    thresholds: Mapping[str, float],
    example: Example | None,
    progress: Callable[[str], None],
) -> Iterator[ConvertedArtifact]:
    """Yield each artifact once `files` has written it, in the order of `formats`."""
    for fmt in formats:
        progress(f"Converting to {fmt.name}")
        with converting(f"{graph.metadata.model} as {fmt.name}"):
            path, _ = next(files)
            subject = Subject(path, fmt.with_thresholds(thresholds), graph.metadata, reference, thresholds, example)
            artifact = ConvertedArtifact.from_subject(subject)
        yield artifact


def _manifest(
    graph: "ExportGraph",
    targets: Sequence[str],
    records: Sequence[ArtifactRecord],
    calibration: Samples | None,
    context: ValidationContext,
) -> Manifest:
    return Manifest(
        model=graph.metadata,
        parameters=graph.flat.count_params(),
        sparsity=graph.sparsity,
        targets=tuple(targets),
        artifacts=tuple(records),
        calibration=calibration and calibration.record(),
        tools={name: version(name) for name in (*TOOLS, *_own_tools(records))},
        **dict(context),
    )


def _own_tools(records: Sequence[ArtifactRecord]) -> list[str]:
    """Optional packages that made some of the artifacts."""
    return ["coremltools"] if any(record.file.endswith(CORE_ML) for record in records) else []


def _write_documents(manifest: Manifest, folder: Path, example: Example | None) -> None:
    """Write the manifest, the report, the labels and the README, and what depends on the finished files."""
    (folder / "manifest.json").write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
    write_report(manifest, folder / "report.md")
    update_models(folder)
    if (folder / PAGE).exists():  # once more, with the sizes of the files as they are now
        write_page(folder, manifest.model)
    write_labels(manifest, folder)
    write_readme(manifest, folder, tuple(example_lines(manifest, folder, example.file)) if example else ())


def _file_gates(
    graph: "ExportGraph", targets: Sequence[str], subject: Subject, *, unchanged: bool, all_integers: bool
) -> tuple[Gate, ...]:
    """Gates on the file itself: converters can drop weights, or change the model, without an error."""
    least = graph.kernel_weights * subject.format.bytes_per_weight
    gates = (
        Gate.measured("model untouched", float(unchanged), ">=", 1),
        Gate.measured("bytes", artifact_bytes(subject.path), ">=", least),
    )
    return gates + integer_gates(subject, targets) if all_integers else gates
