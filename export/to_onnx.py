"""The export form to ONNX files."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxslim
import tf2onnx
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process

from ..zoo.errors import InputError
from .form import ExportForm
from .metadata import KEY, Metadata
from .qdq import with_integer_kernels
from .quiet import quiet
from .samples import Samples

OPSET = 17  # at 18 tf2onnx writes pooling as ReduceMean and leaves many Transposes


def to_onnx(form: ExportForm) -> onnx.ModelProto:
    """Converts to float32 ONNX and simplifies the graph; checked by ONNX's own checker.

    Raises:
        InputError: The model was trained for 16-bit activations.
    """
    if form.activation_bits == 16:
        raise InputError(
            f"{form.metadata.model} was trained with 16-bit activations; ONNX Runtime computes with 8-bit ones."
        )
    with quiet():
        model, _ = tf2onnx.convert.from_function(form.serve, input_signature=form.serve.input_signature, opset=OPSET)
        model = onnxslim.slim(model, skip_fusion_patterns=_fusions_to_skip(model))
    model.graph.name = form.metadata.model
    _embed(model, form.metadata)
    onnx.checker.check_model(model, full_check=True)
    return model


def quantize_onnx(model: onnx.ModelProto, form: ExportForm, calibration: Samples | None) -> onnx.ModelProto:
    """Quantises to int8 in QDQ form: int8 weights for each channel, uint8 activations (fastest on x86).

    Args:
        model: What `to_onnx` made.
        form: What that was made from.
        calibration: Images that show the ranges of the activations; not needed where the model was trained for
            integers.
    """
    quantized = with_integer_kernels(model) if form.activation_bits else _calibrated(model, calibration)
    _embed(quantized, form.metadata)
    onnx.checker.check_model(quantized, full_check=True)
    return quantized


def _calibrated(model: onnx.ModelProto, calibration: Samples) -> onnx.ModelProto:
    with TemporaryDirectory() as folder, quiet():
        prepared, result = Path(folder, "prepared.onnx"), Path(folder, "int8.onnx")
        quant_pre_process(model, prepared)
        quantization.quantize_static(
            prepared,
            result,
            _Reader(calibration),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        return onnx.load(result)


def _fusions_to_skip(model: onnx.ModelProto) -> list[str]:
    """Where a map is 1x1, tf2onnx takes its addition for a bias; onnxslim's fusion fails on a bias that is computed."""
    constants = {tensor.name for tensor in model.graph.initializer}
    biases = [node.input[2] for node in model.graph.node if node.op_type == "Conv" and len(node.input) == 3]
    return [] if constants.issuperset(biases) else ["FusionConvMul"]


def _embed(model: onnx.ModelProto, metadata: Metadata) -> None:
    onnx.helper.set_model_props(model, {KEY: metadata.model_dump_json()})


class _Reader(quantization.CalibrationDataReader):
    def __init__(self, calibration: Samples):
        self._images = iter(calibration.images)

    def get_next(self):
        image = next(self._images, None)
        return None if image is None else {"image": np.float32(image)[None]}
