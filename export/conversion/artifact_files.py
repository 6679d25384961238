"""From the export graph to the artifact files of every format."""

import gc
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ...core.errors import InputError
from ...core.temporary_space import needing_temporary_space
from ..formats import Format
from ..sample_images import Samples
from .core_ml import CoreMLFiles
from .export_graph import ExportGraph
from .saved_model import SavedModelFiles
from .tflite.tflite_files import TFLiteFiles

if TYPE_CHECKING:
    from .onnx.onnx_files import OnnxFiles

MANY_WEIGHTS = 1_000_000
"""Number of weights whose copies take more memory than is left to Python to collect in its own time, which takes 0.1 s
for each file."""

ALL_INTEGERS = ("tflite-int16x8", "coreml-int8")
"""Formats that cannot keep some layers in floating point: operations of Core ML do not name their layers."""


def write_artifacts(
    graph: ExportGraph,
    formats: Sequence[Format],
    calibration: Samples | None,
    folder: Path,
    *,
    keep_float: Sequence[str] = (),
) -> Iterator[tuple[Path, Format]]:
    """Convert `graph` to each of `formats`, one after another, and yield the path of each artifact once it is written.

    Args:
        graph: The export graph.
        formats: Formats to convert to.
        calibration: Images that determine activation ranges, for quantized formats; not used for a quantization-aware
            model.
        folder: Folder of the files.
        keep_float: Patterns of names of layers that int8 leaves in floating point, such as `head_*`.

    Raises:
        InputError: A pattern matches no layer, a format cannot keep layers in floating point, or does not support the
            model.
    """
    if keep_float:
        _check_keep_float(graph, formats, keep_float)
    with TemporaryDirectory() as work:
        converters: dict[str, Callable[[], TFLiteFiles | OnnxFiles | SavedModelFiles | CoreMLFiles]] = {
            ".tflite": partial(TFLiteFiles, graph, calibration, keep_float),
            ".onnx": partial(_onnx_files, graph, calibration, keep_float, Path(work)),
            ".savedmodel": partial(SavedModelFiles, graph),
            ".mlpackage": partial(CoreMLFiles, graph),
        }
        for suffix, group in groupby(formats, key=lambda fmt: fmt.suffix):
            with needing_temporary_space():
                files = converters[suffix]()  # which releases what the converter before it has cached
            for fmt in group:
                if graph.flat.count_params() > MANY_WEIGHTS:
                    gc.collect()  # traced functions and tf2onnx's graphs hold all weights in reference cycles
                path = folder / f"{graph.metadata.model}{fmt.file_ending}"
                if isinstance(files, SavedModelFiles | CoreMLFiles):
                    files.write(fmt.name, path)
                else:
                    with needing_temporary_space():
                        content = files.content(fmt.name)
                    path.write_bytes(content)
                yield path, fmt


def _onnx_files(graph: ExportGraph, calibration: Samples | None, keep_float: Sequence[str], work: Path) -> "OnnxFiles":
    from .onnx.onnx_files import OnnxFiles

    return OnnxFiles(graph, calibration, keep_float, work)


def _check_keep_float(graph: ExportGraph, formats: Sequence[Format], keep_float: Sequence[str]) -> None:
    """Raise InputError where no layer can be kept in floating point, before anything is converted."""
    graph.scopes.match(keep_float)
    if graph.activation_bits is not None:
        raise InputError(
            f"keep_float is for quantization by calibration; {graph.metadata.model} was trained for integers."
        )
    for fmt in formats:
        if fmt.name in ALL_INTEGERS:
            kinds = "int8" if fmt.quantized else "TFLite and ONNX"
            raise InputError(f"keep_float is for {kinds}; {fmt.name} cannot keep layers in floating point.")
