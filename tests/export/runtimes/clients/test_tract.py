"""tract: right on ONNX in float32 and in integers, unless probabilities are integers too; float16 is refused.

A fault that is mended fails a test: take it out, and out of docs/clients.md by `python docs/make_clients.py`.
"""

import onnx
import pytest
from support.clients import assert_refused, assert_right

pytestmark = pytest.mark.clients


@pytest.mark.parametrize(("kind", "tolerance"), [("onnx-fp32", 1e-6), ("onnx-int8", 0.1)])
def test_float32_and_integers_are_right(kind, tolerance, lenet):
    assert_right("tract", lenet(kind), tolerance)


def test_float16_is_refused(lenet):
    assert_refused("tract", lenet("onnx-fp16"), "Gemm .*expected 1,120,F16 got 1,120,F32")


def test_probabilities_are_not_rounded_to_integers(lenet):
    """Of a softmax that was rounded it computes something else; and they are floats for all other clients."""
    graph = onnx.load(lenet("onnx-int8").path).graph
    assert [node.op_type for node in graph.node if graph.output[0].name in node.output] == ["Softmax"]
