"""Integer files that are none."""

import keras
import pytest
from keras import layers

from pocketzoo import export
from pocketzoo.export.artifact.report import skipped_reasons


@pytest.fixture(scope="module")
def with_elu():
    """A net with an activation that TFLite has no integers for."""
    keras.utils.set_random_seed(0)
    x = layers.Conv2D(4, 3)(layers.Rescaling(1 / 255)(image := keras.Input((12, 12, 3))))
    x = layers.Conv2D(4, 3)(layers.ELU(name="elu")(x))
    outputs = layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, outputs, name="with_elu")


@pytest.fixture
def calibration(pixels):
    return pixels(24, 3, 3, 3).repeat(4, axis=1).repeat(4, axis=2)


def test_operator_in_float_fails_on_a_microcontroller(with_elu, calibration, tmp_path):
    with pytest.raises(
        export.ProofError, match=r"operators in float is 1, must be <= 0 \(ELU \(elu\): left in floating"
    ):
        export.export_model(with_elu, tmp_path / "out", targets=["edge-mcu"], calibration=calibration)


def test_operator_in_float_is_reported_on_a_phone(with_elu, calibration, tmp_path):
    manifest = export.export_model(with_elu, tmp_path / "out", targets=["mobile-cpu"], calibration=calibration)
    gates = {record.format: {gate.name: gate for gate in record.gates} for record in manifest.artifacts}
    gate = gates["tflite-uint8"]["operators in float"]
    assert (gate.status, gate.figure) == ("skipped", 1)
    assert gate.reason.startswith("ELU (elu): left in floating point; instead: activation='relu'")
    assert "operators in float" not in gates["tflite-fp32"]
    assert any(reason.startswith("operators in float: ELU (elu)") for reason in skipped_reasons(manifest))


def test_layer_that_the_user_keeps_in_float_is_no_fault(with_elu, calibration, tmp_path):
    how = {"targets": ["mobile-cpu"], "calibration": calibration, "keep_float": "elu"}
    manifest = export.export_model(with_elu, tmp_path / "out", **how)
    assert all(gate.name != "operators in float" for record in manifest.artifacts for gate in record.gates)


def test_integers_throughout_are_shown(manifest):
    gates = [gate for record in manifest.artifacts for gate in record.gates if gate.name == "operators in float"]
    assert {(gate.status, gate.figure) for gate in gates} == {("passed", 0)}
    assert len(gates) == 4
