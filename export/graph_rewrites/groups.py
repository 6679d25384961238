"""Convolutions in groups."""

import copy

from ai_edge_litert import schema_py_generated as tflite

from .graph import CHANNELS, EditableGraph


def split_groups(graph: EditableGraph, convolution: tflite.OperatorT) -> list[tflite.OperatorT]:
    """A convolution in groups as one convolution a group, of its part of the channels; kernels may round otherwise."""
    (source, kernel, bias), (target,) = convolution.inputs, convolution.outputs
    groups = int(graph.tensors[source].shape[CHANNELS] // graph.tensors[kernel].shape[CHANNELS])
    if groups == 1:
        return []
    inputs, outputs = (graph.parts_of_map(index, groups, CHANNELS) for index in (source, target))
    kernels, biases = (graph.split_constant(index, groups) for index in (kernel, bias))
    convolutions = [
        graph.operator(tflite.BuiltinOperator.CONV_2D, 3, taken, [output], copy.copy(convolution.builtinOptions))
        for *taken, output in zip(inputs, kernels, biases, outputs, strict=True)
    ]
    return [graph.split(source, inputs, CHANNELS), *convolutions, graph.join(outputs, target, CHANNELS)]
