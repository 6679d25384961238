"""Channel removal from every composite layer with widths, and the equivalence check itself."""

import keras
import numpy as np
import pytest
from keras import layers
from support.layer_cases import CASES

from pocketzoo.layers import CompositeLayer, Head
from pocketzoo.layers.dimensions import for_map
from pocketzoo.training.compression.channels.apply.bias_compensation import Compensation, compensate
from pocketzoo.training.compression.channels.apply.equivalence import (
    EquivalenceError,
    check_equivalence,
    check_equivalence_with_perturbed_norms,
)
from pocketzoo.training.compression.channels.apply.rebuild import rebuild
from pocketzoo.training.compression.channels.apply.removal import plan_channels, remove_channels
from pocketzoo.training.compression.channels.choose.channel_selection import ChannelSelection
from pocketzoo.training.compression.channels.choose.importance import unit_importance
from pocketzoo.training.compression.channels.choose.pruning_groups import pruning_groups
from pocketzoo.training.compression.channels.graph.channel_graph import ChannelGraph
from pocketzoo.training.compression.channels.graph.labels import ChannelAxis
from pocketzoo.training.compression.channels.plan_units import plan_of, units_kept


def has_widths(layer_class: type) -> bool:
    is_composite = issubclass(layer_class, CompositeLayer) and not issubclass(layer_class, Head)
    return is_composite and layer_class.width_parts is not CompositeLayer.width_parts


# LayerNormalization freezes the channels of its convolution, which are all channels of this case.
WITH_WIDTHS = [case for case in CASES if has_widths(case.values[0]) and case.values[1].get("norm") != "layer"]


def net_of(layer: keras.Layer, input_shape) -> keras.Model:
    """The layer between convolutions, so that its input channels can be removed too."""
    shapes = input_shape if isinstance(input_shape, list) else [input_shape]
    images = [keras.Input(shape[1:]) for shape in shapes]
    maps = [for_map(layers.Conv2D, image)(image.shape[-1], 1, bias_initializer="uniform")(image) for image in images]
    x = layer(maps if isinstance(input_shape, list) else maps[0])
    return keras.Model(images, layers.Dense(3)(for_map(layers.GlobalAveragePooling2D, x)()(x)))


@pytest.mark.parametrize(("layer_class", "arguments", "input_shape", "_output", "_weights"), WITH_WIDTHS)
def test_layer_with_channels_removed_equals_the_masked_one(layer_class, arguments, input_shape, _output, _weights):
    keras.utils.set_random_seed(0)
    layer = layer_class(**arguments, name="layer")
    model = net_of(layer, input_shape)
    for weight in layer.weights:
        if weight.path.rsplit("/", 1)[-1] in ("beta", "moving_mean", "bias"):
            weight.assign(keras.random.normal(weight.shape))
    graph = ChannelGraph(model)
    least = ChannelSelection(pruning_groups(graph), unit_importance(graph, "random"), "global", 1).least
    removal = remove_channels(model, plan_of(graph, least))
    assert removal.form == "composite"
    narrow = removal.model.get_layer("layer")
    assert type(narrow) is layer_class
    assert narrow.count_params() < layer.count_params()


def test_check_detects_missing_bias_compensation():
    keras.utils.set_random_seed(0)
    model = net_of(layers.Conv2D(8, 3, bias_initializer="uniform"), (2, 6, 6, 3))
    graph = ChannelGraph(model)
    keep = units_kept(graph, plan_channels(model, budget="params:0.6", round_to=1))
    compensation = compensate(graph, keep)
    assert check_equivalence(graph, keep, compensation, rebuild(graph, keep, compensation).model) < 1e-6
    without = rebuild(graph, keep, Compensation(compensation.constants, {}, compensation.absorbed)).model
    with pytest.raises(EquivalenceError, match="differs by"):
        check_equivalence(graph, keep, compensation, without)


