from pathlib import Path

import numpy as np
import pytest

from pocketzoo import export, zoo
from pocketzoo.export.artifact import Artifact
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.proof import Reference, prove, relative_difference
from pocketzoo.export.samples import Samples
from pocketzoo.export.tensors import TensorInfo


def test_difference_is_relative_to_how_much_the_answers_vary():
    reference = np.random.default_rng(0).normal(size=(50, 4))
    assert relative_difference(reference, reference) == 0
    assert relative_difference(reference + 0.1 * reference.std(axis=0), reference) == pytest.approx(0.1, rel=0.01)
    # The same absolute error, on answers that hardly vary: an absolute bar would let it pass.
    assert relative_difference(reference * 1e-9 + 1e-7, reference * 1e-9) > 10


def test_reference_that_never_varies_proves_nothing():
    assert relative_difference(np.ones((5, 3)), np.ones((5, 3))) == float("inf")


class Answers(Artifact):
    """An artifact with made-up answers."""

    def __init__(self, outputs):
        tensor = TensorInfo("x", (1, 2, 2, 1), "float32")
        super().__init__(Path("x.onnx"), tensor, tensor, None, lambda image: image)
        object.__setattr__(self, "outputs", outputs)

    def run(self, images):
        return self.outputs


@pytest.fixture
def reference():
    outputs = np.random.default_rng(0).dirichlet(np.ones(4), size=200).astype("float32")
    return Reference(Samples(np.zeros((200, 2, 2, 1)), outputs.argmax(-1)), "evaluation images", outputs)


def failed(outputs, reference, kind):
    check = prove("made up", "1", Answers(outputs), FORMATS[kind], reference)
    return [gate.name for gate in check.gates if gate.status == "failed"]


def test_equal_answers_pass_every_gate(reference):
    for kind in FORMATS:
        assert failed(reference.outputs, reference, kind) == []


def test_each_gate_catches_what_it_is_for(reference):
    outputs = reference.outputs
    swapped = outputs.copy()
    swapped[:10] = swapped[:10, ::-1]  # 5 % of the answers
    broken = np.where(np.arange(4) == 0, np.nan, outputs)
    assert "finite share" in failed(broken, reference, "tflite-fp32")
    assert "distinct answers" in failed(np.repeat(outputs[:1], 200, axis=0), reference, "tflite-int8")
    assert failed(outputs + 1e-3 * np.array([1, -1, 1, -1]), reference, "onnx-fp32")[0] == "relative difference"
    assert failed(swapped, reference, "onnx-int8") == ["agreement", "accuracy drop"]
    assert "relative difference" in failed(np.roll(outputs, 1, axis=0), reference, "tflite-dynamic")


@pytest.mark.parametrize(("most", "expected"), [(1, [1]), (7, [3, 2, 2]), (50, [23, 22, 5]), (500, [100, 50, 5])])
def test_calibration_is_spread_evenly_over_the_classes(most, expected):
    labels = np.repeat([0, 1, 2], [100, 50, 5])
    images = np.zeros((155, 2, 2, 1))
    chosen = Samples.of((images, labels), "calibration", (2, 2, 1), classes=3, most=most).labels
    assert np.bincount(chosen).tolist() == expected


def test_latency_is_measured_on_artifacts_and_models(bundle, trained):
    for what in (export.load_artifact(bundle / "lenet5-int8.tflite"), trained):
        latency = export.benchmark(what, runs=5)
        assert 0 < latency.min_ms <= latency.median_ms <= latency.p90_ms
        assert latency.to_dict()["runs"] == 5
    with pytest.raises(zoo.InputError, match="runs is 0"):
        export.benchmark(trained, runs=0)
