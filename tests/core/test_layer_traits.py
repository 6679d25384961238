"""Every row of the table of layer traits, checked on the layer itself and in the tools that read the row."""

import re

import keras
import numpy as np
import pytest
from keras import layers, ops

from pocketzoo import zoo
from pocketzoo.core.flat_graph import FlatGraph
from pocketzoo.core.layer_traits import LAYERS, OPERATIONS, UNKNOWN, main_kernel, traits_of
from pocketzoo.layers.quantized_kernels import QuantizedConv2D
from pocketzoo.training.compression.channels.apply.removal import plan_channels, remove_channels
from pocketzoo.training.compression.channels.choose.pruning_groups import pruning_groups
from pocketzoo.training.compression.channels.graph.channel_graph import ChannelGraph
from pocketzoo.training.compression.channels.graph.rule_table import RULES
from pocketzoo.training.compression.quantization.kernels import QUANTIZED_LAYERS
from pocketzoo.training.compression.quantization.rewriting import quantized_model
from pocketzoo.training.compression.weights.layer_selection import prunable_layers

pytestmark = pytest.mark.fast

SIDE, CHANNELS = 12, 4
INSTANCES = {
    layers.Conv2D: lambda: layers.Conv2D(6, 3, groups=2),
    layers.Conv2DTranspose: lambda: layers.Conv2DTranspose(6, 3, strides=2),
    layers.DepthwiseConv2D: lambda: layers.DepthwiseConv2D(3, depth_multiplier=2),
    layers.SeparableConv2D: lambda: layers.SeparableConv2D(6, 3, depth_multiplier=2),
    layers.Dense: lambda: layers.Dense(6),
    layers.Activation: lambda: layers.Activation("relu"),
    layers.GroupNormalization: lambda: layers.GroupNormalization(-1, beta_initializer="ones"),
    layers.Rescaling: lambda: layers.Rescaling(0.5, 0.1),
    layers.PReLU: lambda: layers.PReLU(shared_axes=[1, 2], alpha_initializer="ones"),
    layers.AveragePooling2D: lambda: layers.AveragePooling2D(2),
    layers.Reshape: lambda: layers.Reshape((SIDE, SIDE, CHANNELS)),
    layers.Permute: lambda: layers.Permute((2, 1, 3)),
    layers.Dropout: lambda: layers.Dropout(0.5),
    layers.SpatialDropout2D: lambda: layers.SpatialDropout2D(0.5),
    layers.GaussianNoise: lambda: layers.GaussianNoise(0.5),
    layers.GaussianDropout: lambda: layers.GaussianDropout(0.5),
    layers.AlphaDropout: lambda: layers.AlphaDropout(0.5),
}
"""By class, where the constructor needs arguments, or where its defaults show too little."""
JOINS = (
    layers.Add,
    layers.Subtract,
    layers.Average,
    layers.Multiply,
    layers.Maximum,
    layers.Minimum,
    layers.Concatenate,
)
BEYOND_THE_TABLE = (
    *(layers.BatchNormalization, layers.Rescaling, layers.Activation, layers.Softmax),
    *(layers.SeparableConv2D, layers.Average, layers.UnitNormalization),
)
"""Quantization has code for these, in place of an `integer_range`."""

PLANAR = [one for one in LAYERS if not re.search("1D|3D|Einsum|Cell|Random(?!Flip)", one.__name__)]
"""Those that take maps, of images. All layers of augmentation have the row of `RandomFlip`."""
LENGTHS = {"1D": (SIDE,), "3D": (SIDE, 4, 4)}
INSTANCES_OF_OTHER_RANK = {
    layers.Conv1D: lambda: layers.Conv1D(6, 3, padding="same"),
    layers.Conv3D: lambda: layers.Conv3D(6, 3),
    layers.Conv1DTranspose: lambda: layers.Conv1DTranspose(6, 3, strides=2),
    layers.Conv3DTranspose: lambda: layers.Conv3DTranspose(6, 3, strides=2),
    layers.DepthwiseConv1D: lambda: layers.DepthwiseConv1D(3, depth_multiplier=2),
    layers.SeparableConv1D: lambda: layers.SeparableConv1D(6, 3),
    layers.AveragePooling1D: lambda: layers.AveragePooling1D(2),
    layers.AveragePooling3D: lambda: layers.AveragePooling3D(2),
}

