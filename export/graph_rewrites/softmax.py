"""Softmax over the classes of each pixel of a map."""

import copy

import numpy as np
from ai_edge_litert import schema_py_generated as tflite

from .editable_graph import CHANNELS, EditableGraph, pointwise_convolution, quantization

SATURATED = 8.0
"""Difference of two logits above which the less likely class has a probability of less than 1/3000."""
HEIGHT = 1
"""Axis of the rows of a map."""
MAX_PIXELS = 1024
"""Pixels per strip. Vela accepts at most 65,536, and allocates 32-bit maps and a 32-bit constant of that size. On
Ethos-U55 a narrow U-Net at 256x256 takes 21 MB of SRAM and 5.5 MB of flash with one softmax; in strips it takes 3.8 MB,
0.1 MB and 6 % more cycles."""


def split_softmax(graph: EditableGraph, softmax: tflite.OperatorT) -> list[tflite.OperatorT]:
    """Apply the softmax of a large map in horizontal strips, with bit-identical results."""
    (source,), (target,) = softmax.inputs, softmax.outputs
    if not graph.is_map(source):
        return []
    _, height, width, _ = graph.tensors[source].shape
    fitting = (parts for parts in range(1, height) if height % parts == 0 and height // parts * width <= MAX_PIXELS)
    count = next(fitting, height)  # single rows where even those exceed the limit
    if count == 1:
        return []
    inputs, outputs = (graph.add_map_parts(index, count, HEIGHT) for index in (source, target))
    strips = [
        graph.operator(tflite.BuiltinOperator.SOFTMAX, 2, [part], [result], copy.copy(softmax.builtinOptions))
        for part, result in zip(inputs, outputs, strict=True)
    ]
    return [graph.split(source, inputs, HEIGHT), *strips, graph.concatenate(outputs, target, HEIGHT)]


def two_class_softmax_as_sigmoid(graph: EditableGraph, softmax: tflite.OperatorT) -> list[tflite.OperatorT]:
    """Replace a softmax of two classes by sigmoids of logit differences: `e^a / (e^a + e^b) = 1 / (1 + e^(b - a))`."""
    (source,), (target,) = softmax.inputs, softmax.outputs
    logits = graph.tensors[source]
    if not graph.is_map(source) or logits.shape[CHANNELS] != 2 or softmax.builtinOptions.beta != 1:
        return []
    name, scale = graph.tensors[target].name, float(logits.quantization.scale[0])
    signs = np.array([[1, -1], [-1, 1]], "int8").reshape(2, 1, 1, 2)
    kernel = graph.add_constant(name + b"/signs", signs, 1.0)
    bias = graph.add_constant(name + b"/bias", np.zeros(2, "int32"), scale)
    differences = graph.add_map(name + b"/differences", logits.shape, quantization(min(2 * scale, SATURATED / 128)))
    convolution = tflite.BuiltinOperator.CONV_2D
    return [
        graph.operator(convolution, 3, (source, kernel, bias), [differences], pointwise_convolution()),
        graph.operator(tflite.BuiltinOperator.LOGISTIC, 2, [differences], [target]),
    ]
