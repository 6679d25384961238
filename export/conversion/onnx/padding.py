"""Zeros around a map that its maxima are taken of, in ONNX: kept what they are."""

import numpy as np
import onnx
from onnx import numpy_helper

MINUS_ZERO = "minus_zero"


def keep_zeros_before_maxima(graph: onnx.GraphProto) -> None:
    """Writes zeros around a map as -0.0 where a maximum is taken of them and of numbers that may be negative.

    ONNX Runtime (1.31) makes a `Pad` with the bits of 0.0 and a `MaxPool` one operator, whose margins are never the
    largest (PadFusion, pull request 18136), so that windows of negative numbers lose their zero.
    """
    makers = {name: node for node in graph.node for name in node.output}
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    pads = [makers.get(node.input[0]) for node in graph.node if node.op_type == "MaxPool"]
    for pad in pads:
        if pad is None or pad.op_type != "Pad" or not _pads_zeros(pad, constants) or _never_negative(pad, makers):
            continue
        if MINUS_ZERO not in constants:
            graph.initializer.append(numpy_helper.from_array(np.array(-0.0, "float32"), MINUS_ZERO))
            constants[MINUS_ZERO] = np.array(-0.0)
        pad.input[:] = [*pad.input[:2], MINUS_ZERO]


def _pads_zeros(pad: onnx.NodeProto, constants: dict[str, np.ndarray]) -> bool:
    modes = [attribute.s for attribute in pad.attribute if attribute.name == "mode"]
    value = constants.get(pad.input[2]) if len(pad.input) > 2 and pad.input[2] else np.array(0.0)
    return modes in ([], [b"constant"]) and value is not None and not value.any()


def _never_negative(pad: onnx.NodeProto, makers: dict[str, onnx.NodeProto]) -> bool:
    maker = makers.get(pad.input[0])
    return maker is not None and maker.op_type == "Relu"
