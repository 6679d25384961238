"""The layer rules of TF-MOT's `PruneForLatencyOnXNNPack`, for flat Keras 3 models.

XNNPACK runs part of a model with sparse kernels: the part starts at a 3x3 convolution of the image and ends at global
average pooling, and every layer in between must have a kernel for the data layout of sparse inference. The 1x1
convolutions in that part may be sparse. Elsen et al.: Fast Sparse ConvNets (arXiv:1911.09723); the rules are those of
TF-MOT 0.8.1's `pruning_policy.py`, plus `hard_silu` and `hard_sigmoid`, which TF-MOT knows as ReLU6, sum and product.
"""

import keras
from keras import layers

from ....core.errors import InputError
from ....core.flat_graph import FlatGraph, Node
from ....core.layer_traits import traits_of

ACTIVATIONS = ("relu", "relu6", "leaky_relu", "elu", "sigmoid", "hard_silu", "hard_sigmoid")


def is_pruned_for_latency(layer: keras.Layer) -> bool:
    """Whether XNNPACK has a sparse kernel for such a layer: it has one for 1x1 convolutions."""
    return isinstance(layer, layers.Conv2D) and layer.kernel_size == (1, 1)


def check_sparse_inference(flat: keras.Model) -> None:
    """Raise InputError, naming the layer, if XNNPACK would not run `flat` with sparse kernels."""
    graph = FlatGraph(flat)
    starts = graph.frontier(graph.input_nodes, lambda node: _is_start(graph, node), graph.successors)
    if not starts:
        raise InputError(
            f"{flat.name} is not for policy xnnpack: its image does not go into a 3x3 convolution of 3 channels with "
            "stride 2, 'valid' padding and zero padding of 1 before it; create the model with padding='symmetric'."
        )
    ends = graph.frontier(graph.output_nodes, _is_end, graph.predecessors)
    if not ends:
        raise InputError(f"{flat.name} is not for policy xnnpack: it has no global average pooling before each output.")

    def stops(node: Node) -> bool:
        if node not in ends and not _is_supported(graph, node):
            kind = type(node.operation).__name__
            raise InputError(
                f"{flat.name} is not for policy xnnpack: layer {node.name} ({kind}) has no kernel there for the data "
                "layout of sparse inference; supported are stride-1 1x1 and zero-padded depthwise convolutions, ReLUs, "
                "sigmoids, sums and products."
            )
        return node in ends

    graph.frontier([node for start in starts for node in graph.successors(start)], stops, graph.successors)


def _is_start(graph: FlatGraph, node: Node) -> bool:
    layer = node.operation
    return (
        isinstance(layer, layers.Conv2D)
        and tuple(layer.kernel.shape[:3]) == (3, 3, 3)
        and layer.strides == (2, 2)
        and layer.padding == "valid"
        and _padding_before(graph, node) == 1
    )


def _is_end(node: Node) -> bool:
    return isinstance(node.operation, layers.GlobalAveragePooling2D)


def _padding_before(graph: FlatGraph, node: Node) -> int | None:
    """Zero padding on each side by the layer before `node`, if it is the same on all sides."""
    producers = [producer.operation for producer in graph.predecessors(node)]
    if len(producers) != 1 or not isinstance(producers[0], layers.ZeroPadding2D):
        return None
    sides = {side for pair in producers[0].padding for side in pair}
    return sides.pop() if len(sides) == 1 else None


def _is_supported(graph: FlatGraph, node: Node) -> bool:
    layer = node.operation
    match layer:
        case layers.DepthwiseConv2D():
            is_plain = layer.depth_multiplier == 1 and layer.dilation_rate == (1, 1)
            return is_plain and _is_depthwise_kernel(graph, node)
        case layers.Conv2D():
            is_pointwise = layer.kernel_size == layer.strides == layer.dilation_rate == (1, 1)
            return is_pointwise and layer.groups == 1
        case layers.GlobalAveragePooling2D():
            return layer.keepdims
        case layers.BatchNormalization():
            return layer.axis in (-1, 3)
        case layers.UpSampling2D():
            return layer.interpolation == "bilinear"
        case layers.Activation():
            return layer.activation.__name__ in ACTIVATIONS
    return traits_of(layer).xnnpack


def _is_depthwise_kernel(graph: FlatGraph, node: Node) -> bool:
    """Whether it is 3x3 or 5x5 with padding on all sides: "same" with stride 1, or a layer with stride 1 or 2."""
    layer = node.operation
    if layer.kernel_size not in ((3, 3), (5, 5)):
        return False
    if layer.padding == "same":
        return layer.strides == (1, 1)
    return layer.strides in ((1, 1), (2, 2)) and _padding_before(graph, node) == layer.kernel_size[0] // 2
