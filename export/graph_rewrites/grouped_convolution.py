"""Grouped convolutions as one convolution per group."""

import copy

from ai_edge_litert import schema_py_generated as tflite

from .editable_graph import CHANNELS, EditableGraph


def split_grouped_convolution(graph: EditableGraph, convolution: tflite.OperatorT) -> list[tflite.OperatorT]:
    """Split the channels and apply one convolution per group; kernels may round differently."""
    (source, kernel, bias), (target,) = convolution.inputs, convolution.outputs
    groups = int(graph.tensors[source].shape[CHANNELS] // graph.tensors[kernel].shape[CHANNELS])
    if groups == 1:
        return []
    inputs, outputs = (graph.add_map_parts(index, groups, CHANNELS) for index in (source, target))
    kernels, biases = (graph.add_constant_parts(index, groups) for index in (kernel, bias))
    convolutions = [
        graph.operator(tflite.BuiltinOperator.CONV_2D, 3, tensors, [output], copy.copy(convolution.builtinOptions))
        for *tensors, output in zip(inputs, kernels, biases, outputs, strict=True)
    ]
    return [graph.split(source, inputs, CHANNELS), *convolutions, graph.concatenate(outputs, target, CHANNELS)]
