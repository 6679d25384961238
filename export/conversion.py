"""From the export form to the artifact files of every format."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from .form import ExportForm
from .formats import Format
from .samples import Samples


def write_artifacts(
    form: ExportForm, formats: Sequence[Format], calibration: Samples | None, folder: Path
) -> Iterator[tuple[Path, Format]]:
    """Converts `form` to each of `formats`, one after another, and gives the path of each file once it is written."""
    onnx_float = None
    for kind in formats:
        path = folder / f"{form.metadata.model}{kind.file_ending}"
        if kind.suffix == ".tflite":
            from .to_tflite import to_tflite

            content = to_tflite(form, kind.name, calibration)
        else:
            from .to_onnx import quantize_onnx, to_onnx

            onnx_float = onnx_float or to_onnx(form)  # converted once, quantised from there
            chosen = quantize_onnx(onnx_float, form, calibration) if kind.quantized else onnx_float
            content = chosen.SerializeToString()
        path.write_bytes(content)
        yield path, kind
