"""TensorFlow Lite Micro: the operators that it refuses, and the arena that it needs."""

import re
import sys
from dataclasses import replace

import keras
import pytest
from support.edge import failed, net, subject_of

from pocketzoo.export.runtimes.tflite_micro import RefusedError, smallest_arena
from pocketzoo.export.tflite_schema.arena_estimate import estimate_arena
from pocketzoo.export.validation.checks import tflite_micro

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no tflite-micro for other systems")


def test_micro_reports_the_operator_without_kernel(tmp_path):
    subject = subject_of(net(keras.layers.UpSampling2D(2, name="nearest")), tmp_path)
    assert re.fullmatch(
        r"TILE \(nearest\): .*TILE.*", failed(tflite_micro.validate_in_micro(subject))["operators refused"]
    )


def test_micro_reports_the_operator_with_a_failed_assertion(tmp_path):
    """Its softmax aborts the process where more than 512 classes have similar probabilities."""
    model = net(classes=1000)
    model.get_layer("last").kernel.assign(model.get_layer("last").kernel * 1e-4)
    reason = failed(tflite_micro.validate_in_micro(subject_of(model, tmp_path)))["operators refused"]
    assert reason.startswith("SOFTMAX (probabilities): an assertion failed in it (signal 6); instead: leave ")


def test_arena_above_the_budget_fails(small):
    check = tflite_micro.validate_in_micro(replace(small, thresholds={"arena_bytes": 1000}))
    assert "arena_bytes" in failed(check)
    assert "arena_bytes" not in failed(tflite_micro.validate_in_micro(replace(small, thresholds={"arena_bytes": 9000})))


@pytest.mark.parametrize("layer", [keras.layers.Conv2DTranspose(8, 3, strides=2), keras.layers.SeparableConv2D(32, 3)])
@pytest.mark.parametrize("kind", ["tflite-int8", "tflite-int16x8"])
def test_estimated_arena_is_sufficient(layer, kind, tmp_path):
    content = subject_of(net(layer, shape=(12, 12, 3)), tmp_path, kind=kind).path.read_bytes()
    assert smallest_arena(content) <= estimate_arena(content) < 2.5 * smallest_arena(content)


def test_smallest_arena_of_an_invalid_file_is_refused():
    with pytest.raises(RefusedError):
        smallest_arena(b"no model at all, but long enough to be looked at")
