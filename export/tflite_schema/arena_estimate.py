"""The memory that TensorFlow Lite Micro needs for a file, estimated where it is not installed to measure it."""

from math import prod

import numpy as np
from ai_edge_litert import schema_py_generated as tflite

from .flatbuffer import unpack_model
from .nodes import tflite_nodes

ITEM_BYTES = {
    tflite.TensorType.INT8: 1,
    tflite.TensorType.UINT8: 1,
    tflite.TensorType.BOOL: 1,
    tflite.TensorType.INT16: 2,
}
"""Bytes of a value by the type of its tensor; of the other types 4, and 8 of 64-bit integers."""
PER_TENSOR, PER_OPERATOR, PER_CHANNEL, FIXED = 64, 256, 8, 2048
"""Bytes of the interpreter's own structures, with 64-bit pointers; a channel of a convolution has a multiplier and a
shift. They are above what was measured on small nets."""
FRAGMENTATION = 1.1
"""Of the plan that places tensors beside each other."""


def estimate_arena(content: bytes) -> int:
    """Estimate the bytes of an arena: the tensors that exist at the same time, and the interpreter's structures.

    It is meant to be sufficient, not small; TensorFlow Lite Micro itself tells whether it is.
    """
    model = unpack_model(content)
    graph, nodes = model.subgraphs[0], list(tflite_nodes(content))
    variable = [model.buffers[tensor.buffer].data is None for tensor in graph.tensors]
    steps = [{index for index in (*node.inputs, *node.outputs) if index >= 0} for node in graph.operators]
    used = np.zeros(len(steps))
    for index, tensor in enumerate(graph.tensors):
        touched = [number for number, step in enumerate(steps) if index in step]
        if not variable[index] or not touched:
            continue
        first = 0 if index in graph.inputs else touched[0]
        last = len(steps) - 1 if index in graph.outputs else touched[-1]
        used[first : last + 1] += _bytes(tensor)
    for number, node in enumerate(nodes):
        if node.operator == "TRANSPOSE_CONV":  # it adds up in 32 bits, or in 64 for 16-bit activations
            output = graph.tensors[graph.operators[number].outputs[0]]
            used[number] += 4 * _bytes(output)
    channels = sum(
        len(tensor.quantization.scale)
        for tensor in graph.tensors
        if tensor.quantization is not None and tensor.quantization.scale is not None
    )
    structures = PER_TENSOR * len(graph.tensors) + PER_OPERATOR * len(steps) + PER_CHANNEL * channels + FIXED
    return -int(-(used.max(initial=0) * FRAGMENTATION + structures) // 16) * 16


def _bytes(tensor: tflite.TensorT) -> int:
    """Its size, a multiple of 16 as in the arena."""
    item = 8 if tensor.type == tflite.TensorType.INT64 else ITEM_BYTES.get(tensor.type, 4)
    return -(-item * prod(map(int, tensor.shape if tensor.shape is not None else ())) // 16) * 16
