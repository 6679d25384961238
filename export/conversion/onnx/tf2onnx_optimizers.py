"""tf2onnx's optimisers: without copies, and with its search for Transposes that can go mended."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from tf2onnx.graph import Node
from tf2onnx.optimizer.transpose_optimizer import TransposeOptimizer


@contextmanager
def plain_optimizing() -> Iterator[None]:
    """While the block runs, tf2onnx optimises in place and takes a Transpose past the addition of one number too.

    By default it copies the graph with all weights before each of its steps, some 25, and writes every constant anew
    after each, which takes seconds and gigabytes; and it gives a step up that raises. Its search for Transposes raises
    where a convolution without bias is followed by an addition of one number, as in a hard sigmoid, and then leaves all
    of them.
    """
    with (
        patch.dict(os.environ, TF2ONNX_CATCH_ERRORS="FALSE"),
        patch.object(Node, "update_proto", _update_proto),
        patch.object(TransposeOptimizer, "_add_handler", _add_handler),
    ):
        yield


_UPDATE_PROTO, _ADD_HANDLER = Node.update_proto, TransposeOptimizer._add_handler


def _update_proto(node: Node, *storage: Any) -> None:
    if not node.is_const():  # whose value goes to the file from where it is
        _UPDATE_PROTO(node, *storage)


def _add_handler(optimizer: TransposeOptimizer, transpose: Any, node: Any) -> bool:
    added = node.inputs[1]
    if added.is_const() and added.get_tensor_value(as_list=False).ndim == 0:
        return optimizer._handle_node_having_branches(transpose, node)
    return _ADD_HANDLER(optimizer, transpose, node)
