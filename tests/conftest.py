"""Fixtures that several folders share. Everything runs on real digits and real runtimes, without a network."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402 - before anything that imports TF-MOT
import numpy as np  # noqa: E402
import pytest  # noqa: E402
from pocketzoo import training, zoo  # noqa: E402


@pytest.fixture(scope="session")
def digits():
    return training.load_data("digits")


@pytest.fixture(scope="session")
def trained_file(digits, tmp_path_factory):
    """A LeNet-5 trained for a few seconds, as a file; tests that change a model load their own."""
    keras.utils.set_random_seed(0)
    model = zoo.create_model("lenet5", labels=digits.labels)
    training.fit(model, digits, training.Recipe(epochs=4), verbose=False)
    return zoo.save_model(model, tmp_path_factory.mktemp("trained") / "lenet5.keras")


@pytest.fixture
def trained(trained_file):
    return zoo.load_model(trained_file)


@pytest.fixture(scope="session")
def randomize_batch_norm():
    """Gives a net the statistics and gains of a trained one; fresh ones hide errors behind outputs that hardly vary."""

    def randomize(model: keras.Model, seed: int = 0) -> keras.Model:
        random = np.random.default_rng(seed)
        for layer in zoo.flatten_model(model).layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                for weight in layer.weights:
                    low, high = (0.5, 1.5) if weight.name in ("gamma", "moving_variance") else (-0.5, 0.5)
                    weight.assign(random.uniform(low, high, weight.shape))
        return model

    return randomize


@pytest.fixture(scope="session")
def pixels():
    """Random raw pixels of a shape (count, height, width, channels)."""

    def make(*shape: int, seed: int = 0) -> np.ndarray:
        return np.random.default_rng(seed).integers(0, 256, shape).astype("float32")

    return make
