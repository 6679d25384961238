"""Operations become the stock layers that compute the same, and others stay."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from pocketzoo.core.operation_layers import layers_for_operations

pytestmark = pytest.mark.fast

BY_CHANNEL = np.arange(1, 5, dtype="float32")
EQUIVALENTS = {
    "Activation": [
        *(ops.relu, ops.relu6, ops.sigmoid, ops.tanh, ops.silu, ops.hard_sigmoid, ops.selu, ops.softplus, ops.softmax),
        keras.activations.gelu,
    ],
    "ReLU": [
        lambda x: keras.activations.relu(x, 0.1, 3.0, 0.2),
        lambda x: ops.clip(x, 0, 6),
        lambda x: ops.maximum(x, 0),
        lambda x: ops.maximum(0.0, x),
    ],
    "LeakyReLU": [lambda x: ops.leaky_relu(x, 0.3)],
    "ELU": [lambda x: ops.elu(x, 0.7)],
    "Rescaling": [
        *(lambda x: x + 1, lambda x: 1 - x, lambda x: x - 2, lambda x: 3 * x, lambda x: x / 255, lambda x: -x),
        *(
            lambda x: x * BY_CHANNEL,
            lambda x: ops.subtract(BY_CHANNEL, x),
            lambda x: x + BY_CHANNEL.reshape(1, 1, 1, 4),
        ),
        lambda x: ops.add(x1=x, x2=2.0),
    ],
    "Add": [lambda x: x + x],
    "Subtract": [lambda x: x - x[:, ::-1]],
    "Multiply": [lambda x: x * ops.mean(x, axis=(1, 2), keepdims=True)],
    "Concatenate": [lambda x: ops.concatenate([x, x], axis=-1), lambda x: ops.concatenate([x, x], axis=1)],
    "Reshape": [lambda x: ops.reshape(x, (-1, 256)), lambda x: ops.reshape(x, (-1, 64, 4))],
    "ZeroPadding2D": [lambda x: ops.pad(x, ((0, 0), (1, 0), (0, 2), (0, 0)))],
    "Cropping2D": [lambda x: x[:, 1:-1, 2:]],
    "MaxPooling2D": [lambda x: ops.max_pool(x, 2)],
    "AveragePooling2D": [lambda x: ops.average_pool(x, (3, 2), 2, "same")],
    "GlobalAveragePooling2D": [lambda x: ops.mean(x, (1, 2)), lambda x: ops.mean(x, [-3, -2], keepdims=True)],
    "GlobalMaxPooling2D": [lambda x: ops.max(x, axis=(1, 2))],
    "UpSampling2D": [lambda x: ops.image.resize(x, (16, 8)), lambda x: ops.image.resize(x, (16, 16), "nearest")],
}
"""By the layer that the last operation becomes."""
OTHERS = [
    *(ops.gelu, lambda x: ops.softmax(x, axis=1), lambda x: 1 / (x + 20), lambda x: ops.maximum(x, 1.0)),
    *(lambda x: ops.clip(x, -1, 6), lambda x: x + np.ones((8, 8, 4), "float32"), lambda x: x[..., :2]),
    *(lambda x: ops.reshape(x, (-1, 4)), lambda x: ops.pad(x, ((0, 0), (1, 0), (0, 2), (0, 0)), mode="reflect")),
    *(
        lambda x: ops.pad(x, ((0, 0), (1, 0), (0, 2), (0, 0)), constant_values=3.0),
        lambda x: x[:, ::2],
        lambda x: x[:, 0],
    ),
    *(lambda x: ops.mean(x, -1), lambda x: ops.max(x, 1), lambda x: ops.image.resize(x, (12, 8)), ops.abs),
]


def compared(function) -> keras.Operation:
    """The last operation of the rewritten model, whose outputs equal those of the original."""
    image = keras.Input((8, 8, 4))
    model = keras.Model(image, function(image))
    rewritten = layers_for_operations(model)
    images = np.random.default_rng(0).normal(0, 3, (2, 8, 8, 4)).astype("float32")
    np.testing.assert_allclose(rewritten(images), model(images), rtol=1e-5, atol=1e-5)
    assert rewritten.output.dtype == model.output.dtype
    assert [one.name for one in rewritten.operations][1:] == [one.name for one in model.operations][1:]
    return rewritten.operations[-1]


@pytest.mark.parametrize(
    ("kind", "function"), [pytest.param(kind, one, id=kind) for kind, all_ in EQUIVALENTS.items() for one in all_]
)
def test_operation_becomes_the_layer_that_computes_the_same(kind, function):
    assert type(compared(function)).__name__ == kind


@pytest.mark.parametrize("function", OTHERS)
def test_operation_without_an_equal_layer_stays(function):
    assert not isinstance(compared(function), keras.Layer)


def test_half_precision_is_kept():
    image = keras.Input((8, 8, 4), dtype="float16")
    rewritten = layers_for_operations(keras.Model(image, ops.relu(image + 1)))
    assert rewritten(np.ones((1, 8, 8, 4), "float16")).dtype == "float16"


def test_layers_are_shared():
    image = keras.Input((8, 8, 4))
    convolution = layers.Conv2D(4, 3)
    rewritten = layers_for_operations(keras.Model(image, ops.relu(convolution(image))))
    assert rewritten.layers[1] is convolution
