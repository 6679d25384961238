"""The export form to ONNX files of floats."""

import numpy as np
import onnx
import onnxslim
import tf2onnx
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from ....core.errors import InputError
from ....core.output_capture import suppress_output
from ...artifact.metadata import KEY, Metadata
from ..export_graph import ExportForm
from ..provenance import artifact_metadata
from .flattening import fold_flattening
from .node_names import name_by_constants
from .padding import keep_zeros_before_maxima
from .tf2onnx_optimizers import plain_optimizing

OPSET = 17  # at 18 tf2onnx writes pooling as ReduceMean and leaves many Transposes


def to_onnx(form: ExportForm) -> onnx.ModelProto:
    """Converts to float32 ONNX with the channels first, and simplifies the graph; checked by ONNX's own checker.

    Raises:
        InputError: The model was trained for 16-bit activations.
    """
    if form.activation_bits == 16:
        raise InputError(
            f"{form.metadata.model} was trained with 16-bit activations; ONNX Runtime computes with 8-bit ones."
        )
    traced = form.traced()
    (image,), answers = traced.function.inputs, traced.function.outputs
    names = sorted(traced.function.structured_outputs)  # in whose order TensorFlow gives them
    with suppress_output(), plain_optimizing():
        model, _ = tf2onnx.convert.from_graph_def(
            traced.graph,
            input_names=[image.name],
            output_names=[answer.name for answer in answers],
            tensors_to_rename=dict(
                zip([image.name, *(answer.name for answer in answers)], ["image", *names], strict=True)
            ),
            opset=OPSET,
            inputs_as_nchw=[image.name],
            outputs_as_nchw=[answer.name for answer in answers if len(answer.shape) == 4],
        )
        model = onnxslim.slim(_without_computed_biases(model))
    model = fold_flattening(model)
    keep_zeros_before_maxima(model.graph)
    model.graph.name = form.metadata.model
    name_by_constants(model.graph)
    _name_open_sizes(model.graph)
    return finished(model, artifact_metadata(form, "onnx-fp32", layout="NCHW"))


def to_half(model: onnx.ModelProto, form: ExportForm) -> onnx.ModelProto:
    """Weights and arithmetic in float16; images and answers stay float32.

    Args:
        model: What `to_onnx` made.
        form: What that was made from.
    """
    half = onnx.ModelProto()
    half.CopyFrom(model)
    del half.graph.value_info[:]  # of float32, which the checker finds to be wrong after the conversion
    # No operator is kept in float32: those that the function shuns by default have kernels of float16 on GPUs, and
    # the runtime on the CPU puts in a cast where it has none.
    half = OnnxModel(convert_float_to_float16(half, keep_io_types=True, op_block_list=[]))
    half.topological_sort()  # casts were put at the end
    return finished(half.model, artifact_metadata(form, "onnx-fp16", layout="NCHW"))


def finished(model: onnx.ModelProto, metadata: Metadata) -> onnx.ModelProto:
    """The model with what it says of itself, checked by ONNX's own checker."""
    onnx.helper.set_model_props(model, {KEY: metadata.model_dump_json()})
    onnx.checker.check_model(model, full_check=True)
    return model


def _name_open_sizes(graph: onnx.GraphProto) -> None:
    """Gives the open sizes of the image, and the number of answers if that is open, the names that people know."""
    for name, side in zip("NCHW", graph.input[0].type.tensor_type.shape.dim, strict=True):
        if not side.dim_value:
            side.dim_param = name
    for answer in graph.output:
        if not answer.type.tensor_type.shape.dim[0].dim_value:
            answer.type.tensor_type.shape.dim[0].dim_param = "N"


def _without_computed_biases(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with additions where convolutions have a bias that is no constant.

    TensorFlow takes the addition of two maps of 1x1 for a bias; onnxslim and quantisation mean constants by it.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        model.graph.node.append(node)
        if node.op_type == "Conv" and len(node.input) == 3 and node.input[2] not in constants:
            name, conv = node.output[0], model.graph.node[-1]
            bias = conv.input.pop()
            conv.output[0] = f"{name}_unbiased"
            axes = onnx.numpy_helper.from_array(np.array([1, 2]), f"{name}_axes")
            model.graph.initializer.append(axes)
            model.graph.node.append(onnx.helper.make_node("Unsqueeze", [bias, axes.name], [f"{name}_bias"]))
            model.graph.node.append(onnx.helper.make_node("Add", [conv.output[0], f"{name}_bias"], [name]))
    return model
