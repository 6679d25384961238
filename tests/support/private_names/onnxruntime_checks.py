"""Checks of the private names of ONNX Runtime."""

from pathlib import Path

import numpy as np
import onnx

from pocketzoo.core import onnxruntime_private
from support.private_names.checks import check_of


def small_onnx() -> onnx.ModelProto:
    weights = onnx.numpy_helper.from_array(np.eye(4, dtype="float32"), "weights")
    nodes = [
        onnx.helper.make_node("MatMul", ["values", "weights"], ["hidden"], "first"),
        onnx.helper.make_node("Relu", ["hidden"], ["outputs"], "second"),
    ]
    ends = [onnx.helper.make_tensor_value_info(name, 1, (1, 4)) for name in ("values", "outputs")]
    graph = onnx.helper.make_graph(nodes, "small", ends[:1], ends[1:], [weights])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=10)


@check_of(
    "onnxruntime.transformers.float16.convert_float_to_float16",
    "onnxruntime.transformers.onnx_model.OnnxModel.topological_sort",
)
def half_precision_keeps_inputs_and_outputs():
    half = onnxruntime_private.to_float16(small_onnx())
    onnx.checker.check_model(half, full_check=True)  # which includes the order of the nodes
    assert half.graph.initializer[0].data_type == onnx.TensorProto.FLOAT16
    assert {end.type.tensor_type.elem_type for end in (*half.graph.input, *half.graph.output)} == {1}
    assert {node.op_type for node in half.graph.node} == {"Cast", "MatMul", "Relu"}


@check_of(
    "onnxruntime.quantization.shape_inference.quant_pre_process",
    "onnxruntime.quantization.quant_utils.DEQUANT_OUTPUT_SUFFIX",
)
def quantizer_names_what_it_has_rounded():
    from tempfile import TemporaryDirectory

    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):
        def __init__(self):
            self.left = iter(np.random.default_rng(0).normal(size=(4, 1, 4)).astype("float32"))

        def get_next(self):
            values = next(self.left, None)
            return None if values is None else {"values": values}

    with TemporaryDirectory() as folder:
        prepared, integers = Path(folder, "prepared.onnx"), Path(folder, "integers.onnx")
        onnxruntime_private.prepare_for_quantization(small_onnx(), prepared)
        quantization.quantize_static(prepared, integers, Reader(), quant_format=quantization.QuantFormat.QDQ)
        made = {tensor for node in onnx.load(integers).graph.node for tensor in node.output}
    assert onnxruntime_private.dequantized_name("values") in made
