"""Private names of tf2onnx: its optimizers, and handlers of TensorFlow operators, which importing this module adds."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
from tf2onnx.graph import Graph, Node
from tf2onnx.handler import tf_op
from tf2onnx.onnx_opset.nn import Resize
from tf2onnx.optimizer.transpose_optimizer import TransposeOptimizer

from .private_names import PrivateName
from .process_patches import replace_attribute, set_environment

PACKAGE, TESTED = "tf2onnx", "1.17.0"

NAMES = tuple(
    PrivateName(PACKAGE, TESTED, name, needed_for)
    for name, needed_for in {
        "TF2ONNX_CATCH_ERRORS": "exporting to ONNX in seconds, without copies of all weights, and errors of optimizers",
        "tf2onnx.graph.Node.update_proto": "exporting to ONNX in seconds, without copies of all weights",
        "TransposeOptimizer._add_handler": "ONNX files of models with a hard sigmoid",
        "TransposeOptimizer._mul_handler": "ONNX files of models that multiply a map with itself",
        "TransposeOptimizer._handle_node_having_branches": "ONNX files of models with a hard sigmoid",
        "tf2onnx.handler.tf_op": "ONNX files of models with GELU or CELU",
        "tf2onnx.onnx_opset.nn.Resize": "ONNX files of models that resize maps by a factor that is not whole",
    }.items()
)

_update_proto = Node.update_proto
_add_handler, _mul_handler = TransposeOptimizer._add_handler, TransposeOptimizer._mul_handler


@contextmanager
def optimize_in_place() -> Iterator[None]:
    """Make tf2onnx optimize graphs in place, and move Transposes past additions of a scalar, during the block.

    By default it copies the graph with all weights before each of about 25 steps and writes every constant again after
    it, which takes seconds and gigabytes, and it skips a step that raises. The step that moves Transposes raises if a
    convolution without bias is followed by the addition of a scalar, as in a hard sigmoid; all Transposes then stay.
    It keeps the shape of a square behind which it moves a Transpose, and then mistakes others for a Reshape.
    """
    with (
        set_environment(TF2ONNX_CATCH_ERRORS="FALSE"),
        replace_attribute(Node, "update_proto", _update_proto_of_operations),
        replace_attribute(TransposeOptimizer, "_add_handler", _move_past_addition),
        replace_attribute(TransposeOptimizer, "_mul_handler", _move_past_product),
    ):
        yield


def _update_proto_of_operations(node: Node, *storage: Any) -> None:
    if not node.is_const():  # the value of a constant is written to the file from where it is
        _update_proto(node, *storage)


def _move_past_addition(optimizer: TransposeOptimizer, transpose: Node, node: Node) -> bool:
    addend = node.inputs[1]
    if addend.is_const() and addend.get_tensor_value(as_list=False).ndim == 0:
        return bool(optimizer._handle_node_having_branches(transpose, node))
    return bool(_add_handler(optimizer, transpose, node))


def _move_past_product(optimizer: TransposeOptimizer, transpose: Node, node: Node) -> bool:
    graph, is_square = optimizer._g, node.input[0] == node.input[1]
    after = graph.get_shape(node.output[0])
    is_moved = bool(_mul_handler(optimizer, transpose, node))
    if is_moved and is_square and after:
        before = [after[axis] for axis in np.argsort(transpose.get_attr_value("perm"))]
        graph.set_shape(node.output[0], before)
        graph.set_shape(transpose.output[0], after)
    return is_moved


@tf_op("Erfc")
class _ComplementaryErrorFunction:
    """`1 - erf(x)`, of which TensorFlow makes GELU."""

    @classmethod
    def version_9(cls, graph: Graph, node: Node, **_: Any) -> None:
        erf = graph.make_node("Erf", [node.input[0]]).output[0]
        _replace(graph, node, "Sub", [_one(graph, node), erf])


@tf_op("Expm1")
class _ExponentialMinusOne:
    """`exp(x) - 1`, as in CELU."""

    @classmethod
    def version_7(cls, graph: Graph, node: Node, **_: Any) -> None:
        power = graph.make_node("Exp", [node.input[0]]).output[0]
        _replace(graph, node, "Sub", [power, _one(graph, node)])


@tf_op("Log1p")
class _LogarithmOfOnePlus:
    """`log(1 + x)`."""

    @classmethod
    def version_7(cls, graph: Graph, node: Node, **_: Any) -> None:
        total = graph.make_node("Add", [_one(graph, node), node.input[0]]).output[0]
        _replace(graph, node, "Log", [total])


@tf_op(["ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic"])
class _ResizeToSize:
    """Resizing to the size itself: tf2onnx writes it as a scale in float32, and `floor(100 * 0.64)` is 63."""

    @classmethod
    def version_11(cls, graph: Graph, node: Node, **keywords: Any) -> None:
        size = graph.make_node("Identity", [node.input[1]])  # which hides that it is constant
        graph.replace_input(node, node.input[1], size.output[0], 1)
        Resize.version_11(graph, node, **keywords)


@tf_op("ResizeArea")
class _NoResizeByArea:
    """None, as ONNX has no such operator; tf2onnx writes it as the nearest neighbor."""

    @classmethod
    def version_11(cls, graph: Graph, node: Node, **_: Any) -> None:
        pass


def _one(graph: Graph, node: Node) -> str:
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(graph.get_dtype(node.input[0])))
    one: str = graph.make_const(f"{node.name}_one", np.array(1, dtype)).output[0]
    return one


def _replace(graph: Graph, node: Node, operator: str, inputs: Iterable[str]) -> None:
    """Replace a node by another operator with the same name and output."""
    shapes, dtypes = node.output_shapes, node.output_dtypes
    graph.remove_node(node.name)
    graph.make_node(operator, list(inputs), name=node.name, outputs=node.output, shapes=shapes, dtypes=dtypes)
