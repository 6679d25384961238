"""The export graph as ONNX models in float32 and float16."""

import numpy as np
import onnx
import onnxslim
import tf2onnx

from ....core.errors import InputError
from ....core.onnxruntime_private import to_float16
from ....core.output_capture import suppress_output
from ....core.tf2onnx_private import optimize_in_place
from ...artifact.metadata import KEY, Metadata, TensorNames
from ..export_graph import ExportGraph
from ..provenance import artifact_metadata
from ..unsupported import check_own_quantization
from .graph_fixes import (
    check_operators,
    fold_flattening,
    keep_zero_padding_before_max_pooling,
    omit_scales_of_resizes,
    pad_transposed_convolutions,
    state_modes_of_pads,
    use_table_of_bicubic_weights,
    without_computed_biases,
)
from .onnx_nodes import name_by_constants

OPSET = 17  # at 18 tf2onnx writes pooling as ReduceMean and leaves many Transposes


def to_onnx(graph: ExportGraph) -> onnx.ModelProto:
    """Convert to float32 ONNX with NCHW layout, and simplify the graph; validated by ONNX's own checker.

    Raises:
        InputError: The model was trained for 16-bit activations, or a layer was quantized by Keras to float8.
    """
    if graph.activation_bits == 16:
        raise InputError(
            f"{graph.metadata.model} was trained with 16-bit activations; ONNX Runtime computes with 8-bit ones."
        )
    check_own_quantization(graph.flat, ("float8",), "ONNX")
    traced = graph.trace()
    inputs, outputs = ([tensor.name for tensor in ends] for ends in (traced.function.inputs, traced.function.outputs))
    maps = [tensor.name for tensor in (*traced.function.inputs, *traced.function.outputs) if len(tensor.shape) == 4]
    with suppress_output(), optimize_in_place():
        model, _ = tf2onnx.convert.from_graph_def(
            traced.graph,
            input_names=inputs,
            output_names=outputs,
            tensors_to_rename=dict(zip([*inputs, *outputs], [*graph.names[0], *graph.names[1]], strict=True)),
            opset=OPSET,
            inputs_as_nchw=[name for name in inputs if name in maps],
            outputs_as_nchw=[name for name in outputs if name in maps],
        )
        check_operators(model.graph, graph.scopes, graph.metadata.model)
        omit_scales_of_resizes(model.graph)
        pad_transposed_convolutions(model.graph)
        model = onnxslim.slim(without_computed_biases(model))
    model = fold_flattening(model)
    use_table_of_bicubic_weights(model)
    keep_zero_padding_before_max_pooling(model.graph)
    state_modes_of_pads(model.graph)
    model.graph.name = graph.metadata.model
    name_by_constants(model.graph)
    add_unused_inputs(model.graph, graph)
    _name_open_sizes(model.graph)
    _check_ends(model.graph, graph.names)
    return with_metadata(model, artifact_metadata(graph, "onnx-fp32", layout="NCHW"))


def to_half(model: onnx.ModelProto, graph: ExportGraph) -> onnx.ModelProto:
    """Convert weights and arithmetic to float16; input and output stay float32.

    Args:
        model: The result of `to_onnx`.
        graph: Its export graph.
    """
    half = onnx.ModelProto()
    half.CopyFrom(model)
    del half.graph.value_info[:]  # float32 types, which the checker rejects after the conversion
    return with_metadata(to_float16(half), artifact_metadata(graph, "onnx-fp16", layout="NCHW"))


def with_metadata(model: onnx.ModelProto, metadata: Metadata) -> onnx.ModelProto:
    """Embed the metadata in `model`, and validate it with ONNX's own checker.

    Operator sets that no node uses, of which ONNX Runtime's tools import eight, are left out: some clients refuse a
    file that imports one they do not have.
    """
    used = [entry for entry in model.opset_import if entry.domain in {"", *_domains(model.graph)}]
    del model.opset_import[:]
    model.opset_import.extend(used)
    onnx.helper.set_model_props(model, {KEY: metadata.model_dump_json()})
    onnx.checker.check_model(model, full_check=True)
    return model


def _domains(graph: onnx.GraphProto) -> set[str]:
    """Return the domains of the operators of a graph and its subgraphs."""
    attributes = [attribute for node in graph.node for attribute in node.attribute if attribute.HasField("g")]
    return {node.domain for node in graph.node}.union(*(_domains(attribute.g) for attribute in attributes))


def add_unused_inputs(model: onnx.GraphProto, graph: ExportGraph) -> None:
    """Add inputs that no node takes, which converters drop, in the order of the model."""
    present = {tensor.name: onnx.ValueInfoProto.FromString(tensor.SerializeToString()) for tensor in model.input}
    del model.input[:]
    for name, spec in zip(graph.names[0], graph.specs, strict=True):
        sides = list(spec.shape)
        sides = [sides[0], sides[3], sides[1], sides[2]] if len(sides) == 4 else sides
        kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype.as_numpy_dtype))
        model.input.append(present.get(name) or onnx.helper.make_tensor_value_info(name, kind, sides))


def _check_ends(graph: onnx.GraphProto, names: TensorNames) -> None:
    """Raise RuntimeError where the inputs and outputs are not those of the model in its order."""
    found = [tensor.name for tensor in graph.input], [tensor.name for tensor in graph.output]
    if found != (list(names[0]), list(names[1])):
        raise RuntimeError(f"the converter made inputs and outputs {found} of {names}.")


def _name_open_sizes(graph: onnx.GraphProto) -> None:
    """Give open sizes of the inputs, and an open batch size of the outputs, their usual names."""
    for source in graph.input:
        for name, side in zip("NCHW", source.type.tensor_type.shape.dim, strict=False):
            if not side.dim_value:
                side.dim_param = name
    for output in graph.output:
        if not output.type.tensor_type.shape.dim[0].dim_value:
            output.type.tensor_type.shape.dim[0].dim_param = "N"
