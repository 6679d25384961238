"""Ranges of the tensors of a TFLite file, measured on calibration images."""

from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as tflite

from ...sample_images import Samples
from ...tflite_schema.flatbuffer import pack_model, unpack_model
from .intermediate_tensors import TFLiteIntermediates

Operator = tflite.BuiltinOperator
SELECTIONS = {Operator.MINIMUM, Operator.MAXIMUM, Operator.SELECT, Operator.SELECT_V2}
"""Operators with one scale for inputs and outputs that can make a range much smaller."""
MOVES = {
    Operator.CONCATENATION,
    Operator.EXPAND_DIMS,
    Operator.GATHER,
    Operator.MAX_POOL_2D,
    Operator.MIRROR_PAD,
    Operator.PACK,
    Operator.PAD,
    Operator.PADV2,
    Operator.RESHAPE,
    Operator.RESIZE_NEAREST_NEIGHBOR,
    Operator.REVERSE_V2,
    Operator.SLICE,
    Operator.SPLIT,
    Operator.SPLIT_V,
    Operator.SQUEEZE,
    Operator.STRIDED_SLICE,
    Operator.TILE,
    Operator.TRANSPOSE,
    Operator.UNPACK,
}
"""Operators with one scale that only move values."""


def with_ranges(content: bytes, samples: Samples, pixel_ranges: Sequence[tuple[float, float] | None]) -> bytes:
    """Return the file with the minimum and the maximum of each float tensor over the images.

    TensorFlow's own calibrator reads the inputs of an operation after it has run, when an addition with a ReLU has
    overwritten one of them with the sum: one branch of a residual block gets a range up to 2.5 times too large.

    Args:
        content: A float TFLite file with one subgraph.
        samples: Values of the inputs, images in the range of pixels.
        pixel_ranges: The range of each input that is an image: dark calibration images must not make bright pixels
            saturate.
    """
    model, intermediates = unpack_model(content), TFLiteIntermediates(content)
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    for inputs in samples.values():
        given = dict(zip(intermediates.inputs, inputs, strict=True))
        for name, values in (given | intermediates.run(*inputs)).items():
            low[name] = np.minimum(low.get(name, np.inf), values.min())  # unlike min, it propagates NaN
            high[name] = np.maximum(high.get(name, -np.inf), values.max())
    for name, limits in zip(intermediates.inputs, pixel_ranges, strict=True):
        if limits is not None:
            low[name], high[name] = limits
    tensors = model.subgraphs[0].tensors
    for tensor in tensors:
        name = tensor.name.decode()
        if name in low and tensor.type == tflite.TensorType.FLOAT32:
            tensor.quantization = tflite.QuantizationParametersT()
            tensor.quantization.min, tensor.quantization.max = [float(low[name])], [float(high[name])]
    _widen_shared_ranges(model)
    return pack_model(model)


def _widen_shared_ranges(model: tflite.ModelT) -> None:
    """Give tensors that the converter links by a single scale one range, where it would cut or misread values.

    It gives the inputs and outputs of a minimum or a selection, and of operators that only move values, the scale of
    the last output. What is beyond that does not matter to a minimum, but a convolution that takes the input of the
    minimum, too, would lose it. A reversal copies integers, but the converter gives its ends different scales.
    """
    graph = model.subgraphs[0]
    groups: list[tuple[set[int], set[int]]] = []
    """Linked tensors, and the operators that link them."""
    taken = set(graph.outputs)
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex].builtinCode
        if code not in SELECTIONS | MOVES:
            taken |= set(operator.inputs)
            continue
        members = {index for index in (*operator.inputs, *operator.outputs) if _has_range(graph.tensors[index])}
        joined = [group for group in groups if group[0] & members]
        groups = [group for group in groups if group not in joined]
        groups.append((members.union(*(other for other, _ in joined)), {code}.union(*(codes for _, codes in joined))))
    for members, codes in groups:
        needed = members if Operator.REVERSE_V2 in codes else members & taken if codes & SELECTIONS else set()
        ranges = [graph.tensors[index].quantization for index in needed]
        if len(ranges) > 1:
            low, high = min(one.min[0] for one in ranges), max(one.max[0] for one in ranges)
            for index in members:
                graph.tensors[index].quantization.min, graph.tensors[index].quantization.max = [low], [high]


def _has_range(tensor: tflite.TensorT) -> bool:
    return tensor.quantization is not None and tensor.quantization.max is not None and len(tensor.quantization.max) > 0