every_layer = pytest.mark.parametrize("layer_class", PLANAR, ids=lambda layer_class: layer_class.__name__)


def instance_of(layer_class: type) -> keras.Layer:
    return INSTANCES.get(layer_class, layer_class)()


def applied(layer: keras.Layer, x: keras.KerasTensor) -> keras.KerasTensor:
    return layer([x, layers.Rescaling(0.5)(x)]) if isinstance(layer, JOINS) else layer(x)


def bare(layer: keras.Layer) -> keras.Model:
    """A model of this layer only."""
    image = keras.Input((SIDE, SIDE, CHANNELS))
    return keras.Model(image, applied(layer, image))


def classifier(layer: keras.Layer) -> keras.Model:
    """The layer after a convolution and before a dense layer."""
    keras.utils.set_random_seed(0)
    image = keras.Input((SIDE, SIDE, 3))
    x = applied(layer, layers.Conv2D(CHANNELS, 1, bias_initializer="uniform", name="before")(image))
    x = layers.GlobalAveragePooling2D()(x) if len(x.shape) == 4 else x
    return keras.Model(image, layers.Dense(3, name="after")(x))


@every_layer
def test_layer_has_the_kernels_that_its_row_lists(layer_class):
    layer = instance_of(layer_class)
    model, traits = bare(layer), traits_of(layer)
    outputs = model.output_shape[-1]
    assert {id(kernel.of(layer)) for kernel in traits.kernels} <= {id(weight) for weight in layer.weights}
    if traits.kernels:
        kernel, shape = traits.main_kernel, main_kernel(layer).shape
        assert np.prod([shape[axis] for axis in kernel.output_axes]) == outputs
        seen = CHANNELS * getattr(layer, "depth_multiplier", 1) if not traits.is_depthwise else CHANNELS
        assert shape[kernel.input_axis] * getattr(layer, "groups", 1) == seen
    else:
        assert not any(hasattr(layer, name) for name in ("kernel", "depthwise_kernel"))
    if traits.width is not None:
        assert layer.get_config()[traits.width] == outputs


@every_layer
def test_only_layers_with_kernels_cost_multiply_adds(layer_class):
    layer = instance_of(layer_class)
    assert (zoo.count_macs(bare(layer)) > 0) == bool(traits_of(layer).kernels)


