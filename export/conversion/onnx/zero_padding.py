"""Zero padding before max pooling in ONNX, protected from an optimizer."""

import numpy as np
import onnx
from onnx import numpy_helper

MINUS_ZERO = "minus_zero"


def keep_zero_padding_before_max_pooling(graph: onnx.GraphProto) -> None:
    """Pad with -0.0 instead of 0.0 before max pooling of values that may be negative.

    ONNX Runtime (1.31) fuses a `Pad` with the bits of 0.0 into a `MaxPool`, whose padding is minus infinity (PadFusion,
    pull request 18136), so that windows of negative values lose their zero.
    """
    producers = {name: node for node in graph.node for name in node.output}
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    pads = [producers.get(node.input[0]) for node in graph.node if node.op_type == "MaxPool"]
    for pad in pads:
        if pad is None or pad.op_type != "Pad" or not _pads_zeros(pad, constants) or _is_nonnegative(pad, producers):
            continue
        if MINUS_ZERO not in constants:
            graph.initializer.append(numpy_helper.from_array(np.array(-0.0, "float32"), MINUS_ZERO))
            constants[MINUS_ZERO] = np.array(-0.0)
        pad.input[:] = [*pad.input[:2], MINUS_ZERO]


def _pads_zeros(pad: onnx.NodeProto, constants: dict[str, np.ndarray]) -> bool:
    modes = [attribute.s for attribute in pad.attribute if attribute.name == "mode"]
    value = constants.get(pad.input[2]) if len(pad.input) > 2 and pad.input[2] else np.array(0.0)
    return modes in ([], [b"constant"]) and value is not None and not value.any()


def _is_nonnegative(pad: onnx.NodeProto, producers: dict[str, onnx.NodeProto]) -> bool:
    producer = producers.get(pad.input[0])
    return producer is not None and producer.op_type == "Relu"
