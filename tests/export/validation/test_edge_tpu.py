"""The Edge TPU, by its operator list: its compiler is not available."""

import keras
import numpy as np
from support.edge import failed, net, subject_of

from pocketzoo import zoo
from pocketzoo.export.lint import lint
from pocketzoo.export.loading import load_artifact
from pocketzoo.export.tflite_schema.nodes import tflite_nodes
from pocketzoo.export.validation.checks import edge_tpu


def test_operator_not_on_the_list_is_refused_with_the_fix(tmp_path):
    check = edge_tpu.check_operators(subject_of(net(keras.layers.LeakyReLU(name="leaky")), tmp_path))
    assert check.status == "failed"
    assert failed(check) == {
        "operators refused": "LEAKY_RELU (leaky): not supported there; instead: activation='relu' or 'relu6'"
    }


def test_graph_rewritten_for_the_edge_tpu_is_written_and_validated(tmp_path):
    dark = np.random.default_rng(0).integers(0, np.array([2, 4, 8, 16])[:, None, None, None], (4, 8, 8, 4))
    subject = subject_of(net(keras.layers.Activation("hard_swish", name="swish")), tmp_path, pixels=dark)
    check = edge_tpu.check_operators(subject)
    assert check.status == "skipped"
    assert "run edgetpu_compiler on net-int8-edge-tpu.tflite" in check.skipped
    assert check.files == ("net-int8-edge-tpu.tflite",)
    gates = {gate.name: gate.status for gate in check.gates}
    assert gates["operators refused"] == gates["finite share"] == "passed"
    written = subject.path.with_name(*check.files)
    assert "HARD_SWISH" not in {node.operator for node in tflite_nodes(written.read_bytes())}
    images = subject.reference.samples.images
    assert np.abs(load_artifact(written).run(images) - subject.reference.outputs).max() <= 3 / 256


def segmenting(*after):
    """Four classes at each of 64 pixels, and further layers."""
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", name="logits")(image)
    for layer in (keras.layers.Softmax(name="probabilities"), *after):
        x = layer(x)
    return keras.Model(image, x, name="net")


def test_final_softmax_of_a_segmentation_runs_on_the_cpu(tmp_path):
    check = edge_tpu.check_operators(subject_of(segmenting(), tmp_path))
    assert failed(check) == {}
    assert check.facts["on the processor"] == "SOFTMAX"


def test_inner_softmax_is_refused(tmp_path):
    check = edge_tpu.check_operators(subject_of(segmenting(keras.layers.MaxPool2D()), tmp_path))
    assert "64 pixels, 1 at most" in failed(check)["operators refused"]
    assert "on the processor" not in check.facts


def test_lint_counts_operators_on_the_cpu():
    model = zoo.create_model("unet_same", widths=(4, 8, 8, 16, 16), input_shape=(16, 16, 3))
    report = lint(model, "edge-tpu")
    assert report.objections == ()
    assert report.facts["operators_on_processor"] == 1
