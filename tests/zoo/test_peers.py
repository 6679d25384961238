"""Comparison with `keras.applications`: the same windows, and with the same weights the same feature maps."""

import math
import re
from collections import Counter
from functools import partial

import keras
import numpy as np
import pytest

from pocketzoo import zoo
from pocketzoo.core.keras_private import without_values

_applications = keras.applications
PEERS = {
    "densenet121": _applications.DenseNet121,
    "densenet169": _applications.DenseNet169,
    "densenet201": _applications.DenseNet201,
    "efficientnet_b0": _applications.EfficientNetB0,
    "efficientnet_b1": _applications.EfficientNetB1,
    "efficientnet_b2": _applications.EfficientNetB2,
    "efficientnet_b3": _applications.EfficientNetB3,
    "efficientnet_b4": _applications.EfficientNetB4,
    "efficientnet_b5": _applications.EfficientNetB5,
    "efficientnet_b6": _applications.EfficientNetB6,
    "efficientnet_b7": _applications.EfficientNetB7,
    "inception_resnet_v2": _applications.InceptionResNetV2,
    "inception_v3": _applications.InceptionV3,
    "mobilenet_v1": _applications.MobileNet,
    "mobilenet_v1_025": partial(_applications.MobileNet, alpha=0.25),
    "mobilenet_v1_050": partial(_applications.MobileNet, alpha=0.5),
    "mobilenet_v1_075": partial(_applications.MobileNet, alpha=0.75),
    "mobilenet_v2": _applications.MobileNetV2,
    "mobilenet_v2_035": partial(_applications.MobileNetV2, alpha=0.35),
    "mobilenet_v2_050": partial(_applications.MobileNetV2, alpha=0.5),
    "mobilenet_v2_075": partial(_applications.MobileNetV2, alpha=0.75),
    "mobilenet_v2_130": partial(_applications.MobileNetV2, alpha=1.3),
    "mobilenet_v2_140": partial(_applications.MobileNetV2, alpha=1.4),
    "mobilenet_v3_large": _applications.MobileNetV3Large,
    "mobilenet_v3_large_minimalistic": partial(_applications.MobileNetV3Large, minimalistic=True),
    "mobilenet_v3_small": _applications.MobileNetV3Small,
    "mobilenet_v3_small_minimalistic": partial(_applications.MobileNetV3Small, minimalistic=True),
    "resnet50v1": _applications.ResNet50,
    "resnet101v1": _applications.ResNet101,
    "resnet152v1": _applications.ResNet152,
    "resnet50v2": _applications.ResNet50V2,
    "resnet101v2": _applications.ResNet101V2,
    "resnet152v2": _applications.ResNet152V2,
    "vgg16": _applications.VGG16,
    "vgg19": _applications.VGG19,
    "xception": _applications.Xception,
}


# One model of each family, at a size that reveals padding differences; the zoo's first layer outputs -1..1.
SAME_NUMBERS = {
    "densenet121": 64,
    "efficientnet_b0": 64,
    "inception_resnet_v2": 107,
    "inception_v3": 107,
    "mobilenet_v1_025": 64,
    "mobilenet_v2_035": 80,
    "mobilenet_v3_large": 80,
    "mobilenet_v3_large_minimalistic": 64,
    "mobilenet_v3_small": 64,
    "resnet50v1": 70,
    "resnet50v2": 70,
    "xception": 75,
}


def by_kind() -> list:
    """Every model; test_published_figures.py counts weights and multiply-adds of those marked `every_card`, too."""
    first = (*SAME_NUMBERS, "vgg16")
    marks = {name: [] if name in first else [pytest.mark.every_card] for name in PEERS}
    return [pytest.param(name, marks=[pytest.mark.xdist_group(name), *marks[name]]) for name in PEERS]


@pytest.mark.parametrize("name", by_kind())
def test_windows_and_parameters_match_the_peer_model(name):
    keras.backend.clear_session()
    with without_values():
        ours, peer = zoo.create_model(name), PEERS[name](weights=None)
    assert windows(ours) == windows(peer)
    idle = sum(
        layer.bias.shape[0]
        for layer in peer.layers
        if isinstance(layer, keras.layers.Conv2D) and layer.use_bias and feeds_a_norm(layer)
    )
    assert count(peer.trainable_weights) - count(ours.trainable_weights) == idle


THEIR_PIXELS = {"efficientnet_b0": lambda x: x * 255}
THEIR_PIXELS |= {name: lambda x: (x + 1) * 127.5 for name in SAME_NUMBERS if name.startswith("mobilenet_v3")}


