"""Models for signals in bundles: the outputs of their files are those of Keras."""

import numpy as np
import pytest
from support.signals import cards_in, narrow_net, waves

from pocketzoo import export, zoo

THRESHOLDS = {"agreement": 0.5, "relative_difference": 0.3}
"""Of random weights, 8 bits change more than of trained ones; floats are compared below."""


@pytest.fixture(scope="module")
def calibration():
    return waves(24, 16)


@pytest.mark.parametrize("name", cards_in(1, ("lenet5", "unet_same")))
def test_files_of_a_net_for_signals_answer_as_keras_does(name, tmp_path):
    model = narrow_net(name)
    length = zoo.model_card(name).smallest_input
    signals = waves(6, length, seed=1)
    manifest = export.export_model(
        model,
        tmp_path / "bundle",
        targets=["mobile-gpu", "edge-mcu", "tract", "server-int8"],
        calibration=waves(24, length),
        evaluation=signals,
        thresholds=THRESHOLDS,
    )
    expected = np.asarray(model(signals))
    bounds = {".onnx": 1e-4, "fp16.tflite": 0.02, "int8.tflite": 0.3, "int8.onnx": 0.3, "tensorrt.onnx": 0.5}
    for record in manifest.artifacts:
        artifact = export.load_artifact(tmp_path / "bundle" / record.file)
        found = export.predict(artifact, signals).probabilities.reshape(expected.shape)
        bound = next(bounds[end] for end in sorted(bounds, key=len, reverse=True) if record.file.endswith(end))
        assert np.abs(found - expected).max() <= bound * np.abs(expected).max(), record.file
    np.testing.assert_allclose(
        export.predict(model, signals).probabilities.reshape(expected.shape), expected, atol=1e-5
    )
    one = export.predict(artifact, signals[0]).probabilities
    np.testing.assert_array_equal(one, export.predict(artifact, signals[:1]).probabilities)
    text = (tmp_path / "bundle" / "README.md").read_text()
    assert f"one signal of {length} samples with 2 channels" in text
    assert "it takes signals, which image files do not have" in text


def test_targets_are_compared_for_each_sample_of_a_segmentation(tmp_path):
    model = narrow_net("unet_same")
    signals = waves(6, 16, seed=1)
    targets = np.asarray(model(signals)).argmax(axis=-1)
    manifest = export.export_model(model, tmp_path / "bundle", targets=["tract"], evaluation=(signals, targets))
    assert manifest.evaluation.keras_figures == {"mean IoU": 1.0}


def test_what_files_cannot_have_of_signals_is_refused_in_a_sentence(tmp_path):
    model = narrow_net("lenet5")
    with pytest.raises(zoo.InputError, match="takes signals, and the page of target web opens images"):
        export.export_model(model, tmp_path / "bundle", targets=["web"])
    with pytest.raises(zoo.InputError, match="takes signals, and an example is an image"):
        export.export_model(model, tmp_path / "bundle", targets=["tract"], example="wave.png")
    with pytest.raises(zoo.InputError, match="takes no images and not one signal"):
        export.export_model(narrow_net("resnet20", 3), tmp_path / "bundle", targets=["tract"])
    with pytest.raises(zoo.InputError, match=r"the model takes \(count, 1, 16, 2\)"):
        export.export_model(model, tmp_path / "bundle", targets=["tract"], evaluation=waves(4, 15))
