"""OpenCV DNN: right on ONNX in floats; it lacks operators of TFLite, and softmax takes the wrong axis in maps there.

A fault that is mended fails a test: take it out, and out of docs/clients.md by `python docs/make_clients.py`.
"""

import keras
import pytest
from support.clients import answer, assert_refused, assert_right

from pocketzoo.export.conversion.artifact_files import write_artifacts
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.sample_images import Samples
from pocketzoo.export.validation.checks.artifact_check import Subject
from pocketzoo.export.validation.reference import Reference
from pocketzoo.zoo.contract import state_contract

pytestmark = pytest.mark.clients


@pytest.mark.parametrize(("kind", "tolerance"), [("onnx-fp32", 1e-6), ("onnx-fp16", 2e-3)])
def test_onnx_in_floats_is_right(kind, tolerance, lenet):
    assert_right("opencv", lenet(kind), tolerance)


@pytest.mark.parametrize(
    ("kind", "message"), [("tflite-fp32", "Unsupported operator type TANH"), ("onnx-int8", "argTensor")]
)
def test_what_it_does_not_have_is_refused(kind, message, lenet):
    assert_refused("opencv", lenet(kind), message)


def test_softmax_of_a_map_in_tflite_takes_the_wrong_axis(tmp_path, pixels):
    keras.utils.set_random_seed(0)
    image, images = keras.Input((8, 8, 3)), pixels(4, 8, 8, 3)
    maps = keras.layers.Conv2D(3, 1, activation="softmax")(keras.layers.Rescaling(1 / 255)(image))
    model = keras.Model(image, maps, name="net")
    state_contract(model, task="segmentation", labels=["a", "b", "c"])
    graph = ExportGraph.from_model(model)
    reference = Reference(Samples(images, None), "noise", model.predict(images, verbose=0), "segmentation")
    formats = [FORMATS["tflite-fp32"], FORMATS["onnx-fp32"]]
    written = write_artifacts(graph, formats, None, tmp_path)
    found = {fmt.name: answer("opencv", Subject(path, fmt, graph.metadata, reference)).status for path, fmt in written}
    assert found == {"tflite-fp32": "failed", "onnx-fp32": "passed"}
