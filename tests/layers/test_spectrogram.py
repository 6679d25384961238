"""The spectrogram layer: equal to TensorFlow's transform and mel bands, here and in files."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketzoo import export, layers, zoo
from pocketzoo.training.compression.weights.layer_selection import prunable_layers


def sounds(count, length, seed=0):
    random = np.random.default_rng(seed)
    strength = random.uniform(0.01, 1, (count, 1, 1))
    return (strength * random.uniform(-1, 1, (count, length, 1))).astype("float32")


def by_tensorflow(layer, signals):
    transform = tf.signal.stft(signals[..., 0], layer.frame_length, layer.frame_step, layer.fft_length)
    bands = tf.signal.linear_to_mel_weight_matrix(
        layer.mels, layer.fft_length // 2 + 1, layer.sample_rate, layer.low_hz, layer.high_hz
    )
    return np.log(np.maximum(np.abs(transform) ** 2 @ bands, layer.floor))


@given(
    st.sampled_from([8000, 16000]), st.integers(1, 20), st.integers(128, 400), st.integers(1, 300), st.integers(0, 9)
)
@settings(max_examples=15)
def test_layer_equals_tensorflow_for_any_frames_and_bands(rate, mels, half, frame_step, seed):
    layer = layers.LogMelSpectrogram(
        rate, mels=min(mels, half // 16), frame_length=2 * half, frame_step=frame_step, low_hz=200.0, dimensions=1
    )
    signals = sounds(2, 900, seed)
    found = keras.ops.convert_to_numpy(layer(signals))
    expected = by_tensorflow(layer, signals)
    assert found.shape == expected.shape == tuple(layer.compute_output_shape(signals.shape))
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.fixture(scope="module")
def model():
    """A net for sound, with statistics of such in its normalizations."""
    options = {"sample_rate": 4000, "mels": 12, "frame_length": 64, "frame_step": 32}
    model = zoo.create_model(
        "resnet20", blocks=1, widths=(4, 4, 8), input_shape=(600, 1), classes=3, spectrogram=options
    )
    model.compile("sgd", "mse", run_eagerly=True)
    for seed in range(3):
        model.train_on_batch(sounds(8, 600, seed), np.eye(3)[np.arange(8) % 3])
    return model


def test_kernels_are_not_trained_and_models_load_again(model, tmp_path):
    layer = model.get_layer("spectrogram")
    fresh = layers.LogMelSpectrogram.from_config(layer.get_config())
    fresh.build((None, 600, 1))
    for own, new in zip(layer.weights, fresh.weights, strict=True):
        np.testing.assert_array_equal(own, new)
    model.save(tmp_path / "model.keras")
    signals = sounds(3, 600)
    np.testing.assert_array_equal(zoo.load_model(tmp_path / "model.keras")(signals), model(signals))
    assert not [weight for weight in model.trainable_weights if "spectrogram" in weight.path]


def test_files_in_floats_and_in_8_bits_answer_as_keras_does(model, tmp_path):
    signals = sounds(6, 600, 5)
    manifest = export.export_model(
        model,
        tmp_path / "bundle",
        targets=["mobile-gpu", "tract", "server-int8"],
        calibration=sounds(24, 600, 7),
        evaluation=signals,
        thresholds={"agreement": 0.5, "relative_difference": 0.3},
    )
    expected = keras.ops.convert_to_numpy(model(signals))
    for record in manifest.artifacts:
        found = export.predict(export.load_artifact(tmp_path / "bundle" / record.file), signals).probabilities
        bound = 1e-4 if "fp32" in record.file else 0.1
        assert np.abs(found - expected).max() < bound, record.file
    with pytest.raises(zoo.InputError, match=r"computes a spectrogram, which edge-mcu cannot: .* \(frames, mels\)"):
        export.export_model(model, tmp_path / "other", targets=["edge-mcu"], calibration=signals, evaluation=signals)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"low_hz": 5000.0}, "low_hz is 5000.0 and high_hz 4000.0; they go from 0 to 4000.0"),
        ({"mels": 200}, "200 mels are too many for frames of 200 samples"),
        ({"floor": 0.0}, "floor is above 0"),
        ({"mels": 10, "frame_length": 3000}, "the signal has 2000 samples, a frame 3000"),
    ],
)
def test_spectrograms_that_make_no_sense_are_refused(options, message):
    with pytest.raises(zoo.InputError, match=message):
        zoo.create_model("resnet20", input_shape=(2000, 1), spectrogram={"sample_rate": 8000} | options)
    with pytest.raises(zoo.InputError, match="the signal has 2 channels; a spectrogram takes one"):
        zoo.create_model("resnet20", input_shape=(2000, 2), spectrogram={"sample_rate": 8000})
    with pytest.raises(zoo.InputError, match="a spectrogram is of signals"):
        zoo.create_model("resnet20", spectrogram={"sample_rate": 8000})


def test_weights_of_the_spectrogram_are_not_pruned(model):
    names = prunable_layers(model)
    assert names
    assert not [name for name in names if "spectrogram" in name]
