"""From the export form to the artifact files of every format."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from .form import ExportForm
from .formats import Format
from .samples import Samples

if TYPE_CHECKING:
    import onnx


def write_artifacts(
    form: ExportForm, formats: Sequence[Format], calibration: Samples | None, folder: Path
) -> Iterator[tuple[Path, Format]]:
    """Converts `form` to each of `formats`, one after another, and gives the path of each file once it is written."""
    onnx_files = _OnnxFiles(form, calibration)
    for kind in formats:
        path = folder / f"{form.metadata.model}{kind.file_ending}"
        if kind.suffix == ".tflite":
            from .to_tflite import to_tflite

            content = to_tflite(form, kind.name, calibration)
        else:
            content = onnx_files.content(kind)
        path.write_bytes(content)
        yield path, kind


class _OnnxFiles:
    """Converted to floats once, and from there to everything else."""

    def __init__(self, form: ExportForm, calibration: Samples | None):
        self.form, self.calibration = form, calibration

    @cached_property
    def floats(self) -> "onnx.ModelProto":
        from .to_onnx import to_onnx

        return to_onnx(self.form)

    def content(self, kind: Format) -> bytes:
        return self.model(kind).SerializeToString()

    def model(self, kind: Format) -> "onnx.ModelProto":
        if kind.name == "onnx-fp32":
            return self.floats
        if kind.name == "onnx-fp16":
            from .to_onnx import to_half

            return to_half(self.floats, self.form)
        from .onnx_integers import to_integers

        return to_integers(self.floats, self.form, self.calibration, for_tensorrt=kind.symmetric)
