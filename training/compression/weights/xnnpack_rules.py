"""The layer rules of TF-MOT's `PruneForLatencyOnXNNPack`, for flat Keras 3 models.

XNNPACK infers a part of a net with sparse kernels: it begins at a 3x3 convolution of the image, ends at the global
mean, and every layer in between must be of a kind that has a kernel for its layout of the data. There the 1x1
convolutions may be sparse. Elsen et al.: Fast Sparse ConvNets (arXiv:1911.09723); the rules are those of TF-MOT 0.8.1's
`pruning_policy.py`, with `hard_silu` and `hard_sigmoid` besides, which it knows written out as ReLU6, sum and product.
"""

from collections.abc import Callable, Iterable

import keras
from keras import layers
from keras.src.ops.node import Node

from ....core.errors import InputError
from ..nodes import nodes_in_order

PLAIN = (layers.Add, layers.Multiply, layers.ZeroPadding2D, layers.ReLU, layers.LeakyReLU, layers.ELU, layers.Dropout)
ACTIVATIONS = ("relu", "relu6", "leaky_relu", "elu", "sigmoid", "hard_silu", "hard_sigmoid")


def is_pruned_for_latency(layer: keras.Layer) -> bool:
    """Whether XNNPACK has a sparse kernel for such a layer: for 1x1 convolutions it does."""
    return isinstance(layer, layers.Conv2D) and layer.kernel_size == (1, 1)


def check_sparse_inference(flat: keras.Model) -> None:
    """Raises InputError, naming the layer, where XNNPACK would not infer `flat` with sparse kernels."""
    graph = _Graph(flat)
    begins = graph.reached(graph.inputs, _is_begin, graph.consumers)
    if not begins:
        raise InputError(
            f"{flat.name} is not for policy xnnpack: its image does not go into a 3x3 convolution of 3 channels with "
            "stride 2, 'valid' padding and one zero on each side before it; create the model with padding='symmetric'."
        )
    ends = graph.reached(graph.outputs, _is_end, graph.producers)
    if not ends:
        raise InputError(f"{flat.name} is not for policy xnnpack: it has no global average pooling before each output.")
    following = [consumer for begin in begins for consumer in graph.consumers(begin)]

    def ends_here(node: Node) -> bool:
        if node not in ends and not _is_supported(node):
            kind = type(node.operation).__name__
            raise InputError(
                f"{flat.name} is not for policy xnnpack: layer {node.operation.name} ({kind}) has no kernel there for "
                "what the sparse one gives; there are stride-1 1x1 and zero-padded depthwise convolutions, ReLUs, "
                "sigmoids, sums and products."
            )
        return node in ends

    graph.reached(following, ends_here, graph.consumers)


class _Graph:
    """Who gives to whom in a flat model."""

    def __init__(self, flat: keras.Model):
        nodes = nodes_in_order(flat)
        makers = {id(tensor): node for node in nodes for tensor in node.outputs}
        self._producers = {node: [makers[id(tensor)] for tensor in node.input_tensors] for node in nodes}
        self._consumers: dict[Node, list[Node]] = {node: [] for node in nodes}
        for node, producers in self._producers.items():
            for producer in producers:
                self._consumers[producer].append(node)
        self.inputs = [makers[id(tensor)] for tensor in flat.inputs]
        self.outputs = [makers[id(tensor)] for tensor in flat.outputs]

    def producers(self, node: Node) -> list[Node]:
        return self._producers[node]

    def consumers(self, node: Node) -> list[Node]:
        return self._consumers[node]

    @staticmethod
    def reached(start: Iterable[Node], stops: Callable[[Node], bool], following: Callable[[Node], list[Node]]) -> set:
        """The nodes at which the ways from `start` stop; none if one of the ways goes on to the graph's border."""
        waiting, seen, found = list(start), set(start), set()
        while waiting:
            node = waiting.pop()
            if stops(node):
                found.add(node)
                continue
            further = following(node)
            if not further:
                return set()
            waiting += [one for one in further if one not in seen]
            seen.update(further)
        return found


def _is_begin(node: Node) -> bool:
    layer = node.operation
    return (
        isinstance(layer, layers.Conv2D)
        and tuple(layer.kernel.shape[:3]) == (3, 3, 3)
        and layer.strides == (2, 2)
        and layer.padding == "valid"
        and _zeros_before(node) == 1
    )


def _is_end(node: Node) -> bool:
    return isinstance(node.operation, layers.GlobalAveragePooling2D)


def _zeros_before(node: Node) -> int | None:
    """How many on each side, if there are as many everywhere."""
    producers = [parent.operation for parent in node.parent_nodes]
    if len(producers) != 1 or not isinstance(producers[0], layers.ZeroPadding2D):
        return None
    zeros = {number for pair in producers[0].padding for number in pair}
    return zeros.pop() if len(zeros) == 1 else None


def _is_supported(node: Node) -> bool:
    layer = node.operation
    match layer:
        case layers.DepthwiseConv2D():
            return layer.depth_multiplier == 1 and layer.dilation_rate == (1, 1) and _is_depthwise_kernel(node)
        case layers.Conv2D():
            one = layer.kernel_size == layer.strides == layer.dilation_rate == (1, 1)
            return one and layer.groups == 1
        case layers.GlobalAveragePooling2D():
            return layer.keepdims
        case layers.BatchNormalization():
            return layer.axis in (-1, 3)
        case layers.UpSampling2D():
            return layer.interpolation == "bilinear"
        case layers.Activation():
            return layer.activation.__name__ in ACTIVATIONS
    return isinstance(layer, PLAIN)


def _is_depthwise_kernel(node: Node) -> bool:
    """Of 3x3 or 5x5 with zeros on all sides: as "same" padding with stride 1, or as a layer with stride 1 or 2."""
    layer = node.operation
    if layer.kernel_size not in ((3, 3), (5, 5)):
        return False
    if layer.padding == "same":
        return layer.strides == (1, 1)
    return layer.strides in ((1, 1), (2, 2)) and _zeros_before(node) == layer.kernel_size[0] // 2
