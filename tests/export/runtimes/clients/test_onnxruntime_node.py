"""ONNX Runtime in Node.js: right on ONNX in floats and in integers."""

import numpy as np
import pytest
from support.clients import answer, assert_right

from pocketzoo import zoo
from pocketzoo.export.conversion.artifact_files import write_artifacts
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.sample_images import Samples
from pocketzoo.export.validation.checks.artifact_check import Subject
from pocketzoo.export.validation.reference import Reference

pytestmark = pytest.mark.usefixtures("node_modules")


@pytest.mark.parametrize(("kind", "tolerance"), [("onnx-fp32", 1e-6), ("onnx-int8", 0.1)])
def test_floats_and_integers_are_right(kind, tolerance, lenet):
    assert_right("onnxruntime-node", lenet(kind), tolerance)


def test_open_batch_is_skipped(tmp_path, digits):
    images = digits.test.arrays()[0][:4]
    graph = ExportGraph.from_model(zoo.create_model("lenet5", weights="digits"), open_batch=True)
    ((path, fmt),) = write_artifacts(graph, [FORMATS["onnx-fp32"]], None, tmp_path)
    subject = Subject(path, fmt, graph.metadata, Reference(Samples(images, None), "noise", np.zeros((4, 10))))
    assert "lenet5 leaves its size or batch open" in answer("onnxruntime-node", subject).skipped