def same_numbers() -> list:
    """One model of each family; test_keras_weights.py compares the outputs of those marked `every_card`.

    The largest takes 0.3 GB, too.
    """
    first = ("mobilenet_v3_large", "mobilenet_v3_large_minimalistic")
    marks = {name: [] if name in first else [pytest.mark.every_card] for name in SAME_NUMBERS}
    return [pytest.param(name, marks=[pytest.mark.xdist_group(name), *marks[name]]) for name in SAME_NUMBERS]


@pytest.mark.parametrize("name", same_numbers())
def test_last_feature_map_matches_the_peer_with_its_weights(name, pixels):
    """Compares what the windows do not show: order, padding, epsilon, activations."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    shape = (SAME_NUMBERS[name], SAME_NUMBERS[name], 3)
    peer = PEERS[name](weights=None, include_top=False, input_shape=shape)
    ours = zoo.create_model(name, input_shape=shape)
    features = zoo.feature_extractor(ours, [list(zoo.model_card(name).endpoints)[-1]])
    copy_weights(peer, zoo.flatten_model(features), by_name=name.startswith("resnet"))
    images = pixels(2, *shape)
    their_pixels = THEIR_PIXELS.get(name, lambda x: x)(images / 127.5 - 1)
    expected = peer(their_pixels, training=False).numpy()
    (answer,) = features(images, training=False).values()
    assert np.abs(answer.numpy() - expected).max() < 1e-4 * np.ptp(expected)


def copy_weights(peer: keras.Model, flat: keras.Model, *, by_name: bool) -> None:
    """Assign the same random weights to the peer and the flattened model, layer by layer in order, or by name."""
    random = np.random.default_rng(0)
    ours = iter(layer for layer in flat.layers if layer.trainable_weights)
    for layer in (layer for layer in peer.layers if layer.trainable_weights):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([of_a_norm(random, weight) for weight in layer.weights])
        if isinstance(layer, keras.layers.Conv2D) and layer.use_bias and feeds_a_norm(layer):
            layer.bias.assign(np.zeros(layer.bias.shape))
        for weights in parts(layer):
            target = flat.get_layer(resnet_name(layer.name)) if by_name else next(ours)
            target.set_weights([w.reshape(t.shape) for w, t in zip(weights, target.get_weights(), strict=False)])


def of_a_norm(random: np.random.Generator, weight) -> np.ndarray:
    low, high = (0.5, 1.5) if weight.name in ("gamma", "moving_variance") else (-0.5, 0.5)
    return random.uniform(low, high, weight.shape)


def parts(layer: keras.layers.Layer) -> list[list[np.ndarray]]:
    """Return the layer's weights; for a separable convolution those of its two convolutions."""
    weights = layer.get_weights()
    return [[weight] for weight in weights] if isinstance(layer, keras.layers.SeparableConv2D) else [weights]


def resnet_name(theirs: str) -> str:
    """Map the name of a layer in Keras' ResNets to the zoo's."""
    ends = {"conv1_conv": "stem_conv", "conv1_bn": "stem_norm", "post_bn": "final_norm"}
    if theirs in ends:
        return ends[theirs]
    stage, block, part, kind = re.fullmatch(r"conv(\d)_block(\d+)_(\d|preact)_(conv|bn)", theirs).groups()
    part = {"preact": "pre", "0": "shortcut"}.get(part, f"conv{part}")
    return f"stage{int(stage) - 1}_block{block}_{part}_{'conv' if kind == 'conv' else 'norm'}"


def count(weights) -> int:
    return sum(math.prod(weight.shape) for weight in weights)


def windows(model: keras.Model) -> Counter:
    """Count each (kernel shape, strides, dilation, groups); a dense layer counts as a 1x1 convolution."""
    found = []
    for layer in zoo.flatten_model(model).layers:
        if isinstance(layer, keras.layers.Dense):
            found.append(((1, 1, *layer.kernel.shape), (1, 1), (1, 1), 1))
        elif isinstance(layer, keras.layers.SeparableConv2D):
            depthwise = layer.depthwise_kernel.shape
            found.append((tuple(depthwise), tuple(layer.strides), tuple(layer.dilation_rate), depthwise[2]))
            found.append((tuple(layer.pointwise_kernel.shape), (1, 1), (1, 1), 1))
        elif isinstance(layer, keras.layers.DepthwiseConv2D):
            kernel = tuple(layer.kernel.shape)
            found.append((kernel, tuple(layer.strides), tuple(layer.dilation_rate), kernel[2]))
        elif isinstance(layer, keras.layers.Conv2D):
            found.append((tuple(layer.kernel.shape), tuple(layer.strides), tuple(layer.dilation_rate), layer.groups))
    return Counter(found)


def feeds_a_norm(layer: keras.layers.Layer) -> bool:
    return any(isinstance(node.operation, keras.layers.BatchNormalization) for node in layer._outbound_nodes)
