"""Bilinear enlarging."""

import numpy as np
from ai_edge_litert import schema_py_generated as tflite

from .graph import CHANNELS, EditableGraph

MOST_AT_ONCE = 8
"""Times that Vela repeats pixels in one operator."""


def convolved_enlarging(graph: EditableGraph, resize: tflite.OperatorT) -> list[tflite.OperatorT]:
    """Bilinear enlarging by 4, 8, 16 ... times as repeating every pixel and depthwise convolutions of the columns and
    the rows. Of enlarging with samples in the middle of pixels, which is Keras', Vela takes that by 2 only.

    By an even number of times `n` every sample along an axis weighs its two pixels with two of 1, 3, 5 ... 2n - 1, of
    2n. Repeated pixels under the window 1, 2, 2 ... 2, 1 of `n + 1` samples come to just that.
    """
    source, target = resize.inputs[0], resize.outputs[0]
    times = _times(graph, resize)
    if times is None:
        return []
    of, name = graph.tensors[source].quantization, graph.tensors[target].name
    _, height, width, channels = map(int, graph.tensors[target].shape)
    operators, repeated = _repeated(graph, source, times)
    half = times // 2  # beyond the border stands its nearest pixel
    paddings = graph.constant(name + b"/paddings", np.array([[0, 0], [half, half], [half, half], [0, 0]], "int32"))
    padded = graph.map(name + b"/padded", (1, height + times, width + times, channels), of)
    columns = graph.map(name + b"/columns", (1, height, width + times, channels), of)
    window = np.array([1, *[2] * (times - 1), 1], "int8")
    return [
        *operators,
        graph.operator(tflite.BuiltinOperator.MIRROR_PAD, 2, (repeated, paddings), [padded], _nearest_border()),
        _convolution(graph, padded, window[:, None], columns),
        _convolution(graph, columns, window[None, :], target),
    ]


def _times(graph: EditableGraph, resize: tflite.OperatorT) -> int | None:
    """How many times a map is enlarged, where that is 4, 8, 16 ... along both axes; None otherwise."""
    if not resize.builtinOptions.halfPixelCenters:
        return None
    low, high = (np.array(graph.tensors[index].shape[1:CHANNELS]) for index in (resize.inputs[0], resize.outputs[0]))
    times = int(high[0] // low[0])
    return times if times >= 4 and times & (times - 1) == 0 and np.array_equal(low * times, high) else None


def _repeated(graph: EditableGraph, index: int, times: int) -> tuple[list[tflite.OperatorT], int]:
    """The operators that repeat every pixel of a map so many times along both axes, and the map that they make."""
    operators = []
    while times > 1:
        factor, source = min(times, MOST_AT_ONCE), graph.tensors[index]
        _, height, width, channels = source.shape
        size = np.array([height * factor, width * factor], "int32")
        inputs = index, graph.constant(source.name + b"/size", size)
        index, times = graph.map(source.name + b"/repeated", (1, *size, channels), source.quantization), times // factor
        nearest, options = tflite.BuiltinOperator.RESIZE_NEAREST_NEIGHBOR, tflite.ResizeNearestNeighborOptionsT()
        operators.append(graph.operator(nearest, 2, inputs, [index], options))
    return operators, index


def _nearest_border() -> tflite.MirrorPadOptionsT:
    """Of repeated pixels: the mirror image of a border is as many times the same pixel."""
    options = tflite.MirrorPadOptionsT()
    options.mode = tflite.MirrorPadMode.SYMMETRIC
    return options


def _convolution(graph: EditableGraph, source: int, window: np.ndarray, target: int) -> tflite.OperatorT:
    """A mean under `window` of every channel, each weight of it an integer."""
    taken, name = graph.tensors[source], graph.tensors[target].name
    channels, step = int(taken.shape[CHANNELS]), 1 / int(window.sum())
    weights = np.repeat(window[None, :, :, None], channels, axis=CHANNELS)
    kernel = graph.constant(name + b"/window", weights, step)
    bias = graph.constant(name + b"/bias", np.zeros(channels, "int32"), taken.quantization.scale[0] * step)
    options = tflite.DepthwiseConv2DOptionsT()
    options.padding, options.depthMultiplier = tflite.Padding.VALID, 1
    options.strideW = options.strideH = options.dilationWFactor = options.dilationHFactor = 1
    return graph.operator(tflite.BuiltinOperator.DEPTHWISE_CONV_2D, 3, (source, kernel, bias), [target], options)
