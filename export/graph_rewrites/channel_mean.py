"""Means over the channels as convolutions."""

import numpy as np
from ai_edge_litert import schema_py_generated as tflite

from .editable_graph import CHANNELS, EditableGraph, pointwise_convolution

WEIGHT = 127
"""Quantized weight of every channel, with scale 1 / (127 * channels)."""


def rewrite_channel_mean(graph: EditableGraph, mean: tflite.OperatorT) -> list[tflite.OperatorT]:
    """Replace a mean over the channels by a 1x1 convolution; Vela leaves such means to the CPU."""
    index, axes = mean.inputs
    if (
        not graph.is_map(index)
        or not mean.builtinOptions.keepDims
        or graph.read_integers(axes) not in ([CHANNELS], [-1])
    ):
        return []
    source, target = graph.tensors[index], graph.tensors[mean.outputs[0]]
    channels = int(source.shape[CHANNELS])
    scale = 1 / (WEIGHT * channels)
    kernel = graph.add_constant(target.name + b"/kernel", np.full((1, 1, 1, channels), WEIGHT, "int8"), scale)
    bias = graph.add_constant(target.name + b"/bias", np.zeros(1, "int32"), source.quantization.scale[0] * scale)
    inputs = (index, kernel, bias)
    return [graph.operator(tflite.BuiltinOperator.CONV_2D, 3, inputs, mean.outputs, pointwise_convolution())]
