"""Channels removed from every layer of ours that has widths, in all its forms."""

import keras
import numpy as np
import pytest
from keras import layers
from support.layer_cases import CASES

from pocketzoo.layers import CompositeLayer, Head
from pocketzoo.training.compression.channels.apply.bias_compensation import Leftovers, leftovers
from pocketzoo.training.compression.channels.apply.equivalence import ProofError, prove, prove_with_other_norms
from pocketzoo.training.compression.channels.apply.rebuild import rebuild
from pocketzoo.training.compression.channels.apply.removal import plan_channels, remove_channels
from pocketzoo.training.compression.channels.choose.channel_selection import Choice
from pocketzoo.training.compression.channels.choose.importance import unit_scores
from pocketzoo.training.compression.channels.choose.pruning_groups import pools_of
from pocketzoo.training.compression.channels.graph.channel_graph import Axis, ChannelGraph
from pocketzoo.training.compression.channels.plan import plan_of, units_kept


def has_widths(layer_class: type) -> bool:
    is_composite = issubclass(layer_class, CompositeLayer) and not issubclass(layer_class, Head)
    return is_composite and layer_class.width_parts is not CompositeLayer.width_parts


# A layer normalisation freezes the channels of its convolution, all that this case has.
WITH_WIDTHS = [case for case in CASES if has_widths(case.values[0]) and case.values[1].get("norm") != "layer"]


def net_of(layer: keras.Layer, input_shape) -> keras.Model:
    """The layer between convolutions, so that the channels that it sees can go too."""
    shapes = input_shape if isinstance(input_shape, list) else [input_shape]
    images = [keras.Input(shape[1:]) for shape in shapes]
    maps = [layers.Conv2D(image.shape[-1], 1, bias_initializer="uniform")(image) for image in images]
    x = layer(maps if isinstance(input_shape, list) else maps[0])
    return keras.Model(images, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize(("layer_class", "arguments", "input_shape", "_output", "_weights"), WITH_WIDTHS)
def test_layer_without_some_channels_equals_the_masked_one(layer_class, arguments, input_shape, _output, _weights):
    keras.utils.set_random_seed(0)
    layer = layer_class(**arguments, name="layer")
    model = net_of(layer, input_shape)
    for weight in layer.weights:
        if weight.path.rsplit("/", 1)[-1] in ("beta", "moving_mean", "bias"):
            weight.assign(keras.random.normal(weight.shape))
    graph = ChannelGraph(model)
    least = Choice(pools_of(graph), unit_scores(graph, "random"), "global", 1).least
    removal = remove_channels(model, plan_of(graph, least))
    assert removal.form == "composite"
    narrow = removal.model.get_layer("layer")
    assert type(narrow) is layer_class
    assert narrow.count_params() < layer.count_params()


def test_proof_sees_what_is_left_out():
    keras.utils.set_random_seed(0)
    model = net_of(layers.Conv2D(8, 3, bias_initializer="uniform"), (2, 6, 6, 3))
    graph = ChannelGraph(model)
    keep = units_kept(graph, plan_channels(model, budget="params:0.6", round_to=1))
    left = leftovers(graph, keep)
    assert prove(graph, keep, left, rebuild(graph, keep, left).model) < 1e-6
    without = rebuild(graph, keep, Leftovers(left.sent, {}, left.taken)).model
    with pytest.raises(ProofError, match="differs by"):
        prove(graph, keep, left, without)


def test_proof_sees_a_channel_in_the_place_of_another():
    keras.utils.set_random_seed(0)
    model = net_of(layers.Conv2D(8, 3), (2, 6, 6, 3))
    graph = ChannelGraph(model)
    keep = units_kept(graph, plan_channels(model, budget="params:0.6", round_to=1))
    left = leftovers(graph, keep)
    narrow = rebuild(graph, keep, left).model
    kernel = narrow.layers[-3].kernel
    kernel.assign(kernel[..., ::-1])
    with pytest.raises(ProofError, match="differs by"):
        prove(graph, keep, left, narrow)


def test_proof_is_not_blind_where_an_answer_is_sure():
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 6, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, use_bias=False)(image))
    model = keras.Model(image, layers.Dense(3, activation="softmax", kernel_initializer="he_normal")(x))
    model.layers[-1].bias.assign([1000.0, 0, 0])
    graph = ChannelGraph(model)
    keep = units_kept(graph, plan_channels(model, budget="params:0.6", round_to=1))
    left = leftovers(graph, keep)
    narrow = rebuild(graph, keep, left).model
    kernel = narrow.layers[1].kernel
    kernel.assign(100 * kernel)
    np.testing.assert_array_equal(narrow(np.ones((1, 6, 6, 3)))[0], [1, 0, 0])
    with pytest.raises(ProofError, match="differs by"):
        prove(graph, keep, left, narrow)
    assert model.layers[-1].activation is keras.activations.softmax


def test_proof_sees_norms_that_were_mixed_up_though_they_are_fresh():
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 6, 3))
    x = layers.BatchNormalization()(layers.Conv2D(8, 3)(image))
    model = keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(layers.ReLU()(x))))
    graph = ChannelGraph(model)
    keep = units_kept(graph, plan_channels(model, budget="params:0.6", round_to=1))
    before = model.get_weights()
    rebuilt = rebuild(graph, keep, leftovers(graph, keep))
    kept = rebuilt.model.get_weights()
    assert prove_with_other_norms(graph, keep, rebuilt) < 1e-5
    for weights, model_ in ((before, model), (kept, rebuilt.model)):
        assert all(np.array_equal(old, new) for old, new in zip(weights, model_.get_weights(), strict=True))
    gamma = graph.axes[id(model.layers[2].gamma)]
    graph.axes[id(model.layers[2].gamma)] = [Axis(0, gamma[0].labels[::-1])]
    with pytest.raises(ProofError, match="differs by"):
        prove_with_other_norms(graph, keep, rebuilt)
