"""tf2onnx's search for Transposes that can go."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tf2onnx import constants
from tf2onnx.optimizer.transpose_optimizer import TransposeOptimizer


@contextmanager
def plain_optimizing() -> Iterator[None]:
    """While the block runs, tf2onnx optimises in place and takes a Transpose past the addition of one number too.

    By default it copies the graph before each of its steps, which takes gigabytes, and gives a step up that raises. Its
    search for Transposes raises where a convolution without bias is followed by an addition of one number, as in a
    hard sigmoid, and then leaves all of them.
    """
    before = constants.ENV_TF2ONNX_CATCH_ERRORS, TransposeOptimizer._add_handler
    constants.ENV_TF2ONNX_CATCH_ERRORS, TransposeOptimizer._add_handler = "FALSE", _add_handler
    try:
        yield
    finally:
        constants.ENV_TF2ONNX_CATCH_ERRORS, TransposeOptimizer._add_handler = before


_OF_TF2ONNX = TransposeOptimizer._add_handler


def _add_handler(optimizer: TransposeOptimizer, transpose: Any, node: Any) -> bool:
    added = node.inputs[1]
    if added.is_const() and added.get_tensor_value(as_list=False).ndim == 0:
        return optimizer._handle_node_having_branches(transpose, node)
    return _OF_TF2ONNX(optimizer, transpose, node)
