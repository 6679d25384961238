"""Private names of tf2onnx, all of its optimizers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tf2onnx.graph import Node
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
        "TransposeOptimizer._handle_node_having_branches": "ONNX files of models with a hard sigmoid",
    }.items()
)

_update_proto, _add_handler = Node.update_proto, TransposeOptimizer._add_handler


@contextmanager
def optimize_in_place() -> Iterator[None]:
    """Make tf2onnx optimize graphs in place, and move Transposes past additions of a scalar, during the block.

    By default it copies the graph with all weights before each of about 25 steps and writes every constant again after
    it, which takes seconds and gigabytes, and it skips a step that raises. The step that moves Transposes raises if a
    convolution without bias is followed by the addition of a scalar, as in a hard sigmoid; all Transposes then stay.
    """
    with (
        set_environment(TF2ONNX_CATCH_ERRORS="FALSE"),
        replace_attribute(Node, "update_proto", _update_proto_of_operations),
        replace_attribute(TransposeOptimizer, "_add_handler", _move_past_addition),
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
