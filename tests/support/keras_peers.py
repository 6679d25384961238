"""Models of Keras 2 with random weights, and the comparison of the zoo's models with them.

`python -m support.keras_peers NAME FOLDER` compares one model in a process of its own, from the folder of the tests.
"""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import tf_keras

from pocketzoo import zoo

from .images import random_pixels

# By name in the zoo: Keras' class and its arguments, the module of its `preprocess_input`, a size that reveals padding.
PEERS = {
    "densenet121": ("DenseNet121", {}, "densenet", 64),
    "densenet169": ("DenseNet169", {}, "densenet", 64),
    "densenet201": ("DenseNet201", {}, "densenet", 64),
    **{f"efficientnet_b{number}": (f"EfficientNetB{number}", {}, "efficientnet", 64) for number in range(8)},
    "inception_resnet_v2": ("InceptionResNetV2", {}, "inception_resnet_v2", 107),
    "inception_v3": ("InceptionV3", {}, "inception_v3", 107),
    "mobilenet_v1": ("MobileNet", {}, "mobilenet", 64),
    "mobilenet_v1_025": ("MobileNet", {"alpha": 0.25}, "mobilenet", 64),
    "mobilenet_v1_050": ("MobileNet", {"alpha": 0.5}, "mobilenet", 64),
    "mobilenet_v1_075": ("MobileNet", {"alpha": 0.75}, "mobilenet", 64),
    "mobilenet_v2": ("MobileNetV2", {}, "mobilenet_v2", 80),
    "mobilenet_v2_035": ("MobileNetV2", {"alpha": 0.35}, "mobilenet_v2", 80),
    "mobilenet_v2_050": ("MobileNetV2", {"alpha": 0.5}, "mobilenet_v2", 80),
    "mobilenet_v2_075": ("MobileNetV2", {"alpha": 0.75}, "mobilenet_v2", 80),
    "mobilenet_v2_130": ("MobileNetV2", {"alpha": 1.3}, "mobilenet_v2", 80),
    "mobilenet_v2_140": ("MobileNetV2", {"alpha": 1.4}, "mobilenet_v2", 80),
    "mobilenet_v3_large": ("MobileNetV3Large", {}, "mobilenet_v3", 80),
    "mobilenet_v3_large_minimalistic": ("MobileNetV3Large", {"minimalistic": True}, "mobilenet_v3", 80),
    "mobilenet_v3_small": ("MobileNetV3Small", {}, "mobilenet_v3", 80),
    "mobilenet_v3_small_minimalistic": ("MobileNetV3Small", {"minimalistic": True}, "mobilenet_v3", 80),
    "resnet50v1": ("ResNet50", {}, "resnet", 70),
    "resnet101v1": ("ResNet101", {}, "resnet", 70),
    "resnet152v1": ("ResNet152", {}, "resnet", 70),
    "resnet50v2": ("ResNet50V2", {}, "resnet_v2", 70),
    "resnet101v2": ("ResNet101V2", {}, "resnet_v2", 70),
    "resnet152v2": ("ResNet152V2", {}, "resnet_v2", 70),
    "vgg16": ("VGG16", {}, "vgg16", 224),  # its dense layers require this size
    "vgg19": ("VGG19", {}, "vgg19", 224),
    "xception": ("Xception", {}, "xception", 75),
}


def assert_outputs_match(name: str, folder: Path) -> None:
    """Compare a model that loads a file of Keras 2 with the model that wrote it."""
    peer, module, shape = peer_of(name)
    randomize(peer, module.preprocess_input(random_pixels(16, *shape, seed=1)))
    peer.save_weights(folder / "peer.h5")
    images = random_pixels(2, *shape)
    expected = peer(module.preprocess_input(images.copy()), training=False).numpy()
    del peer  # VGG needs half a gigabyte
    ours = zoo.create_model(name, weights=folder / "peer.h5", input_shape=shape)
    assert np.abs(ours(images, training=False).numpy() - expected).max() < 1e-4 * np.ptp(expected)


def peer_of(name: str) -> tuple[tf_keras.Model, ModuleType, tuple[int, int, int]]:
    """Create Keras 2's model, and return it with its module and input shape."""
    net, arguments, module, size = PEERS[name]
    shape = (size, size, 3)
    tf_keras.utils.set_random_seed(0)
    peer = getattr(tf_keras.applications, net)(weights=None, input_shape=shape, **arguments)
    return peer, getattr(tf_keras.applications, module), shape


def randomize(peer: tf_keras.Model, inputs: np.ndarray) -> None:
    """Every weight and statistic random, and each map about as large as in a trained net.

    The statistics are those of `inputs`, each a little off; gains are small where a residual branch is added. In such
    nets an exchange of the weights of two layers of one shape changed the answers by a fifth of their range or more.
    """
    random = np.random.default_rng(0)
    for layer in peer.layers:
        if getattr(layer, "bias", None) is not None:
            layer.bias.assign(random.uniform(-0.2, 0.2, layer.bias.shape))
        if isinstance(layer, tf_keras.layers.Normalization):
            normalize(layer, random.uniform(0.3, 0.6, 3), random.uniform(0.05, 0.1, 3))
    norms = [layer for layer in peer.layers if isinstance(layer, tf_keras.layers.BatchNormalization)]
    for norm in norms:
        if norm.scale:
            added = any(isinstance(node.layer, tf_keras.layers.Add) for node in norm.outbound_nodes)
            norm.gamma.assign(random.uniform(0.5, 1.5, norm.gamma.shape) * (0.2 if added else 1.0))
        norm.beta.assign(random.uniform(0, 1, norm.beta.shape))
        norm.momentum = 0.0
    peer(inputs, training=True)
    for norm in norms:
        deviation = np.sqrt(norm.moving_variance.numpy())
        norm.moving_mean.assign_add(random.uniform(-0.2, 0.2, deviation.shape) * deviation)
        norm.moving_variance.assign(norm.moving_variance.numpy() * random.uniform(0.8, 1.25, deviation.shape))


def normalize(layer: tf_keras.layers.Normalization, mean, variance) -> None:
    layer.set_weights([np.array(mean), np.array(variance), np.array(0)])
    layer.finalize_state()


if __name__ == "__main__":
    assert_outputs_match(sys.argv[1], Path(sys.argv[2]))
