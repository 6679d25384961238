"""From ONNX in floats to ONNX in integers, in QDQ form."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process

from ..zoo.errors import InputError
from .form import ExportForm
from .qdq import with_integer_kernels
from .quiet import quiet
from .samples import Samples
from .to_onnx import finished

# TensorRT takes grids that are symmetric around 0, and biases in floats:
# https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/work-quantized-types.html
TENSORRT = {"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False}


def to_integers(
    model: onnx.ModelProto, form: ExportForm, calibration: Samples | None, *, for_tensorrt: bool = False
) -> onnx.ModelProto:
    """Quantises to int8 weights, of each channel with a step of its own, and 8-bit activations.

    Args:
        model: What `to_onnx` made.
        form: What that was made from.
        calibration: Images that show the ranges of the activations; not needed where the model was trained for
            integers.
        for_tensorrt: Activations are int8 and symmetric, which TensorRT takes alone; else uint8, fastest on x86.

    Raises:
        InputError: The model was trained for integers, and they are to be symmetric.
    """
    if form.activation_bits is None:
        return finished(_calibrated(model, calibration, for_tensorrt=for_tensorrt), form)
    if for_tensorrt:
        raise InputError(
            f"{form.metadata.model} was trained for activations on grids of their own zero point; TensorRT takes "
            "symmetric ones only."
        )
    return finished(with_integer_kernels(model), form)


def _calibrated(model: onnx.ModelProto, calibration: Samples, *, for_tensorrt: bool) -> onnx.ModelProto:
    activations = quantization.QuantType.QInt8 if for_tensorrt else quantization.QuantType.QUInt8
    with TemporaryDirectory() as folder, quiet():
        prepared, result = Path(folder, "prepared.onnx"), Path(folder, "int8.onnx")
        quant_pre_process(model, prepared)
        quantization.quantize_static(
            prepared,
            result,
            _Reader(calibration),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=activations,
            weight_type=quantization.QuantType.QInt8,
            extra_options=TENSORRT if for_tensorrt else None,
        )
        return onnx.load(result)


class _Reader(quantization.CalibrationDataReader):
    def __init__(self, calibration: Samples):
        self._images: Iterator[np.ndarray] = iter(calibration.images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self._images, None)
        return None if image is None else {"image": np.ascontiguousarray(np.float32(image).transpose(2, 0, 1)[None])}
