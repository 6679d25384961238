"""From the export form to the artifact files of every format."""

import gc
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ...core.errors import InputError
from ..formats import FORMATS, Format
from ..sample_images import Samples
from ..tflite_schema.layer_names import chosen_layers
from .export_graph import ExportForm
from .tflite.to_tflite import TfliteFiles

if TYPE_CHECKING:
    import onnx

    from .onnx.integers import Quantizer


def write_artifacts(
    form: ExportForm,
    formats: Sequence[Format],
    calibration: Samples | None,
    folder: Path,
    *,
    keep_float: Sequence[str] = (),
) -> Iterator[tuple[Path, Format]]:
    """Converts `form` to each of `formats`, one after another, and gives the path of each file once it is written.

    Args:
        form: What to convert.
        formats: To what.
        calibration: Images that show the ranges of the activations, for the formats that are quantized; not needed
            where the model was trained for integers.
        folder: For the files.
        keep_float: Patterns of names of layers that int8 leaves in floats, such as `head_*`.

    Raises:
        InputError: A pattern fits no layer, a format cannot leave layers out, or cannot be made of the model.
    """
    if keep_float:
        _check_keep_float(form, formats, keep_float)
    with TemporaryDirectory() as work:
        makers = {
            ".tflite": partial(TfliteFiles, form, calibration, keep_float),
            ".onnx": partial(_OnnxFiles, form, calibration, keep_float, Path(work)),
        }
        for suffix, kinds in groupby(formats, key=lambda kind: kind.suffix):
            files = makers[suffix]()  # which lets go of what the ones before have kept
            for kind in kinds:
                gc.collect()  # traced functions and tf2onnx's graphs hold all weights, and refer to themselves
                path = folder / f"{form.metadata.model}{kind.file_ending}"
                path.write_bytes(files.content(kind.name))
                yield path, kind


def _check_keep_float(form: ExportForm, formats: Sequence[Format], keep_float: Sequence[str]) -> None:
    """Raises InputError where no layer can be left in floats, before anything is converted."""
    chosen_layers([layer.name for layer in form.flat.layers], keep_float)
    if form.activation_bits is not None:
        raise InputError(f"keep_float is for integers by calibration; {form.metadata.model} was trained for integers.")
    for kind in formats:
        if kind.quantized and kind.activation_bits != 8:
            raise InputError(f"keep_float is for int8; {kind.name} cannot leave layers in floats.")


class _OnnxFiles:
    """Converted to floats once, and calibrated once, and from there to everything else."""

    def __init__(self, form: ExportForm, calibration: Samples | None, keep_float: Sequence[str], work: Path):
        self.form, self.calibration, self.keep_float, self.work = form, calibration, keep_float, work

    @cached_property
    def floats(self) -> "onnx.ModelProto":
        from .onnx.to_onnx import to_onnx

        return to_onnx(self.form)

    @cached_property
    def quantizer(self) -> "Quantizer":
        from .onnx.integers import Quantizer

        quantizer = Quantizer(self.floats, self.form, self.calibration, self.keep_float, self.work)
        del self.floats  # which are in a file of the quantizer's now, and made again where they are asked for
        return quantizer

    def content(self, format_name: str) -> bytes:
        return self._model(FORMATS[format_name]).SerializeToString()

    def _model(self, kind: Format) -> "onnx.ModelProto":
        if kind.name == "onnx-fp32":
            return self.floats
        if kind.name == "onnx-fp16":
            from .onnx.to_onnx import to_half

            return to_half(self.floats, self.form)
        if self.form.activation_bits is None:
            return self.quantizer.quantized(for_tensorrt=kind.symmetric)
        if kind.symmetric:
            raise InputError(
                f"{self.form.metadata.model} was trained for integers on grids with a zero point of their own; "
                f"{kind.name} has grids around 0, so make it of the model before that training."
            )
        from .onnx.integers import to_trained_integers

        return to_trained_integers(self.floats, self.form)
