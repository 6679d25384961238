"""Models for pixels of other ranges than 0..255: trained, adapted, saved, evaluated and exported."""

import keras
import numpy as np
import pytest

from pocketzoo import training, zoo
from pocketzoo.training.data.pipeline import evaluation_batches, training_batches
from pocketzoo.zoo.contract import contract_of


def shades(dtype, channels=1, high=4095):
    """Dark and light noise of two classes."""
    random = np.random.default_rng(0)
    classes = np.arange(60) % 2
    pixels = random.random((60, 32, 32, channels)) * 0.3 + 0.6 * classes[:, None, None, None]
    return (pixels * high).astype(dtype), classes


@pytest.fixture(scope="module")
def deep():
    return training.from_arrays(*shades("uint16", 5), pixel_range=(0, 4095))


@pytest.fixture(scope="module")
def adapted(deep):
    model = zoo.create_model("lenet5", head=deep.task, labels=deep.labels, input_shape=deep.image_shape)
    training.adapt_normalization(model, deep)
    return model


@pytest.mark.parametrize(
    "augmentation", [[{"name": "color"}], "strong", pytest.param("randaugment", marks=pytest.mark.every_card)]
)
def test_batches_are_mapped_to_raw_pixels_and_keep_their_digits(deep, augmentation):
    images = np.concatenate([batch.numpy() for batch, _ in evaluation_batches(deep.train, 8)])
    np.testing.assert_allclose(images * (4095 / 255), deep.train.arrays()[0], atol=1e-3)
    recipe = training.Recipe(epochs=1, batch_size=8, augmentation=augmentation)
    changed = np.concatenate([batch.numpy() for batch, _ in training_batches(deep.train, recipe)])
    assert changed.min() >= 0
    assert changed.max() <= 255
    assert not np.isin(changed, images).all()


def test_adapted_layer_whitens_the_training_pixels(deep, adapted):
    pixels = deep.train.arrays()[0].astype("float32")
    normalized = adapted.get_layer("pixels")(pixels).numpy()
    np.testing.assert_allclose(normalized.mean(axis=(0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(normalized.std(axis=(0, 1, 2)), 1, atol=1e-4)
    assert contract_of(adapted).pixels == (0, 4095)


def test_model_of_sixteen_bits_trains_and_keeps_its_range_in_files(deep, adapted, tmp_path):
    result = training.fit(adapted, deep, training.Recipe(epochs=4, batch_size=16, augmentation="none"), verbose=False)
    evaluation = training.evaluate(result.model, deep)
    assert evaluation.accuracy == 1
    zoo.save_model(result.model, tmp_path / "model.keras")
    loaded = zoo.load_model(tmp_path / "model.keras")
    assert contract_of(loaded).pixels == (0, 4095)
    assert training.evaluate(loaded, deep).loss == pytest.approx(evaluation.loss)


def test_range_of_floats_trains_the_same_as_raw_pixels():
    pixels, classes = shades("uint8", 3, high=255)
    raw = training.from_arrays(pixels, classes)
    unit = training.from_arrays((pixels / 255).astype("float32"), classes, pixel_range=(0, 1))
    sums = [
        sorted(
            image.sum()
            for split in (data.train, data.validation, data.test)
            for batch, _ in evaluation_batches(split, 8)
            for image in batch.numpy()
        )
        for data in (raw, unit)
    ]
    np.testing.assert_allclose(*sums, rtol=1e-5)


def test_scaling_to_the_range_of_the_model_is_told(deep):
    model = zoo.create_model("lenet5", head=deep.task, labels=deep.labels, input_shape=deep.image_shape)
    with pytest.warns(UserWarning, match=r"takes pixels of 0\.\.255, to which those of arrays, 0\.\.4095, are scaled"):
        training.evaluate(model, deep)


def test_data_of_another_range_than_an_adapted_model_is_refused(deep, adapted):
    dark = training.from_arrays(deep.train.arrays()[0] // 8, deep.train.labels, pixel_range=(0, 1023))
    with pytest.raises(zoo.InputError, match=r"takes pixels of 0\.\.4095, but arrays has 0\.\.1023; load"):
        training.evaluate(adapted, dark)


def test_model_that_scales_nothing_takes_the_range_of_the_data(deep):
    layers = [keras.Input((32, 32, 5)), keras.layers.Flatten(), keras.layers.Dense(2, activation="softmax")]
    model = keras.Sequential(layers)
    data = training.from_arrays(shades("float32", 5, high=1)[0], deep_classes(), pixel_range=(0, 1))
    found = training.evaluate(model, data)
    assert contract_of(model).pixels == (0, 1)
    images, classes = data.test.arrays()
    assert found.accuracy == (model.predict(images, verbose=0).argmax(axis=1) == classes).mean()


def deep_classes():
    return np.arange(60) % 2


@pytest.mark.filterwarnings("ignore:Pixels are", "ignore:lenet5 takes")
def test_arrays_of_floats_are_evaluated_as_those_of_raw_pixels():
    pixels, classes = shades("uint8", 3, high=255)
    model = zoo.create_model("lenet5", labels=["0", "1"], classes=2, input_shape=(32, 32, 3))
    raw, unit = (training.evaluate(model, (images, classes)) for images in (pixels, pixels / 255))
    assert raw.loss == pytest.approx(unit.loss, rel=1e-4)


def test_models_without_the_layer_and_of_other_channels_are_refused(deep):
    with pytest.raises(zoo.InputError, match=r"takes 3 channels, but arrays has 5"):
        training.adapt_normalization(zoo.create_model("lenet5", input_shape=(32, 32, 3)), deep)
    with pytest.raises(zoo.InputError, match="has no PixelNormalization"):
        training.adapt_normalization(zoo.flatten_model(zoo.create_model("lenet5", input_shape=(32, 32, 3))), deep)
