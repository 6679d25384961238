"""The rules of pruning for XNNPACK, compared with those of TF-MOT."""

import keras
import pytest
from support.cards import narrow_model

from pocketzoo import training, zoo
from pocketzoo.training.compression.weights.layer_selection import prunable_layers, select_layers


def selected_for_xnnpack(model: keras.Model) -> list[str]:
    return list(select_layers(model, training.Sparsity(policy="xnnpack")))


def sparse_net(library, *, block=lambda layers, x: x, strides=1, end="GlobalAveragePooling2D"):
    """A small model of `keras` or `tf_keras` with every layer that XNNPACK supports, and `block` in its middle."""
    layers = library.layers
    image = library.Input((16, 16, 3))
    x = layers.ZeroPadding2D(1, name="pad")(layers.Rescaling(1 / 255, name="pixels")(image))
    x = layers.ReLU(6.0, name="stem_relu")(layers.Conv2D(8, 3, strides=2, name="stem")(x))
    expanded = layers.Conv2D(16, 1, name="expand")(x)
    expanded = layers.BatchNormalization(name="norm")(expanded)
    expanded = layers.Activation("relu", name="relu")(expanded)
    expanded = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(expanded)
    squeezed = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(expanded)
    gate = layers.Conv2D(16, 1, activation="sigmoid", name="gate")(squeezed)
    x = layers.Add(name="sum")(
        [x, layers.Conv2D(8, 1, name="project")(layers.Multiply(name="scale")([expanded, gate]))]
    )
    x = layers.ZeroPadding2D(2, name="wide_pad")(block(layers, x))
    x = layers.DepthwiseConv2D(5, strides=2, name="wide")(x)
    x = layers.Conv2D(8, 1, strides=strides, name="last")(x)
    x = getattr(layers, end)(name="end")(x)
    return library.Model(image, layers.Dense(2, name="dense")(x))


BLOCKS = {
    "nothing": {},
    "leaky": {"block": lambda layers, x: layers.LeakyReLU(name="block")(x)},
    "dropout": {"block": lambda layers, x: layers.Dropout(0.5, name="block")(x)},
    "tanh": {"block": lambda layers, x: layers.Activation("tanh", name="block")(x)},
    "3x3": {"block": lambda layers, x: layers.Conv2D(8, 3, padding="same", name="block")(x)},
    "groups": {"block": lambda layers, x: layers.Conv2D(8, 1, groups=2, name="block")(x)},
    "pooling": {"block": lambda layers, x: layers.MaxPooling2D(2, name="block")(x)},
    "uneven depthwise": {
        "block": lambda layers, x: layers.DepthwiseConv2D(3, strides=2, padding="same", name="block")(x)
    },
    "bare depthwise": {"block": lambda layers, x: layers.DepthwiseConv2D(3, name="block")(x)},
    "dilation": {
        "block": lambda layers, x: layers.DepthwiseConv2D(3, dilation_rate=2, padding="same", name="block")(x)
    },
    "nearest": {"block": lambda layers, x: layers.UpSampling2D(interpolation="nearest", name="block")(x)},
    "bilinear": {"block": lambda layers, x: layers.UpSampling2D(interpolation="bilinear", name="block")(x)},
    "concatenation": {"block": lambda layers, x: layers.Concatenate(name="block")([x, x])},
    "strides": {"strides": 2},
    "maximum": {"end": "GlobalMaxPooling2D"},
}


@pytest.mark.parametrize("arguments", BLOCKS.values(), ids=BLOCKS)
def test_selected_and_refused_layers_equal_those_of_tfmot(arguments):
    import tensorflow_model_optimization as tfmot
    import tf_keras

    theirs, policy = sparse_net(tf_keras, **arguments), tfmot.sparsity.keras.PruneForLatencyOnXNNPack()
    try:
        policy.ensure_model_supports_pruning(theirs)
        names = [layer.name for layer in theirs.layers if policy.allow_pruning(layer)]
    except ValueError:
        names = None
    ours = sparse_net(keras, **arguments)
    if names is None:
        with pytest.raises(zoo.InputError, match="is not for policy xnnpack"):
            selected_for_xnnpack(ours)
    else:
        assert selected_for_xnnpack(ours) == names == ["expand", "gate", "project", "last"]


@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v3_small"])
def test_mobilenets_with_symmetric_padding_are_supported(name):
    model = narrow_model(name, padding="symmetric")
    kernels = {
        layer.name: layer.kernel_size for layer in prunable_layers(model).values() if hasattr(layer, "kernel_size")
    }
    names = selected_for_xnnpack(model)
    assert names
    assert {kernels[name] for name in names} == {(1, 1)}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mobilenet_v2", "create the model with padding='symmetric'"),
        ("resnet20", "its image does not go into a 3x3 convolution of 3 channels"),
    ],
)
def test_unsupported_models_are_refused(name, message):
    with pytest.raises(zoo.InputError, match=f"is not for policy xnnpack: .*{message}"):
        selected_for_xnnpack(narrow_model(name))


def test_unsupported_layer_is_named():
    image = keras.Input((16, 16, 3))
    stem = keras.layers.Conv2D(8, 3, strides=2)(keras.layers.ZeroPadding2D(1)(image))
    wide = keras.layers.Conv2D(8, 3, padding="same", name="wide")(stem)
    pooled = keras.layers.GlobalAveragePooling2D()(wide)
    model = keras.Model(image, keras.layers.Dense(2)(pooled))
    with pytest.raises(zoo.InputError, match=r"layer wide .Conv2D. has no kernel there"):
        selected_for_xnnpack(model)
