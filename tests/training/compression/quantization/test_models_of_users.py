"""Models as users write them are trained for integers like those of stock layers, or refused with a remedy."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers, ops

from pocketzoo import training, zoo
from pocketzoo.layers import FakeQuantize
from pocketzoo.training.compression.quantization.rewriting import quantized_model


class Gain(layers.Layer):
    """A custom layer with weights of its own."""

    def build(self, shape):
        self.gain = self.add_weight(shape=(shape[-1],), initializer="ones", name="gain")

    def call(self, tensor):
        return tensor * self.gain


BY_CHANNEL = np.linspace(0.5, 2, 8).astype("float32")
SAME = {
    "sum": (lambda x, y: x + y, lambda x, y: layers.Add()([x, y])),
    "difference": (lambda x, y: ops.subtract(x, y), lambda x, y: layers.Subtract()([x, y])),
    "product": (lambda x, y: x * ops.sigmoid(y), lambda x, y: layers.Multiply()([x, layers.Activation("sigmoid")(y)])),
    "relu": (lambda x, y: ops.relu(x + y), lambda x, y: layers.ReLU()(layers.Add()([x, y]))),
    "leaky": (lambda x, y: ops.leaky_relu(x, 0.3), lambda x, y: layers.LeakyReLU(0.3)(x)),
    "joined": (lambda x, y: ops.concatenate([x, y], -1), lambda x, y: layers.Concatenate()([x, y])),
    "scaled": (lambda x, y: 1 - x / 3, lambda x, y: layers.Rescaling(-1 / 3, 1.0)(x)),
    "by channel": (lambda x, y: x * BY_CHANNEL, lambda x, y: layers.Rescaling(BY_CHANNEL.tolist())(x)),
    "clipped": (lambda x, y: ops.clip(x, 0, 6), lambda x, y: layers.ReLU(6.0)(x)),
    "pooled": (lambda x, y: ops.max_pool(x, 2), lambda x, y: layers.MaxPooling2D(2)(x)),
    "padded": (lambda x, y: ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), lambda x, y: layers.ZeroPadding2D(1)(x)),
}
"""An expression of operators, and the layers that it equals."""


def net(join, first=lambda image: layers.Rescaling(1 / 255)(image), dtype=None) -> keras.Model:
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", bias_initializer="uniform", dtype=dtype)(first(image))
    y = layers.Conv2D(8, 1, dtype=dtype)(x)
    x = layers.GlobalAveragePooling2D()(join(x, y))
    return keras.Model(image, layers.Dense(3, activation="softmax", dtype=dtype)(x), name="net")


def observed(model: keras.Model, **arguments) -> keras.Model:
    quantized = quantized_model(model, 8, **arguments)
    for _ in range(3):
        quantized(images(), training=True)
    return quantized


def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3)).astype("float32")


def difference(model: keras.Model, **arguments) -> float:
    """From the float model, as a share of the range of the outputs."""
    expected, actual = model(images()).numpy(), observed(model, **arguments)(images()).numpy()
    return float(np.abs(actual - expected).max() / np.ptp(expected))


@pytest.mark.parametrize("operators", SAME)
def test_operators_are_quantized_like_the_layers_that_they_equal(operators):
    ours, theirs = (observed(net(join)) for join in SAME[operators])
    np.testing.assert_allclose(ours(images()), theirs(images()), atol=1e-5)
    counts = [sum(isinstance(layer, FakeQuantize) for layer in one.layers) for one in (ours, theirs)]
    assert counts[0] == counts[1]


FIRST = {
    "negative scale": layers.Rescaling(-1 / 255),
    "constants of shape (1, 1, 3)": layers.Rescaling(np.full((1, 1, 3), 0.01), np.full((1, 1, 3), -0.5)),
    "Normalization": layers.Normalization(mean=[100.0, 120.0, 140.0], variance=[2000.0, 3000.0, 4000.0]),
    "operators": lambda image: (image - 127.5) / 127.5,
}


@pytest.mark.parametrize("first", FIRST)
def test_any_first_scaling_is_quantized(first):
    assert difference(net(lambda x, y: x + y, FIRST[first])) < 0.1


def test_normalization_of_the_last_axis_written_otherwise_is_folded():
    def random_norm(x, y):
        norm = layers.BatchNormalization(axis=3)
        x = norm(y)
        norm.set_weights([np.random.default_rng(0).uniform(0.5, 1.5, weight.shape) for weight in norm.get_weights()])
        return x

    assert difference(net(random_norm)) < 0.1


@pytest.mark.parametrize("axis", [1, 2, -2])
def test_normalization_of_another_axis_is_refused(axis):
    norm = layers.BatchNormalization(axis=axis, name="rows")
    with pytest.raises(zoo.InputError, match=rf"no rule for rows \(BatchNormalization of axis {axis}\)"):
        quantized_model(net(lambda x, y: norm(x)), 8)


def test_augmentation_inside_a_model_does_nothing_in_integers():
    def first(image):
        return layers.Rescaling(1 / 255)(layers.RandomFlip("vertical")(layers.RandomContrast(0.1)(image)))

    assert difference(net(lambda x, y: x, first)) < 0.1


@pytest.mark.parametrize(
    "part",
    [
        Gain(name="own"),
        layers.Lambda(lambda tensor: tensor * 2, name="own"),
        layers.SeparableConv2D(4, 3, name="own", data_format="channels_first"),
        layers.SeparableConv2D(4, 3, name="own", activation="selu"),
        layers.Resizing(4, 4, interpolation="bicubic", name="own"),
        layers.Resizing(4, 4, pad_to_aspect_ratio=True, name="own"),
        layers.RandomCrop(4, 4, name="own"),
        layers.Conv2D(4, 3, activation=lambda tensor: tensor * 2, name="own"),
        layers.Conv2D(4, 3, activation=layers.LeakyReLU(0.3), name="own"),
        layers.Conv2D(4, 3, name="own", data_format="channels_first"),
    ],
)
def test_layer_without_a_rule_is_refused_with_a_remedy(part):
    with pytest.raises(
        zoo.InputError, match=r"no rule for own \(.*replace it by .* or export the model with calibration"
    ):
        quantized_model(net(lambda x, y: part(x)), 8)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_model_of_mixed_precision_is_trained_in_float32(dtype):
    keras.config.set_dtype_policy(dtype)
    try:
        model = net(lambda x, y: ops.relu(x + y))
        quantized = observed(model)
        assert keras.config.dtype_policy().name == dtype
    finally:
        keras.config.set_dtype_policy("float32")
    assert {layer.compute_dtype for layer in quantized.layers} == {"float32"}
    np.testing.assert_allclose(quantized(images()), model(images()), atol=0.02)


def test_augmentation_in_the_model_goes_on_in_quantization_aware_training():
    quantized = quantized_model(net(lambda x, y: x + y, first=layers.RandomFlip("vertical", name="flip")), 8)
    assert isinstance(quantized.get_layer("flip"), layers.RandomFlip)


def test_every_input_is_rounded_to_its_own_range():
    keras.utils.set_random_seed(0)
    image, facts = keras.Input((8, 8, 3), name="photo"), keras.Input((5,), name="facts")
    x = layers.Flatten()(layers.Conv2D(4, 3)(layers.Rescaling(1 / 255)(image)))
    model = keras.Model({"photo": image, "facts": facts}, layers.Dense(3)(layers.Concatenate()([x, facts])))
    quantized = quantized_model(model, 8)
    values = {"photo": images(), "facts": np.random.default_rng(1).normal(0, 3, (8, 5)).astype("float32")}
    for _ in range(3):
        quantized(values, training=True)
    expected = model(values).numpy()
    assert np.abs(quantized(values).numpy() - expected).max() < 0.05 * np.ptp(expected)


def test_range_of_the_pixels_can_be_stated():
    model = net(lambda x, y: x + y, first=lambda image: image)
    grid = next(
        layer for layer in quantized_model(model, 8, pixels=(0.0, 1.0)).layers if isinstance(layer, FakeQuantize)
    )
    assert (float(grid.minimum), float(grid.maximum)) == (0.0, 1.0)


def test_stated_pixels_are_the_range_of_the_image():
    """With the grid of 0..255, all fractions would be rounded to 0 or 1."""
    pixels = np.random.default_rng(0).uniform(0, 1, (24, 8, 8, 3)).astype("float32")
    data = training.from_arrays(pixels, np.arange(24) % 3, labels=list("abc"))
    recipe = training.Recipe(epochs=1, batch_size=12, augmentation="none")
    model = net(lambda x, y: x + y, first=lambda image: image)
    quantized = training.quantize_aware(model, data, recipe, pixels="0..1", verbose=False).model
    grid = next(layer for layer in quantized.layers if isinstance(layer, FakeQuantize))
    assert (float(grid.minimum), float(grid.maximum)) == (0.0, 1.0)


def test_weights_of_reduced_precision_are_refused():
    pixels = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3)).astype("uint8")
    data = training.from_arrays(pixels, np.arange(12) % 3, labels=list("abc"))
    with pytest.raises(zoo.InputError, match=r"net has weights of bfloat16, first .*mixed_bfloat16"):
        training.quantize_aware(net(lambda x, y: x + y, dtype="bfloat16"), data, verbose=False)


@pytest.mark.every_card  # takes half a minute; test_process_patches.py has the limit itself
def test_net_of_hundreds_of_layers_is_quantized_and_loaded(tmp_path):
    image = keras.Input((2, 2, 1))
    x = layers.Rescaling(1 / 255)(image)
    for _ in range(400):  # Keras follows a graph by nested calls, of which Python allows 1000
        x = layers.ReLU()(layers.DepthwiseConv2D(1)(x))
    deep = quantized_model(keras.Model(image, layers.Dense(2)(layers.Flatten()(x))), 8)
    assert len(deep.layers) > 1000
    zoo.save_model(deep, tmp_path / "deep.keras")
    loaded = subprocess.run(
        [sys.executable, "-c", f"from pocketzoo import zoo; zoo.load_model({str(tmp_path / 'deep.keras')!r})"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert loaded.returncode == 0, loaded.stderr
