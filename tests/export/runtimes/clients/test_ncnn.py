"""ncnn: right on ONNX in float32, which it computes in float16; its converter writes of float16 what it does not load.

A fault that is mended fails a test: take it out, and out of docs/clients.md by `python docs/make_clients.py`.
"""

import keras
import pytest
from support.clients import answer, assert_refused, assert_right

from pocketzoo import zoo
from pocketzoo.export.conversion.artifact_files import write_artifacts
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.sample_images import Samples
from pocketzoo.export.validation.checks.artifact_check import Subject
from pocketzoo.export.validation.reference import Reference

pytestmark = pytest.mark.clients


def test_float32_is_right_up_to_float16(lenet):
    assert_right("ncnn", lenet("onnx-fp32"), 1e-2)


def test_float16_is_refused(lenet):
    assert_refused("ncnn", lenet("onnx-fp16"), "ncnn does not load what pnnx wrote")


def test_padded_channels_reach_it(tmp_path, pixels):
    """The Pad of a shortcut, which its converter takes only if it states its mode."""
    keras.utils.set_random_seed(0)
    model, images = zoo.create_model("resnet20", blocks=1, input_shape=(16, 16, 3)), pixels(4, 16, 16, 3)
    graph = ExportGraph.from_model(model)
    ((path, fmt),) = write_artifacts(graph, [FORMATS["onnx-fp32"]], None, tmp_path)
    reference = Reference(Samples(images, None), "noise", model.predict(images, verbose=0))
    assert answer("ncnn", Subject(path, fmt, graph.metadata, reference)).status == "passed"
