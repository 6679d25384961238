"""Every verb on models of every form."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from pocketzoo import export, training, zoo

RECIPE = training.Recipe(epochs=1, batch_size=8, augmentation="none", precision="float32")


class Block(layers.Layer):
    """A custom layer made of layers."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(filters, 3, padding="same", name="conv")
        self.norm = layers.BatchNormalization(name="norm")

    def build(self, shape):
        self.conv.build(shape)
        self.norm.build((*shape[:-1], self.conv.filters))

    def call(self, inputs, training=None):
        return ops.relu(self.norm(self.conv(inputs), training=training))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="subclassed")
        self.scale, self.first, self.second = layers.Rescaling(1 / 255), Block(16), Block(16)
        self.pool, self.scores = layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax")

    def call(self, inputs, training=None):
        maps = self.second(self.first(self.scale(inputs), training=training), training=training)
        return self.scores(self.pool(maps))


def subclassed():
    model = Subclassed()
    model(np.zeros((1, 16, 16, 3)))
    return model


def sequential():
    parts = [keras.Input((16, 16, 3)), layers.Rescaling(1 / 255), layers.Conv2D(16, 3, activation="relu")]
    parts += [layers.Conv2D(16, 3), layers.BatchNormalization(), layers.ReLU(), layers.GlobalAveragePooling2D()]
    return keras.Sequential([*parts, layers.Dense(3, activation="softmax")], name="sequential")


def nested():
    base, top = sequential(), keras.Sequential([keras.Input((3,)), layers.Dense(3, activation="softmax")], name="top")
    return keras.Sequential([keras.Input((16, 16, 3)), base, top], name="nested")


VERBS = {
    "fit": lambda model, data: training.fit(model, data, RECIPE, verbose=False),
    "prune": lambda model, data: training.prune(model, data, RECIPE, verbose=False),
    "cluster": lambda model, data: training.cluster(model, data, RECIPE, clusters=4, verbose=False),
    "distill": lambda model, data: training.distill(model, sequential(), data, RECIPE, verbose=False),
    "quantize_aware": lambda model, data: training.quantize_aware(model, data, RECIPE, verbose=False),
    "prune_channels": lambda model, data: training.prune_channels(model, budget="macs:0.7", round_to=1),
    "evaluate": lambda model, data: training.evaluate(model, data),
    "predict": lambda model, data: export.predict(model, data.test.arrays()[0]),
    "benchmark": lambda model, data: export.benchmark(model, runs=3),
}


@pytest.fixture(scope="module")
def data():
    images = np.random.default_rng(0).integers(0, 256, (48, 16, 16, 3)).astype("uint8")
    return training.from_arrays(images, np.arange(48) % 3, labels=list("abc"))


@pytest.mark.parametrize(
    "make", [subclassed, *(pytest.param(m, marks=pytest.mark.every_card) for m in (sequential, nested))]
)
def test_every_verb_takes_the_model(make, data):
    for verb in VERBS.values():
        model = make()
        model.compile("adam", "sparse_categorical_crossentropy")
        optimizer = model.optimizer
        result = verb(model, data)
        assert model.optimizer is optimizer
        if isinstance(result, training.RunResult) and result.model is not model:
            assert result.model.name.startswith(model.name)  # a new model, such as that of quantize_aware


@pytest.mark.parametrize("make", [subclassed, nested])
def test_model_is_exported(make, tmp_path):
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)  # of all colors: on noise alone, outputs of some random nets hardly vary
    images = (random.uniform(0, 255, (24, 1, 1, 3)) * random.uniform(0.5, 1, (24, 16, 16, 1))).astype("uint8")
    assert export.export_model(make(), tmp_path / "bundle", pixels="0..255", evaluation=images).passed


def test_trained_subclassed_model_is_the_one_that_was_passed_in(data):
    model = subclassed()
    before = model.first.conv.kernel.numpy()
    assert training.fit(model, data, RECIPE, verbose=False).model is model
    assert not np.array_equal(model.first.conv.kernel, before)


def test_saved_model_is_computed_with_and_not_trained(data, tmp_path):
    sequential().export(tmp_path / "folder", verbose=False)
    model = zoo.load_model(tmp_path / "folder")
    training.evaluate(model, data, from_logits=False)
    with pytest.raises(zoo.InputError, match="folder is a SavedModel, of which only the function is known; fit needs"):
        training.fit(model, data, RECIPE, verbose=False)
