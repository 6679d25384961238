"""The export graph as ONNX files of all formats."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import onnx

from ....core.errors import InputError
from ...formats import FORMATS
from ...sample_images import Samples
from ..export_graph import ExportGraph
from .float_model import to_half, to_onnx
from .quantized_model import Quantizer, to_trained_integers


class OnnxFiles:
    """ONNX files of one model: it is converted to float32 once, calibrated once, and from there to all formats.

    Args:
        graph: The export graph.
        calibration: Images that determine activation ranges, for quantized formats.
        keep_float: Patterns of names of layers that int8 leaves in floating point.
        work: Folder for intermediate files.
    """

    def __init__(self, graph: ExportGraph, calibration: Samples | None, keep_float: Sequence[str], work: Path):
        self.graph, self.calibration, self.keep_float, self.work = graph, calibration, keep_float, work

    def content(self, format_name: str) -> bytes:
        """Convert to `onnx-fp32`, `-fp16`, `-int8` or `-int8-tensorrt`.

        Raises:
            InputError: The format does not support the model.
        """
        return self._model(format_name).SerializeToString()

    @cached_property
    def _float_model(self) -> onnx.ModelProto:
        return to_onnx(self.graph)

    @cached_property
    def _quantizer(self) -> Quantizer:
        quantizer = Quantizer(self._float_model, self.graph, self.calibration, self.keep_float, self.work)
        del self._float_model  # the quantizer keeps it in a file; it is converted again if needed
        return quantizer

    def _model(self, format_name: str) -> onnx.ModelProto:
        symmetric = FORMATS[format_name].symmetric
        if format_name == "onnx-fp32":
            return self._float_model
        if format_name == "onnx-fp16":
            return to_half(self._float_model, self.graph)
        if self.graph.activation_bits is None:
            return self._quantizer.quantize(for_tensorrt=symmetric)
        if symmetric:
            raise InputError(
                f"{self.graph.metadata.model} was trained for integers with a zero point of their own; in "
                f"{format_name} the zero point is 0, so export the model from before that training."
            )
        return to_trained_integers(self._float_model, self.graph)
