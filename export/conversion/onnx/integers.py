"""From ONNX in floats to ONNX in integers, in QDQ form."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process

from ....core.output_capture import suppress_output
from ...sample_images import Samples
from ...tflite_schema.layer_names import chosen_layers, matching
from ..export_graph import ExportForm
from ..provenance import artifact_metadata
from ..quantization_noise import noisiest_layers
from .integer_pixels import IMAGE_GRID, with_integer_pixels
from .qdq import with_integer_kernels
from .tapped import tapped_in_both
from .to_onnx import finished

# TensorRT takes grids that are symmetric around 0, and biases in floats:
# https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/work-quantized-types.html
TENSORRT = {"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False}


def to_trained_integers(model: onnx.ModelProto, form: ExportForm) -> onnx.ModelProto:
    """The integers that the model was trained for: int8 weights and uint8 activations.

    Args:
        model: What `to_onnx` made.
        form: What that was made from.
    """
    integers = with_integer_pixels(with_integer_kernels(model))
    return finished(integers, artifact_metadata(form, "onnx-int8", layout="NCHW"))


class Quantizer:
    """Quantises to int8 weights, of each channel with a step of its own, and 8-bit activations.

    Args:
        model: What `to_onnx` made.
        form: What that was made from.
        calibration: Images that show the ranges of the activations. They are run once.
        keep_float: Patterns of names of layers that stay in floats.
        folder: For files on the way.
    """

    def __init__(
        self, model: onnx.ModelProto, form: ExportForm, calibration: Samples, keep_float: Sequence[str], folder: Path
    ):
        self.form, self.calibration, self.folder = form, calibration, folder
        self.kept = chosen_layers([layer.name for layer in form.flat.layers], keep_float)
        with suppress_output():
            quant_pre_process(model, folder / "prepared.onnx")
        self.nodes = [node.name for node in onnx.load(folder / "prepared.onnx").graph.node]

    def quantized(self, *, for_tensorrt: bool) -> onnx.ModelProto:
        """With int8 activations around 0, which is what TensorRT takes, or with uint8 ones, fastest on x86.

        The latter takes its pixels as bytes, too. The metadata says which layers suffer most.
        """
        with suppress_output():
            quantization.quantize_static(
                self.folder / "prepared.onnx",
                self.folder / "integers.onnx",
                _Reader(self.calibration),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                activation_type=quantization.QuantType.QInt8 if for_tensorrt else quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                nodes_to_exclude=matching(self.nodes, self.kept),
                extra_options=TENSORRT if for_tensorrt else {"TensorQuantOverrides": IMAGE_GRID},
                calibration_cache_path=self.folder / "ranges.json",
            )
            integers = onnx.load(self.folder / "integers.onnx")
            integers = integers if for_tensorrt else with_integer_pixels(integers)
            tapped = tapped_in_both(onnx.load(self.folder / "prepared.onnx"), integers)
            noise = noisiest_layers(*tapped, self.calibration.images)
        name = "onnx-int8-tensorrt" if for_tensorrt else "onnx-int8"
        how = {"layout": "NCHW", "float_layers": tuple(sorted(self.kept)), "noise_db": noise}
        return finished(integers, artifact_metadata(self.form, name, self.calibration, **how))


class _Reader(quantization.CalibrationDataReader):
    def __init__(self, calibration: Samples):
        self._images: Iterator[np.ndarray] = iter(calibration.images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self._images, None)
        return None if image is None else {"image": np.ascontiguousarray(np.float32(image).transpose(2, 0, 1)[None])}
