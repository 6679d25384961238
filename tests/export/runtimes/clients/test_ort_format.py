"""The format of ONNX Runtime's reduced builds for phones: right in floats and in integers, with our metadata."""

import pytest
from support.clients import answer, assert_right

from pocketzoo.export.loading import load_artifact, open_with
from pocketzoo.export.runtimes.onnx_runtime import open_onnx


@pytest.mark.parametrize(("kind", "tolerance"), [("onnx-fp32", 1e-6), ("onnx-int8", 0.1)])
def test_floats_and_integers_are_right(kind, tolerance, lenet):
    assert_right("ort-format", lenet(kind), tolerance)


def test_file_keeps_the_metadata(lenet):
    subject = lenet("onnx-fp32")
    (file,) = answer("ort-format", subject).files
    artifact = open_with(open_onnx, subject.path.with_name(file))
    assert artifact.metadata == load_artifact(subject.path).metadata
    assert artifact.input == load_artifact(subject.path).input
