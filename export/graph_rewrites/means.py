"""Means over the channels."""

import numpy as np
from ai_edge_litert import schema_py_generated as tflite

from .graph import CHANNELS, EditableGraph, plain_convolution

WEIGHT = 127
"""Of every channel in a mean, in steps of 1 / (127 * channels)."""


def convolved_mean(graph: EditableGraph, mean: tflite.OperatorT) -> list[tflite.OperatorT]:
    """A mean over the channels as a 1x1 convolution. Vela leaves such means to the CPU."""
    index, axes = mean.inputs
    if not graph.is_map(index) or not mean.builtinOptions.keepDims or graph.integers(axes) not in ([CHANNELS], [-1]):
        return []
    source, target = graph.tensors[index], graph.tensors[mean.outputs[0]]
    channels = int(source.shape[CHANNELS])
    step = 1 / (WEIGHT * channels)
    kernel = graph.constant(target.name + b"/kernel", np.full((1, 1, 1, channels), WEIGHT, "int8"), step)
    bias = graph.constant(target.name + b"/bias", np.zeros(1, "int32"), source.quantization.scale[0] * step)
    inputs = (index, kernel, bias)
    return [graph.operator(tflite.BuiltinOperator.CONV_2D, 3, inputs, mean.outputs, plain_convolution())]
