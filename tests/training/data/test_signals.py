"""Signals as data: from arrays to trained models, evaluations and pictures, by the same verbs as images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.signals import narrow_net

from pocketzoo import export, training, zoo
from pocketzoo.training.data.folds import folds_of
from pocketzoo.training.data.pipeline import augmented_images
from pocketzoo.training.data.signal_pictures import HEIGHT, as_pictures
from pocketzoo.training.data.splitting import ordered_folds

LENGTH = 24
NAMES = ["slow", "fast"]


def tones(count, seed=0):
    """Sine waves of two frequencies, and which."""
    random, classes = np.random.default_rng(seed), np.arange(count) % 2
    time = np.linspace(0, 2 * np.pi, LENGTH)[None, :, None]
    signals = np.sin((1 + 4 * classes)[:, None, None] * time + random.uniform(0, 6, (count, 1, 1)))
    return (random.uniform(0.4, 0.9, (count, 1, 1)) * signals).astype("float32"), classes


@pytest.fixture(scope="module")
def data():
    return training.from_signals(*tones(160), labels=NAMES)


@pytest.fixture(scope="module")
def trained(data):
    model = zoo.create_model("resnet20", blocks=1, input_shape=data.image_shape, labels=data.labels)
    recipe = training.Recipe(epochs=6, batch_size=16, augmentation="signal", optimizer={"name": "adam", "lr": 3e-3})
    training.fit(model, data, recipe, verbose=False)
    return model


def test_signals_are_split_as_images_are_and_have_the_range_of_sound(data):
    assert (data.image_shape, data.pixel_range, data.labels) == ((LENGTH, 1), (-1, 1), tuple(NAMES))
    assert (len(data.train), len(data.validation), len(data.test)) == (112, 16, 32)
    flat = training.from_signals(tones(60)[0][..., 0], tones(60)[1])  # one channel without an axis
    assert flat.image_shape == (LENGTH, 1)


def test_model_learns_signals_and_is_evaluated_on_splits_arrays_and_files(data, trained, tmp_path):
    assert training.evaluate(trained, data).accuracy > 0.9
    assert training.evaluate(trained, tones(40, seed=1)).accuracy > 0.9
    export.export_model(
        trained, tmp_path / "bundle", targets=["mobile-gpu"], calibration=data.train, evaluation=data.test
    )
    artifact = export.load_artifact(tmp_path / "bundle" / "resnet20-fp16.tflite")
    assert training.evaluate(artifact, data.test).accuracy == training.evaluate(trained, data.test).accuracy


def test_arrays_are_signals_for_a_model_of_signals_and_gray_images_for_one_of_images():
    signals, classes = tones(60)
    split = training.as_data((signals, classes), zoo.create_model("lenet5", input_shape=(LENGTH, 1), classes=2))
    assert split.image_shape == (LENGTH, 1)
    images = training.as_data((np.repeat(signals, LENGTH, axis=2), classes))
    assert images.image_shape == (LENGTH, LENGTH, 1)


def test_other_ranges_are_said_and_a_model_takes_them_after_adaptation(data):
    signals, classes = tones(120)
    with pytest.warns(UserWarning, match=r"The signals go from .* to .*; state value_range"):
        wide = training.from_signals(signals * 50 + 10, classes)
    model = zoo.create_model("resnet20", blocks=1, input_shape=wide.image_shape, classes=2)
    with pytest.warns(UserWarning, match="are scaled"):
        training.evaluate(model, wide)
    training.adapt_normalization(model, wide)
    layer = model.get_layer("pixels")
    assert layer.pixel_range == wide.pixel_range
    samples = wide.train.arrays()[0]
    np.testing.assert_allclose([layer.mean[0], 1 / layer.scale[0]], [samples.mean(), samples.std()], rtol=1e-3)
    training.evaluate(model, wide)  # no warning: the range in use is the new one


def test_samples_of_a_segmentation_move_with_their_signal():
    signals, _ = tones(60)
    classes = (signals[..., 0] > 0).astype("int32")
    data = training.from_signals(signals, classes, task="segmentation", labels=["down", "up"])
    recipe = training.Recipe(augmentation=[{"name": "translate", "width": 0.4}, {"name": "flip"}])
    shown, moved = augmented_images(data.train, recipe, np.arange(20), epoch=0)
    assert (shown.shape, moved.shape) == ((20, LENGTH, 1), (20, LENGTH))
    assert np.mean((shown[..., 0] > 127.5) == moved) > 0.93  # all but samples at the edge of a wave
    assert np.mean(data.train.arrays()[1][:20] == moved) < 0.9
    model = zoo.create_model(
        "unet_same", widths=(4, 8), input_shape=data.image_shape, labels=data.labels, head="segmentation"
    )
    training.fit(model, data, training.Recipe(epochs=1, batch_size=16), verbose=False)
    assert training.evaluate(model, data).confusion.sum() == len(data.test) * LENGTH


def test_noise_and_scale_depend_on_the_signal_not_on_its_batch(data):
    recipe = training.Recipe(augmentation="signal")
    together, _ = augmented_images(data.train, recipe, np.arange(8), epoch=0)
    alone, _ = augmented_images(data.train, recipe, np.arange(1), epoch=0)
    np.testing.assert_allclose(together[:1], alone, atol=1e-4)
    quiet = training.Recipe(augmentation=[{"name": "noise", "deviation": 0.1}])
    noisy = augmented_images(data.train, quiet, np.arange(64), epoch=0)[0]
    assert 0 < (noisy - 127.5 * (data.train.images.take(np.arange(64)) + 1)).std() < 255 * 0.1


def test_reports_and_contact_sheets_draw_traces(data, trained, tmp_path):
    training.write_contact_sheet(data, tmp_path / "sheet.png", augmentation="signal")
    training.write_report(trained, data, tmp_path / "report")
    assert (tmp_path / "sheet.png").stat().st_size > 5_000
    assert (tmp_path / "report" / "worst.png").exists()
    assert training.survey(data).sizes["largest"] == (1, LENGTH)
    ramp = np.linspace(0, 255, HEIGHT).astype("uint8")[None, :, None]
    picture = as_pictures(ramp, 1)[0, ..., 0]
    assert picture.shape == (HEIGHT, HEIGHT)
    assert (picture[::-1].argmin(axis=0) <= np.arange(HEIGHT)).all()  # rises from the bottom left
    assert picture[-1, 0] == picture[0, -1] == 0


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda *_: training.from_signals(np.zeros((4, 3, 2, 2)), np.zeros(4)),
            r"take \(count, length, channels\)",
        ),
        (lambda *_: training.from_signals(np.full((4, 3), np.nan), np.zeros(4)), "no finite number"),
        (
            lambda data, net: training.fit(net, data, training.Recipe(augmentation="randaugment", batch_size=8)),
            "randaugment is for images, and the data has signals; 'signal' is for them",
        ),
        (
            lambda data, net: training.evaluate(net, data, test_time_augmentation="flip"),
            "test_time_augmentation moves images",
        ),
        (
            lambda data, _: training.evaluate(narrow_net("lenet5"), data),
            r"takes signals \(length, channels\) of \(16, 2\), but the data has",
        ),
        (
            lambda data, _: training.evaluate(zoo.create_model("lenet5"), data),
            r"takes images \(height, width, channels\) of .*, but the data has \(24, 1\)",
        ),
    ],
)
def test_what_signals_cannot_be_used_for_is_refused_in_a_sentence(data, trained, act, message):
    with pytest.raises(zoo.InputError, match=message):
        act(data, trained)


def test_volumes_are_trained_without_augmentation(tmp_path):
    model = zoo.create_model("resnet20", blocks=1, widths=(2, 4, 4), input_shape=(8, 8, 8, 2), classes=3)
    volumes, classes = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 8, 2), "uint8"), np.arange(30) % 3
    recipe = training.Recipe(epochs=1, batch_size=8, augmentation="none")
    training.fit(model, (volumes, classes), recipe, verbose=False)
    assert training.evaluate(model, (volumes, classes)).images == 30
    with pytest.raises(zoo.InputError, match="augmentation translate is for images, and the data has volumes"):
        training.fit(model, (volumes, classes), training.Recipe(epochs=1, batch_size=8), verbose=False)


@given(st.integers(2, 8), st.integers(3, 60))
def test_folds_in_the_order_of_time_are_predicted_from_what_was_before_them(count, rows):
    if rows <= count:
        with pytest.raises(zoo.InputError, match="too few for"):
            ordered_folds(rows, count)
        return
    folds = ordered_folds(rows, count)
    assert len(folds) == count
    assert all(train[-1] + 1 == validation[0] for train, validation in folds)
    validated = np.concatenate([validation for _, validation in folds])
    np.testing.assert_array_equal(validated, np.arange(validated[0], rows))


def test_ordered_signals_keep_their_order_in_splits_and_folds():
    signals, classes = tones(60)
    signals[:, 0, 0] = np.linspace(-1, 1, 60)  # the time of each
    data = training.from_signals(signals, classes, ordered=True)
    times = [split.arrays()[0][:, 0, 0] for split in (data.train, data.validation, data.test)]
    assert list(map(len, times)) == [42, 6, 12]
    np.testing.assert_array_equal(np.concatenate(times), signals[:, 0, 0])
    for fold in folds_of(data, 3, seed=0):
        assert fold.train.arrays()[0][:, 0, 0].max() < fold.validation.arrays()[0][:, 0, 0].min()
        assert fold.validation.arrays()[0][:, 0, 0].max() < times[2].min()
    with pytest.raises(zoo.InputError, match="too few for train, validation and test"):
        training.from_signals(signals[:2], classes[:2], ordered=True)
