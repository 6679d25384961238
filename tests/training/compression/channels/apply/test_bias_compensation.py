"""Bias compensation, compared with the original with filters and gains of zero."""

import keras
import numpy as np
import pytest
from keras import layers

from pocketzoo import zoo
from pocketzoo.training.compression.channels.apply.removal import plan_channels, remove_channels
from pocketzoo.training.compression.channels.graph.channel_graph import ChannelGraph


def with_zeroed(model: keras.Model, kept: dict[str, list[int]]) -> keras.Model:
    """A copy of a flat `model` in which the filters of removed channels, and the gains of their norms, are zero."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    graph = ChannelGraph(copy)
    gone = np.zeros(graph.unit_count, bool)
    for name, channels in kept.items():
        producer = graph.producers[name]
        removed = np.setdiff1d(np.arange(len(producer.labels)), channels)
        gone[graph.unit_of[producer.labels[removed]]] = True
        kernel = producer.layer.kernel.numpy()
        kernel[..., removed] = 0
        producer.layer.kernel.assign(kernel)
    for node in graph.flat.nodes:
        if isinstance(node.operation, layers.BatchNormalization):
            stays = ~gone[graph.unit_of[graph.labels[node.inputs[0]]]]
            node.operation.gamma.assign(node.operation.gamma * stays)
    return copy


def chain(*parts: layers.Layer) -> keras.Model:
    image = x = keras.Input((12, 12, 3))
    for part in parts:
        x = part(x)
    return keras.Model(image, layers.Dense(3, name="outputs")(layers.GlobalAveragePooling2D()(x)))


def norm() -> layers.BatchNormalization:
    return layers.BatchNormalization(
        beta_initializer="random_normal", gamma_initializer="ones", moving_mean_initializer="random_normal"
    )


def biased(filters: int, size: int = 3, **arguments) -> layers.Conv2D:
    return layers.Conv2D(filters, size, bias_initializer="random_normal", **arguments)


BARE = {"use_bias": False}
NETS = {
    "bias to bias": lambda: chain(biased(8), layers.ReLU(), biased(8)),
    "norm to bias": lambda: chain(biased(8, **BARE), norm(), layers.Activation("tanh"), biased(8)),
    "norm to norm": lambda: chain(biased(8, **BARE), norm(), layers.ReLU(), biased(8, **BARE), norm(), layers.ReLU()),
    "through a depthwise convolution": lambda: chain(
        biased(8), layers.DepthwiseConv2D(3, bias_initializer="random_normal"), layers.ELU(), biased(8, 1)
    ),
    "through linear layers without a bias": lambda: chain(
        biased(8), layers.ReLU(), biased(6, **BARE), layers.AveragePooling2D(2), biased(6, 1, **BARE), norm()
    ),
    "an activation that is not zero at zero": lambda: chain(biased(8, **BARE), layers.Activation("sigmoid"), biased(8)),
    "a padded 1x1 convolution": lambda: chain(biased(8), biased(8, 1, padding="same")),
    "a slope per channel": lambda: chain(
        biased(8), layers.PReLU(shared_axes=[1, 2], alpha_initializer="random_normal"), biased(8)
    ),
}


@pytest.mark.parametrize("name", NETS)
def test_constants_are_absorbed_by_later_layers(name, pixels):
    keras.utils.set_random_seed(1)
    model = NETS[name]()
    plan = plan_channels(model, budget="params:0.5", criterion="random", round_to=1)
    images = pixels(4, 12, 12, 3) / 255
    zeroed = with_zeroed(model, plan.kept)(images)
    narrow = remove_channels(model, plan).model(images)
    assert np.abs(zeroed).max() > 1e-2
    np.testing.assert_allclose(narrow, zeroed, atol=1e-5)


def test_concatenations_of_a_dense_block_propagate_constants(pixels, randomize_batch_norm):
    model = zoo.flatten_model(
        randomize_batch_norm(zoo.create_model("densenet121", blocks=(3, 2), growth=8, input_shape=(32, 32, 3)))
    )
    kept = [channel for channel in range(32) if channel % 4]  # before a padded convolution, their norms have no shift
    for layer in model.layers:
        if layer.name.endswith("conv1_norm"):
            layer.beta.assign(np.where(np.arange(layer.beta.shape[0]) % 4, layer.beta, 0))
    plan = plan_channels(model, budget="params:1")
    plan = plan.model_copy(update={"kept": {"stage1_block_layer2_conv1_conv": kept}})
    images = pixels(2, 32, 32, 3)
    np.testing.assert_allclose(
        remove_channels(model, plan).model(images), with_zeroed(model, plan.kept)(images), atol=1e-5
    )


def test_layers_without_bias_or_norm_absorb_nothing():
    keras.utils.set_random_seed(1)
    model = chain(biased(8), layers.ReLU(), biased(8, **BARE), layers.ReLU())
    plan = plan_channels(model, budget="params:0.5", criterion="random", round_to=1)
    narrow = remove_channels(model, plan).model
    for layer in narrow.layers:
        if layer.weights and layer.name != "outputs":
            assert layer.use_bias == model.get_layer(layer.name).use_bias
