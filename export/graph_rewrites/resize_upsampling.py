"""Bilinear upsampling as nearest-neighbor upsampling and depthwise convolutions."""

import numpy as np
from ai_edge_litert import schema_py_generated as tflite

from .editable_graph import CHANNELS, EditableGraph

MAX_FACTOR = 8
"""Largest factor of one nearest-neighbor upsampling in Vela."""


def rewrite_resize(graph: EditableGraph, resize: tflite.OperatorT) -> list[tflite.OperatorT]:
    """Replace bilinear upsampling by a factor of 4, 8, 16 ... by nearest-neighbor upsampling and depthwise convolutions
    along columns and rows. With half-pixel centers, as in Keras, Vela supports only a factor of 2.

    With an even factor `n`, each output sample along an axis weighs its two nearest pixels by two of 1, 3, 5 ...
    2n - 1, divided by 2n. Filtering repeated pixels with the window 1, 2, 2 ... 2, 1 of `n + 1` samples gives the same.
    """
    source, target = resize.inputs[0], resize.outputs[0]
    factor = _factor(graph, resize)
    if factor is None:
        return []
    quantization, name = graph.tensors[source].quantization, graph.tensors[target].name
    _, height, width, channels = map(int, graph.tensors[target].shape)
    operators, repeated = _repeat_pixels(graph, source, factor)
    half = factor // 2  # pixels beyond the border repeat the nearest one
    paddings = graph.add_constant(name + b"/paddings", np.array([[0, 0], [half, half], [half, half], [0, 0]], "int32"))
    padded = graph.add_map(name + b"/padded", (1, height + factor, width + factor, channels), quantization)
    columns = graph.add_map(name + b"/columns", (1, height, width + factor, channels), quantization)
    window = np.array([1, *[2] * (factor - 1), 1], "int8")
    return [
        *operators,
        graph.operator(tflite.BuiltinOperator.MIRROR_PAD, 2, (repeated, paddings), [padded], _symmetric_padding()),
        _convolution(graph, padded, window[:, None], columns),
        _convolution(graph, columns, window[None, :], target),
    ]


def _factor(graph: EditableGraph, resize: tflite.OperatorT) -> int | None:
    """The upsampling factor, where it is 4, 8, 16 ... along both axes; None otherwise."""
    if not resize.builtinOptions.halfPixelCenters:
        return None
    low, high = (np.array(graph.tensors[index].shape[1:CHANNELS]) for index in (resize.inputs[0], resize.outputs[0]))
    factor = int(high[0] // low[0])
    return factor if factor >= 4 and factor & (factor - 1) == 0 and np.array_equal(low * factor, high) else None


def _repeat_pixels(graph: EditableGraph, index: int, total: int) -> tuple[list[tflite.OperatorT], int]:
    """Operators for nearest-neighbor upsampling by a factor of `total`, and the resulting map."""
    operators = []
    while total > 1:
        factor, source = min(total, MAX_FACTOR), graph.tensors[index]
        _, height, width, channels = source.shape
        size = np.array([height * factor, width * factor], "int32")
        inputs = index, graph.add_constant(source.name + b"/size", size)
        index, total = (
            graph.add_map(source.name + b"/repeated", (1, *size, channels), source.quantization),
            total // factor,
        )
        nearest, options = tflite.BuiltinOperator.RESIZE_NEAREST_NEIGHBOR, tflite.ResizeNearestNeighborOptionsT()
        operators.append(graph.operator(nearest, 2, inputs, [index], options))
    return operators, index


def _symmetric_padding() -> tflite.MirrorPadOptionsT:
    """Symmetric padding: mirrored repeated pixels are the same pixel, so this repeats the border."""
    options = tflite.MirrorPadOptionsT()
    options.mode = tflite.MirrorPadMode.SYMMETRIC
    return options


def _convolution(graph: EditableGraph, source: int, window: np.ndarray, target: int) -> tflite.OperatorT:
    """A depthwise convolution with an integer `window`, normalized to a mean."""
    image, name = graph.tensors[source], graph.tensors[target].name
    channels, scale = int(image.shape[CHANNELS]), 1 / int(window.sum())
    weights = np.repeat(window[None, :, :, None], channels, axis=CHANNELS)
    kernel = graph.add_constant(name + b"/window", weights, scale)
    bias = graph.add_constant(name + b"/bias", np.zeros(channels, "int32"), image.quantization.scale[0] * scale)
    options = tflite.DepthwiseConv2DOptionsT()
    options.padding, options.depthMultiplier = tflite.Padding.VALID, 1
    options.strideW = options.strideH = options.dilationWFactor = options.dilationHFactor = 1
    return graph.operator(tflite.BuiltinOperator.DEPTHWISE_CONV_2D, 3, (source, kernel, bias), [target], options)
