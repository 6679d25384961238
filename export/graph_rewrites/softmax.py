"""Softmax over the classes of each place of a map."""

import copy

import numpy as np
from ai_edge_litert import schema_py_generated as tflite

from .graph import CHANNELS, EditableGraph, grid, plain_convolution

SATURATED = 8.0
"""Difference of two logits from which on the less likely class has 1/3000 at most."""
HEIGHT = 1
"""Axis of the rows in a map."""
MOST_PLACES = 1024
"""Of a strip. Vela takes 65,536 at most, and holds maps and a constant of 32 bits of that size. On Ethos-U55 a narrow
U-Net at 256x256 takes 21 MB of SRAM and 5.5 MB of flash with one softmax; in strips 3.8 MB, 0.1 MB and 6 % more cycles.
"""


def softmax_in_strips(graph: EditableGraph, softmax: tflite.OperatorT) -> list[tflite.OperatorT]:
    """Of a large map: strip by strip, integer for integer the same."""
    (source,), (target,) = softmax.inputs, softmax.outputs
    if not graph.is_map(source):
        return []
    _, height, width, _ = graph.tensors[source].shape
    fitting = (parts for parts in range(1, height) if height % parts == 0 and height // parts * width <= MOST_PLACES)
    count = next(fitting, height)  # row by row where even that is more
    if count == 1:
        return []
    inputs, outputs = (graph.parts_of_map(index, count, HEIGHT) for index in (source, target))
    strips = [
        graph.operator(tflite.BuiltinOperator.SOFTMAX, 2, [taken], [given], copy.copy(softmax.builtinOptions))
        for taken, given in zip(inputs, outputs, strict=True)
    ]
    return [graph.split(source, inputs, HEIGHT), *strips, graph.join(outputs, target, HEIGHT)]


def sigmoid_of_two(graph: EditableGraph, softmax: tflite.OperatorT) -> list[tflite.OperatorT]:
    """Of two classes: the sigmoids of what their logits differ by, `e^a / (e^a + e^b) = 1 / (1 + e^(b - a))`."""
    (source,), (target,) = softmax.inputs, softmax.outputs
    logits = graph.tensors[source]
    if not graph.is_map(source) or logits.shape[CHANNELS] != 2 or softmax.builtinOptions.beta != 1:
        return []
    name, scale = graph.tensors[target].name, float(logits.quantization.scale[0])
    signs = np.array([[1, -1], [-1, 1]], "int8").reshape(2, 1, 1, 2)
    kernel = graph.constant(name + b"/signs", signs, 1.0)
    bias = graph.constant(name + b"/bias", np.zeros(2, "int32"), scale)
    differences = graph.map(name + b"/differences", logits.shape, grid(min(2 * scale, SATURATED / 128)))
    convolution = tflite.BuiltinOperator.CONV_2D
    return [
        graph.operator(convolution, 3, (source, kernel, bias), [differences], plain_convolution()),
        graph.operator(tflite.BuiltinOperator.LOGISTIC, 2, [differences], [target]),
    ]