@pytest.mark.parametrize("layer_class", [one for one in PLANAR if one is not layers.GroupNormalization])
def test_window_is_what_moves_an_output_in_the_middle(layer_class):
    """An output in the middle depends on as many columns as the receptive field; a maximum may depend on fewer.

    Statistics of the whole image, as those of GroupNormalization, are not counted.
    """
    keras.utils.set_random_seed(0)
    model = bare(instance_of(layer_class))
    image = np.random.default_rng(0).uniform(0.1, 1, (1, SIDE, SIDE, CHANNELS)).astype("float32")
    row = zoo.layer_table(model)[-1]
    before = model(image, training=False).numpy()
    moved = 0
    for column in range(SIDE):
        changed = image.copy()
        changed[:, :, column] += 1
        after = model(changed, training=False).numpy()
        middle = (0, before.shape[1] // 2, before.shape[2] // 2) if before.ndim == 4 else (0,)
        moved += bool(np.any(before[middle] != after[middle]))
    if row.receptive_field is None:
        assert moved == SIDE or layer_class is layers.GlobalMaxPooling2D
    elif traits_of(model.layers[-1]).window in ("transposed", "upsampling"):
        assert 1 <= moved <= row.receptive_field  # which counts the widest of the positions
    else:
        assert moved == row.receptive_field or layer_class is layers.MaxPooling2D


@every_layer
def test_prunable_layers_are_selected(layer_class):
    layer = instance_of(layer_class)
    layer_names = [one.name for one in prunable_layers(classifier(layer)).values()]
    assert (layer.name in layer_names) == traits_of(layer).prunable


@every_layer
def test_channel_rule_is_there_and_removal_equals_masking(layer_class):
    """`remove_channels` raises if the rebuilt model is not equivalent to the masked one."""
    layer = instance_of(layer_class)
    traits = traits_of(layer)
    assert traits.channels in RULES
    assert traits.channels != "unknown"
    model = classifier(layer)
    graph = ChannelGraph(model)
    removable = {name for group in pruning_groups(graph) for name in group.producers}
    is_mixed = traits.channels == "mixing" or layer_class is layers.Softmax
    assert ("before" in removable) == (not is_mixed)
    assert (layer.name in graph.producers) == (traits.width is not None)
    if removable:
        plan = plan_channels(model, budget="params:0.8", criterion="random", round_to=1)
        assert remove_channels(model, plan).model.count_params() <= 0.8 * model.count_params()


@pytest.mark.parametrize(
    "layer_class",
    [one for one in LAYERS if one not in PLANAR and not re.search("^Random|EinsumDense|Cell", one.__name__)],
    ids=lambda one: one.__name__,
)
def test_channels_of_sequences_and_volumes_are_removed_like_those_of_maps(layer_class):
    shape = LENGTHS[re.search("1D|3D", layer_class.__name__)[0]]
    image = keras.Input((*shape, 3))
    before = layers.Dense(8, bias_initializer="uniform", name="before")(image)
    layer = INSTANCES_OF_OTHER_RANK.get(layer_class, layer_class)()
    x = layer(before)
    model = keras.Model(image, layers.Dense(3)(layers.Flatten()(x) if len(x.shape) > 2 else x))
    plan = plan_channels(model, budget="params:0.9", criterion="random", round_to=1)
    removal = remove_channels(model, plan)
    assert any(after < before for before, after in removal.widths.values())
    assert zoo.count_macs(removal.model) < zoo.count_macs(model)


@every_layer
def test_quantization_follows_the_row(layer_class):
    layer = instance_of(layer_class)
    traits = traits_of(layer)
    assert (layer_class in QUANTIZED_LAYERS) == (traits.int8_scales is not None)
    model = classifier(layer)
    has_rule = traits.integer_range or traits.int8_scales or layer_class in BEYOND_THE_TABLE
    for bits in (8, 16) if has_rule else (8,):
        if has_rule and (bits == 8 or traits.int16):
            assert quantized_model(model, bits).output_shape == model.output_shape
        else:
            with pytest.raises(zoo.InputError, match=f"no rule for {layer.name}"):
                quantized_model(model, bits)


@pytest.mark.parametrize("stock", QUANTIZED_LAYERS, ids=lambda stock: stock.__name__)
def test_int8_scales_are_shared_along_all_other_axes(stock):
    layer = QUANTIZED_LAYERS[stock].from_config(instance_of(stock).get_config())
    bare(layer)
    one_output = np.zeros(layer.kernel.shape, "float32")
    assert set(layer.shared_axes) | set(layer.output_axes) == set(range(one_output.ndim))
    per_channel = traits_of(layer).int8_scales == "per_channel"
    assert set(layer.shared_axes).isdisjoint(layer.output_axes) == per_channel


def test_subclass_has_the_traits_of_its_nearest_ancestor():
    assert traits_of(QuantizedConv2D(2, 3)) is LAYERS[layers.Conv2D]
    assert traits_of(layers.SpatialDropout1D(0.5)) is LAYERS[layers.Dropout]


def test_other_layers_have_no_traits():
    class Mean(keras.Operation):
        """Of the same name as one of Keras."""

    assert traits_of(layers.LSTM(3)) is UNKNOWN
    assert traits_of(layers.RepeatVector(3)) is UNKNOWN
    assert traits_of(Mean()) is UNKNOWN


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_are_found_by_their_names(name):
    function = getattr(ops, re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())
    image = keras.Input((4, 4, 3))
    binary = ("Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Maximum", "Minimum", "Power")
    arguments = {"Cast": [image, "float16"]} | {operation: [image, image] for operation in binary}
    (node,) = FlatGraph(keras.Model(image, function(*arguments.get(name, [image])))).nodes
    assert type(node.operation).__name__ == name
    assert traits_of(node.operation) is OPERATIONS[name]
    assert traits_of(node.operation).channels in RULES
