"""Names of ONNX Runtime's tools that its documentation does not list."""

from pathlib import Path

import onnx

from .private_names import PrivateName

PACKAGE, TESTED = "onnxruntime", "1.31.1"

NAMES = tuple(
    PrivateName(PACKAGE, TESTED, name, needed_for)
    for name, needed_for in {
        "onnxruntime.transformers.float16.convert_float_to_float16": "onnx-fp16 files",
        "onnxruntime.transformers.onnx_model.OnnxModel.topological_sort": "onnx-fp16 files",
        "onnxruntime.quantization.shape_inference.quant_pre_process": "onnx-int8 files",
        "onnxruntime.quantization.quant_utils.DEQUANT_OUTPUT_SUFFIX": "the noise by layer that reports list for int8",
    }.items()
)


def to_float16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Convert weights and arithmetic of a model to float16, in place; its inputs and outputs stay float32."""
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    # No operator stays in float32: those that the function excludes by default have float16 kernels on GPUs, and on the
    # CPU the runtime inserts a cast where it has none.
    converted = OnnxModel(convert_float_to_float16(model, keep_io_types=True, op_block_list=[]))
    converted.topological_sort()  # casts were added at the end
    half: onnx.ModelProto = converted.model
    return half


def prepare_for_quantization(model: onnx.ModelProto, path: Path) -> None:
    """Write a model to `path` with the shapes that ONNX Runtime's quantizer needs; its batch must be fixed."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    quant_pre_process(model, path)


def dequantized_name(tensor: str) -> str:
    """Return what ONNX Runtime's quantizer calls a tensor after it is rounded."""
    from onnxruntime.quantization.quant_utils import DEQUANT_OUTPUT_SUFFIX

    return f"{tensor}{DEQUANT_OUTPUT_SUFFIX}"
