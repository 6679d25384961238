"""The README of a bundle: what someone needs to use its files who knows neither this package nor Keras."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ...core.atomic_files import atomic_path
from ..artifact.manifest import Manifest
from ..artifact.metadata import labels_by_file, labels_text
from ..artifact.report import DEVICE_HEADER, device_rows, escape, markdown_table, percent
from ..validation.c_source import project_folder
from ..web.packages import FOLDER
from ..web.page import PAGE
from .checks import MODEL, check_lines, client_lines, core_ml_line
from .input_output import input_lines, output_lines
from .places import places
from .programs import program
from .runnable_files import RunnableFile, files_of, fitting_snippets, mediapipe_refusal, refusal
from .servers import server_lines
from .snippet_table import SNIPPETS

README = "README.md"
NUMBERS = {
    "tflite-fp32": "32-bit floats: the exact model",
    "tflite-fp16": "16-bit weights, float arithmetic: half the size",
    "tflite-dynamic": "8-bit weights, float arithmetic",
    "tflite-int8": "8-bit integers",
    "tflite-uint8": "8-bit integers, with images in bytes and float output",
    "tflite-int8-float": "8-bit integers, with float input and output",
    "tflite-int16x8": "8-bit weights, 16-bit activations",
    "onnx-fp32": "32-bit floats: the exact model",
    "onnx-fp16": "16-bit weights, float arithmetic: half the size",
    "onnx-int8": "8-bit integers (QDQ), for CPUs",
    "onnx-int8-tensorrt": "8-bit integers (QDQ), for TensorRT",
    "savedmodel-fp32": "32-bit floats: the exact model",
    "coreml-fp16": "16-bit weights and arithmetic",
    "coreml-int8": "8-bit weights, 16-bit float arithmetic",
}
"""What the files of each format compute with."""
RUNTIMES = {
    ".tflite": "Files in `.tflite` run in LiteRT, formerly TensorFlow Lite: on phones, small boards and desktops.",
    ".onnx": "Files in `.onnx` run in ONNX Runtime: on servers and desktops, and in browsers.",
    ".mlpackage": "Folders in `.mlpackage` are Core ML models, for iOS 16 and macOS 13; Xcode shows each as one file.",
    ".savedmodel": "Folders in `.savedmodel` run in TensorFlow and TensorFlow Serving.",
}
OPEN_PAGE = (
    "Copy this folder to a web server, or run `python -m http.server` in it and open http://localhost:8000. The camera "
    "needs https or localhost."
)
LOADS_PACKAGES = (
    "It loads its packages from cdn.jsdelivr.net; exported with `--vendor`, it has them beside it and loads nothing "
    "from elsewhere."
)


def write_labels(manifest: Manifest, folder: Path) -> None:
    """Write the labels of each output that has some, one per line, as they are in TFLite files."""
    for name, labels in _label_files(manifest).items():
        (folder / name).write_text(labels_text(labels), encoding="utf-8", newline="\n")


def write_readme(manifest: Manifest, folder: Path, example: Sequence[str] = (), source: str = MODEL) -> None:
    """Write the README of the bundle in `folder`, which has its files already.

    Args:
        manifest: Everything about the bundle.
        folder: The bundle.
        example: Lines on an image in it and what the files give for it, if there is one.
        source: The argument of `pocketzoo export` for the model, and its data.
    """
    model = manifest.model
    files = files_of(manifest, folder)
    lines = [
        f"# {escape(model.model)}",
        "",
        *_introduction(manifest, files),
        "## Which file",
        "",
        *_advice(manifest, source),
        *_file_table(manifest, files),
        "",
        *_other_files(manifest),
        *input_lines(manifest),
        *output_lines(manifest),
        *(("## Example", "", *example, "") if example else ()),
        *_measurements(manifest),
        *_origin(manifest),
        *server_lines(manifest),
        *_programs(files),
    ]
    with atomic_path(folder / README) as temporary:
        temporary.write_text("\n".join(lines), encoding="utf-8")


def _introduction(manifest: Manifest, files: list[RunnableFile]) -> Iterator[str]:
    """What the model does, which file to start with, and where the files come from."""
    model, tools = manifest.model, manifest.tools
    tasks = " and ".join(dict.fromkeys(task.replace("_", "-") for task in model.tasks))
    yield f"A neural network for {tasks}, with {manifest.parameters:,} parameters, in the files of this folder."
    firsts: dict[str, list[str]] = {}
    for snippet, file in fitting_snippets(files):
        firsts.setdefault(file.file, []).append(snippet.title)
    if firsts:
        yield from ("Start with:", "", *(f"- `{file}` in {'; '.join(titles)}" for file, titles in firsts.items()))
    yield from ("", f"Made by pocketzoo {tools.get('pocketzoo', '')} on {manifest.created[:10]}.", "")


def _advice(manifest: Manifest, source: str) -> Iterator[str]:
    """What the kinds of files are, and what single clients need."""
    suffixes = dict.fromkeys(Path(record.file).suffix for record in manifest.artifacts)
    yield " ".join(RUNTIMES[suffix] for suffix in suffixes if suffix in RUNTIMES)
    yield from client_lines(manifest, source)
    yield ""


def _file_table(manifest: Manifest, files: list[RunnableFile]) -> Iterator[str]:
    rows = [
        (
            record.file,
            places(record, in_mediapipe=mediapipe_refusal(file) is None),
            NUMBERS.get(record.format, record.format),
            f"{record.bytes:,}",
            f"{record.gzip_bytes:,}",
        )
        for record, file in zip(manifest.artifacts, files, strict=True)
    ]
    yield from markdown_table(("file", "where", "numbers", "bytes", "gzipped"), rows)


def _other_files(manifest: Manifest) -> list[str]:
    """A list of what else is in the folder."""
    lines = [f"- `{name}`: The names of the outputs, one per line, UTF-8." for name in _label_files(manifest)]
    sources: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for record in manifest.artifacts:
        for check in record.checks:
            if check.files:
                folders = (f"{name.partition('/')[0]}/" if "/" in name else name for name in check.files)
                sources.setdefault((tuple(dict.fromkeys(folders)), check.name), []).append(f"`{record.file}`")
    for (names, title), artifacts in sources.items():
        how = f" {OPEN_PAGE}" if PAGE in names else ""
        if how and f"{FOLDER}/" not in names:
            how += f" {LOADS_PACKAGES}"
        shown = ", ".join(f"`{name}`" for name in names)
        lines.append(f"- {shown}: {title}, made from {' and '.join(artifacts)}.{how}")
    return [*lines, *([""] if lines else [])]


def _label_files(manifest: Manifest) -> dict[str, Sequence[str]]:
    return {name: labels for name, labels in labels_by_file(manifest.model).items() if labels}


def _measurements(manifest: Manifest) -> Iterator[str]:
    """Time and quality of each file, and the memory that was measured."""
    yield from ("## Measured", "", " ".join(check_lines(manifest)), "")
    yield f"On {manifest.host}: milliseconds for one image on one thread, median. Other devices take another time."
    yield ""
    header = ("file", "runtime", "ms", "on the evaluation images", "same prediction as the original")
    figures = list(manifest.evaluation.keras_figures) if manifest.evaluation else []
    timed = [
        (
            record.file,
            f"{check.name} {check.version or ''}".strip(),
            "-" if check.median_ms is None else f"{check.median_ms:.3g}",
            _quality(check.accuracy, {name: check.facts[name] for name in figures if name in check.facts}),
            percent(check.agreement),
        )
        for record in manifest.artifacts
        for check in record.checks[:1]
    ]
    yield from markdown_table(header, timed)
    yield ""
    yield from (core_ml_line(manifest), "") if core_ml_line(manifest) else ()
    if manifest.evaluation:
        original = _quality(manifest.evaluation.keras_accuracy, manifest.evaluation.keras_figures)
        yield from (f"The original model: {original}.", "") if original != "-" else ()
    rows = device_rows(manifest)
    if rows:
        yield from ("Memory of edge devices, in bytes:", "", *markdown_table(DEVICE_HEADER, rows), "")


def _origin(manifest: Manifest) -> list[str]:
    """Where the weights come from, and their license."""
    model = manifest.model
    origin = f"Made from the published weights `{escape(model.origin)}`." if model.origin else ""
    terms = f"Their license is {escape(model.license)}." if model.license else ""
    unknown = "" if model.license else "The license of the weights is not recorded: ask whoever trained the model."
    return ["## License", "", " ".join(filter(None, (origin, terms, unknown))), ""]


def _quality(accuracy: float | None, figures: Mapping[str, float | int | str]) -> str:
    """The metrics of a model, such as `accuracy 99.44%`."""
    known = [] if accuracy is None else [f"accuracy {percent(accuracy)}"]
    known += [
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in figures.items()
    ]
    return ", ".join(known) or "-"


def _programs(files: list[RunnableFile]) -> Iterator[str]:
    """The programs that fit the files of the bundle."""
    programs = list(fitting_snippets(files))
    yield "## Programs"
    yield ""
    if not programs:
        refusals = [
            refusal(each, file) for file in files for each in SNIPPETS.values() if file.path.suffix == each.suffix
        ]
        why = "; ".join(dict.fromkeys(map(str, refusals))) or "no language has one for such files"
        yield f"There is no program for any file: {why}."
        yield ""
        return
    yield (
        "Each decodes an image file, resizes it, runs a file of this folder, and shows the result, unless it says "
        "otherwise. Packages of one project differ in version where a registry, such as npm for ONNX Runtime, has no "
        "newer one."
    )
    yield ""
    for snippet, file in programs:
        about = f"For `{file.file}`. In the tests of pocketzoo: {snippet.tested}."
        note = snippet.note.format(project=project_folder(file.path).name)
        yield from (f"### {snippet.title}", "", f"{about} {note}".rstrip(), "")
        yield from (f"```{snippet.language}", program(snippet, file).rstrip(), "```", "")