def test_check_detects_swapped_channels():
    keras.utils.set_random_seed(0)
    model = net_of(layers.Conv2D(8, 3), (2, 6, 6, 3))
    graph = ChannelGraph(model)
    keep = units_kept(graph, plan_channels(model, budget="params:0.6", round_to=1))
    compensation = compensate(graph, keep)
    narrow = rebuild(graph, keep, compensation).model
    kernel = narrow.layers[-3].kernel
    kernel.assign(kernel[..., ::-1])
    with pytest.raises(EquivalenceError, match="differs by"):
        check_equivalence(graph, keep, compensation, narrow)


def test_check_detects_differences_behind_a_saturated_softmax():
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 6, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, use_bias=False)(image))
    model = keras.Model(image, layers.Dense(3, activation="softmax", kernel_initializer="he_normal")(x))
    model.layers[-1].bias.assign([1000.0, 0, 0])
    graph = ChannelGraph(model)
    keep = units_kept(graph, plan_channels(model, budget="params:0.6", round_to=1))
    compensation = compensate(graph, keep)
    narrow = rebuild(graph, keep, compensation).model
    kernel = narrow.layers[1].kernel
    kernel.assign(100 * kernel)
    np.testing.assert_array_equal(narrow(np.ones((1, 6, 6, 3)))[0], [1, 0, 0])
    with pytest.raises(EquivalenceError, match="differs by"):
        check_equivalence(graph, keep, compensation, narrow)
    assert model.layers[-1].activation is keras.activations.softmax


def test_check_detects_swapped_channels_of_untrained_norms():
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 6, 3))
    x = layers.BatchNormalization()(layers.Conv2D(8, 3)(image))
    model = keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(layers.ReLU()(x))))
    graph = ChannelGraph(model)
    keep = units_kept(graph, plan_channels(model, budget="params:0.6", round_to=1))
    before = model.get_weights()
    rebuilt = rebuild(graph, keep, compensate(graph, keep))
    kept = rebuilt.model.get_weights()
    assert check_equivalence_with_perturbed_norms(graph, keep, rebuilt) < 1e-5
    for weights, model_ in ((before, model), (kept, rebuilt.model)):
        assert all(np.array_equal(old, new) for old, new in zip(weights, model_.get_weights(), strict=True))
    gamma = graph.axes[id(model.layers[2].gamma)]
    graph.axes[id(model.layers[2].gamma)] = [ChannelAxis(0, gamma[0].labels[::-1])]
    with pytest.raises(EquivalenceError, match="differs by"):
        check_equivalence_with_perturbed_norms(graph, keep, rebuilt)


def test_check_detects_a_later_output_that_is_no_number():
    image = keras.Input((6, 6, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(16, 3, name="conv")(image))
    model = keras.Model(image, [layers.Dense(3, name="first")(x), layers.Dense(3, name="second")(x)])
    graph = ChannelGraph(model)
    keep = units_kept(graph, plan_channels(model, budget="params:0.6", round_to=1))
    compensation = compensate(graph, keep)
    rebuilt = rebuild(graph, keep, compensation).model
    bias = rebuilt.get_layer("second").bias
    bias.assign(bias * np.nan)
    with pytest.raises(EquivalenceError, match="differs by nan"):
        check_equivalence(graph, keep, compensation, rebuilt)


def test_check_computes_in_double_precision_where_rounding_errors_are_large():
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 6, 3))
    x = layers.Conv2D(16, 3, activation="relu", use_bias=False, name="removed")(image)
    x = layers.Conv2D(8, 3, bias_initializer=keras.initializers.Constant(1e6), name="rounded")(x)
    x = layers.BatchNormalization(moving_mean_initializer=keras.initializers.Constant(1e6))(x)
    model = keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    graph = ChannelGraph(model)
    keep = units_kept(graph, plan_channels(model, budget="params:0.6", round_to=1))
    compensation = compensate(graph, keep)
    rebuilt = rebuild(graph, keep, compensation).model
    assert check_equivalence(graph, keep, compensation, rebuilt) < 1e-5
    assert {layer.dtype_policy.name for layer in (*model.layers, *rebuilt.layers)} == {"float32"}
    kernel = rebuilt.get_layer("rounded").kernel
    kernel.assign(kernel * 1.001)
    with pytest.raises(EquivalenceError, match="differs by"):
        check_equivalence(graph, keep, compensation, rebuilt)
