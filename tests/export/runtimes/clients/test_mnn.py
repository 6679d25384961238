"""MNN: right in floats; of integers in TFLite it computes something else, and QDQ ends its converter.

A fault that is mended fails a test: take it out, and out of docs/clients.md by `python docs/make_clients.py`.
"""

import pytest
from support.clients import assert_refused, assert_right, assert_wrong

pytestmark = pytest.mark.clients


@pytest.mark.parametrize("kind", ["onnx-fp32", "tflite-fp32"])
def test_floats_are_right(kind, lenet):
    assert_right("mnn", lenet(kind), 1e-5)


def test_integers_in_tflite_are_silently_wrong(lenet):
    assert_wrong("mnn", lenet("tflite-int8-float"))


def test_integers_in_onnx_end_its_converter(lenet):
    assert_refused("mnn", lenet("onnx-int8"), "its converter is ended by SIGABRT")
