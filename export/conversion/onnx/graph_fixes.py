"""Checks and corrections of converted ONNX graphs, for what converters and optimizers get wrong or leave slow."""

from collections import Counter
from math import prod

import numpy as np
import onnx
from onnx import numpy_helper

from ..layer_scopes import LayerScopes
from ..unsupported import unsupported

CHANNELS_LAST = [0, 2, 3, 1]
MINUS_ZERO = "minus_zero"
"""Name of the constant."""


def check_operators(graph: onnx.GraphProto, scopes: LayerScopes, model: str) -> None:
    """Raise InputError where the graph has an operator that is not ONNX's, which tf2onnx leaves without an error."""
    for node in graph.node:
        if not onnx.defs.has(node.op_type, node.domain):
            raise unsupported(node.op_type, [node.name], scopes, model, "ONNX")


def without_computed_biases(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace biases of convolutions that are not constant, and all after the first, by additions.

    TensorFlow fuses the addition of two 1x1 maps as a bias, tf2onnx appends it even where there is a bias already;
    onnxslim and quantization expect one constant.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        model.graph.node.append(node)
        biases = list(node.input[2:]) if node.op_type == "Conv" else []
        kept = next((number for number, name in enumerate(biases) if name in constants), None)
        added = [name for number, name in enumerate(biases) if number != kept]
        if not added:
            continue
        conv, result = model.graph.node[-1], node.output[0]
        del conv.input[2:]
        conv.input.extend([] if kept is None else [biases[kept]])
        names = [f"{result}_before_bias{number}" for number in range(len(added))] + [result]
        conv.output[0] = names[0]
        axes = onnx.numpy_helper.from_array(np.array([1, 2]), f"{result}_axes")
        model.graph.initializer.append(axes)
        for bias, before, after in zip(added, names, names[1:], strict=False):
            model.graph.node.append(onnx.helper.make_node("Unsqueeze", [bias, axes.name], [f"{before}_bias"]))
            model.graph.node.append(onnx.helper.make_node("Add", [before, f"{before}_bias"], [after]))
    return model


def omit_scales_of_resizes(graph: onnx.GraphProto) -> None:
    """Leave out the empty region and scales of a Resize that has a size; float16 conversion takes them for given."""
    for node in graph.node:
        if node.op_type == "Resize" and len(node.input) == 4:
            node.input[1:3] = ["", ""]


def state_modes_of_pads(graph: onnx.GraphProto) -> None:
    """State the default mode of a Pad, too: pnnx, the converter of ncnn, does not know a Pad without it."""
    for node in graph.node:
        if node.op_type == "Pad" and not any(attribute.name == "mode" for attribute in node.attribute):
            node.attribute.append(onnx.helper.make_attribute("mode", "constant"))


def use_table_of_bicubic_weights(model: onnx.ModelProto) -> None:
    """Replace bicubic resizing between fixed sizes by two products with the weights that TensorFlow has.

    TensorFlow rounds the position between two pixels to one of 1024, for which it has a table; ONNX Runtime does not.
    That changes weights by up to 4e-4.

    Args:
        model: A model with inferred shapes, in NCHW layout.
    """
    graph, nodes = _Graph(model.graph), list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        before, after = graph.shapes.get(node.input[0], [])[2:], graph.shapes.get(node.output[0], [])[2:]
        if not _is_bicubic(node) or len(before) != 2 or not all((*before, *after)):
            model.graph.node.append(node)
            continue
        names = [f"{node.output[0]}_{kind}" for kind in ("row_weights", "column_weights", "rows")]
        arrays = _bicubic_weights(before[0], after[0]), _bicubic_weights(before[1], after[1]).T.copy()
        model.graph.initializer.extend(map(numpy_helper.from_array, arrays, names))
        for suffix, inputs, output in (
            ("rows", [names[0], node.input[0]], names[2]),
            ("columns", [names[2], names[1]], node.output[0]),
        ):
            model.graph.node.append(onnx.helper.make_node("MatMul", inputs, [output], f"{node.name}/{suffix}"))


def _is_bicubic(node: onnx.NodeProto) -> bool:
    attributes = {attribute.name: attribute.s for attribute in node.attribute}
    is_centered = attributes.get("coordinate_transformation_mode", b"half_pixel") == b"half_pixel"
    return node.op_type == "Resize" and attributes.get("mode") == b"cubic" and is_centered


def _bicubic_weights(before: int, after: int) -> np.ndarray:
    """Return the weights of all pixels of a side in those of the resized side, `(after, before)`.

    Keys (1981), with -0.5 as the free parameter; pixels outside of the image count for nothing.
    """
    positions = (np.arange(after, dtype="float32") + np.float32(0.5)) * np.float32(before / after) - np.float32(0.5)
    first = np.floor(positions).astype(int)
    steps = np.arange(-1, 3)
    distance = np.abs(np.rint((positions - first) * 1024)[:, None] / 1024 - steps)
    near, far = (1.5 * distance - 2.5) * distance**2 + 1, ((2.5 - 0.5 * distance) * distance - 4) * distance + 2
    pixels = first[:, None] + steps
    taps = np.where(distance <= 1, near, far) * ((pixels >= 0) & (pixels < before))
    weights = np.zeros((after, before))
    np.add.at(weights, (np.arange(after)[:, None], pixels.clip(0, before - 1)), taps / taps.sum(1, keepdims=True))
    return weights.astype("float32")


def pad_transposed_convolutions(graph: onnx.GraphProto) -> None:
    """Append zeros where a transposed convolution makes its map larger than its kernel reaches.

    With a stride larger than the kernel, or with `output_padding`, TensorFlow appends zeros below and to the right;
    tf2onnx writes negative paddings on both sides, which ONNX does not allow.
    """
    for node in graph.node:
        pads = next((attribute for attribute in node.attribute if attribute.name == "pads"), None)
        if node.op_type != "ConvTranspose" or pads is None or min(pads.ints) >= 0:
            continue
        axes = len(pads.ints) // 2
        totals = [sum(pads.ints[axis::axes]) for axis in range(axes)]
        begins = [max(begin, 0) if total > 0 else 0 for begin, total in zip(pads.ints, totals, strict=False)]
        pads.ints[:] = [*begins, *(max(total - begin, 0) for total, begin in zip(totals, begins, strict=True))]
        missing = [max(-total, 0) for total in totals]
        node.attribute.append(onnx.helper.make_attribute("output_padding", missing))


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


def fold_flattening(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove the transpositions before dense layers, without changing the function.

    Keras flattens NHWC maps and ONNX has NCHW maps, so a converter transposes every map that is flattened; permuting
    the rows of the dense kernel has the same effect at no cost.

    Args:
        model: A model with fixed shapes except for the batch size; it is not changed.
    """
    result = onnx.shape_inference.infer_shapes(model)
    graph = _Graph(result.graph)
    for node in list(result.graph.node):
        if node.op_type in ("Gemm", "MatMul"):
            graph.fold(node)
    return result


class _Graph:
    def __init__(self, graph: onnx.GraphProto):
        self.graph = graph
        self.producers = {name: node for node in graph.node for name in node.output}
        self.uses = Counter(name for node in graph.node for name in node.input)
        self.uses.update(tensor.name for tensor in graph.output)
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.shapes = {
            tensor.name: [side.dim_value for side in tensor.type.tensor_type.shape.dim]
            for tensor in (*graph.value_info, *graph.input, *graph.output)
        }

    def fold(self, dense: onnx.NodeProto) -> None:
        """Permute the rows of a dense kernel to the order of the maps before their transposition."""
        kernel = self.constants.get(dense.input[1])
        maps = self.flattened_maps(dense.input[0])
        if kernel is None or self.uses[kernel.name] > 1 or not any(transpose for _, transpose, _ in maps):
            return
        order, first = [], 0
        for reshape, transpose, size in maps:
            rows = first + np.arange(size)
            first += size
            if transpose is not None:
                channels, height, width = self.map_shape(transpose)
                rows = rows.reshape(height, width, channels).transpose(2, 0, 1).ravel()
                reshape.input[0] = transpose.input[0]
                self.graph.node.remove(transpose)
            order.append(rows)
        axis = 1 if any(attribute.name == "transB" and attribute.i for attribute in dense.attribute) else 0
        weights = numpy_helper.to_array(kernel).take(np.concatenate(order), axis)
        kernel.CopyFrom(numpy_helper.from_array(weights, kernel.name))

    def flattened_maps(self, name: str) -> list[tuple[onnx.NodeProto | None, onnx.NodeProto | None, int]]:
        """The vectors that are concatenated to the input of a dense layer: for each, the Reshape, the Transpose if
        there is one, and the size; empty where one of them has other consumers or an unknown origin.
        """
        node = self.producers.get(name)
        if node is None or self.uses[name] > 1 or name not in self.shapes:
            return []
        if node.op_type == "Concat" and len(self.shapes[name]) == 2 and node.attribute[0].i in (1, -1):
            parts = [self.flattened_maps(part) for part in node.input]
            return [vector for part in parts for vector in part] if all(parts) else []
        size = self.shapes[name][-1] if self.shapes[name] else 0
        if not size:  # open, or unknown, as after a loop
            return []
        before = self.producers.get(node.input[0]) if node.op_type == "Reshape" else None
        if before is None or len(self.shapes[name]) != 2 or not self.is_channels_last(before):
            return [(node, None, size)]
        flattened = prod(self.map_shape(before)) == size  # else the rows of the result are pixels, or parts of them
        return [(node, before if flattened else None, size)]

    def map_shape(self, transpose: onnx.NodeProto) -> list[int]:
        """Channels, height and width of the map that is transposed; 0 where a side is open or unknown."""
        return self.shapes.get(transpose.input[0], [0] * 4)[1:]

    def is_channels_last(self, node: onnx.NodeProto) -> bool:
        """Whether a node only converts one map of fixed size from NCHW to NHWC, for a single consumer."""
        if node.op_type != "Transpose" or self.uses[node.output[0]] > 1:
            return False
        return list(node.attribute[0].ints) == CHANNELS_LAST and all(self.map_shape(node))
