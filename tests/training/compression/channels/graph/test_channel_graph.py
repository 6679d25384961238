import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from pocketzoo import zoo
from pocketzoo.layers import CBAM, CompositeLayer, LocalResponseNormalization
from pocketzoo.training.compression.channels.apply.removal import plan_channels, remove_channels
from pocketzoo.training.compression.channels.choose.channel_selection import ChannelSelection
from pocketzoo.training.compression.channels.choose.costs import Costs
from pocketzoo.training.compression.channels.choose.importance import unit_importance
from pocketzoo.training.compression.channels.choose.pruning_groups import pruning_groups
from pocketzoo.training.compression.channels.graph.channel_graph import ChannelGraph
from pocketzoo.training.compression.channels.graph.labels import FROZEN
from pocketzoo.training.compression.channels.plan_units import plan_of


def classifier(features: keras.KerasTensor, image: keras.KerasTensor) -> keras.Model:
    outputs = layers.Dense(3, activation="softmax", name="outputs")(layers.GlobalAveragePooling2D()(features))
    return keras.Model(image, outputs)


def conv(filters: int, name: str, **arguments) -> layers.Conv2D:
    return layers.Conv2D(filters, 3, padding="same", name=name, **arguments)


def units(graph: ChannelGraph, name: str) -> list[int]:
    return graph.unit_of[graph.producers[name].labels].tolist()


def is_frozen(graph: ChannelGraph, name: str) -> bool:
    return set(units(graph, name)) == {graph.unit_of[FROZEN]}


def test_sum_couples_channels_one_by_one():
    image = keras.Input((8, 8, 3))
    total = layers.Add()([conv(4, "one")(image), conv(4, "other")(image)])
    graph = ChannelGraph(classifier(total, image))
    assert units(graph, "one") == units(graph, "other")
    assert len(set(units(graph, "one"))) == 4
    (group,) = pruning_groups(graph)
    assert group.producers == ("one", "other")


def test_concatenation_couples_nothing():
    image = keras.Input((8, 8, 3))
    joined = layers.Concatenate()([conv(4, "one")(image), conv(5, "other")(image)])
    graph = ChannelGraph(classifier(joined, image))
    assert not set(units(graph, "one")) & set(units(graph, "other"))
    assert [group.producers for group in pruning_groups(graph)] == [("one",), ("other",)]


def test_gate_is_coupled_with_the_features_it_scales():
    image = keras.Input((8, 8, 3))
    x = conv(4, "features")(image)
    gate = layers.Reshape((1, 1, 4))(layers.Dense(4, activation="sigmoid", name="gate")(layers.GlobalMaxPooling2D()(x)))
    graph = ChannelGraph(classifier(layers.Multiply()([x, gate]), image))
    assert units(graph, "features") == units(graph, "gate")


def test_depthwise_convolution_repeats_channels():
    image = keras.Input((8, 8, 3))
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise")(conv(4, "one")(image))
    model = classifier(x, image)
    removal = remove_channels(model, plan_channels(model, budget="params:0.7", criterion="random", round_to=1))
    before, after = removal.widths["one"]
    assert after < before
    assert removal.model.get_layer("depthwise").kernel.shape[2:] == (after, 2)
    assert removal.model.get_layer("outputs").kernel.shape[0] == 2 * after


def test_flattened_map_repeats_channels_per_position():
    image = keras.Input((4, 4, 3))
    x = layers.Flatten()(conv(4, "one")(image))
    model = keras.Model(image, layers.Dense(3, name="outputs")(x))
    graph = ChannelGraph(model)
    (flattened,) = (node.outputs[0] for node in graph.flat.nodes if isinstance(node.operation, layers.Flatten))
    assert graph.labels[flattened].tolist() == graph.producers["one"].labels.tolist() * 16


def test_inputs_and_outputs_are_frozen():
    image = keras.Input((8, 8, 3))
    x = conv(4, "one")(image)
    graph = ChannelGraph(keras.Model(image, [x, layers.Conv2D(2, 1, name="two")(conv(3, "between")(x))]))
    assert is_frozen(graph, "one")
    assert is_frozen(graph, "two")
    assert not is_frozen(graph, "between")


def test_layer_without_a_rule_is_frozen_and_named():
    image = keras.Input((8, 8, 3))
    x = layers.Masking(name="turned")(conv(4, "one")(image))
    graph = ChannelGraph(classifier(conv(5, "two")(x), image))
    assert is_frozen(graph, "one")
    assert not is_frozen(graph, "two")
    assert graph.frozen == {"turned": "Masking is of a type that has no rule"}


def test_operation_with_per_channel_constants_is_frozen():
    image = keras.Input((8, 8, 3))
    scaled = keras.ops.multiply(conv(4, "one")(image), np.arange(4, dtype="float32"))
    graph = ChannelGraph(classifier(keras.ops.multiply(conv(5, "two")(scaled), 2.0), image))
    assert is_frozen(graph, "one")
    assert not is_frozen(graph, "two")
    assert list(graph.frozen.values()) == ["Rescaling has a number for each channel in its config"]


def test_pointwise_operation_passes_channels_on():
    image = keras.Input((8, 8, 3))
    graph = ChannelGraph(classifier(keras.ops.abs(conv(4, "one")(image)), image))
    assert not is_frozen(graph, "one")
    assert graph.frozen == {}


@pytest.mark.parametrize(
    "mixer",
    [layers.LayerNormalization(), layers.GroupNormalization(2), layers.Softmax(), CBAM(4, 2, name="cbam")],
    ids=lambda layer: type(layer).__name__,
)
def test_layer_that_mixes_channels_freezes_them(mixer):
    image = keras.Input((8, 8, 3))
    graph = ChannelGraph(classifier(mixer(conv(4, "one")(image)), image))
    assert is_frozen(graph, "one")
    assert graph.frozen


def test_local_response_normalization_couples_all_channels():
    image = keras.Input((8, 8, 3))
    x = LocalResponseNormalization(1)(conv(4, "one")(image))
    graph = ChannelGraph(classifier(x, image))
    assert len(set(units(graph, "one"))) == 1
    assert pruning_groups(graph) == []


def test_layer_applied_twice_produces_the_same_channels():
    image = keras.Input((8, 8, 3))
    shared = conv(4, "shared")
    x = shared(conv(5, "one")(image))
    y = shared(conv(5, "other")(image))
    graph = ChannelGraph(classifier(layers.Concatenate()([x, y]), image))
    assert units(graph, "one") == units(graph, "other")
    assert len(graph.producers["shared"].labels) == 4


def test_convolution_groups_lose_equally_many_of_their_least_important():
    image = keras.Input((8, 8, 3))
    x = conv(8, "before")(image)
    x = conv(8, "grouped", groups=2)(x)
    model = classifier(conv(3, "after")(x), image)
    sizes = np.array([1, 9, 2, 9, 9, 3, 4, 9], "float32")  # one of the smallest in each half
    kernel = model.get_layer("before").kernel
    kernel.assign(np.ones(kernel.shape) * sizes)
    plan = plan_channels(model, budget="params:0.5", scope="layer", round_to=1)
    assert plan.kept["before"] == [1, 2, 3, 4, 6, 7]
    removal = remove_channels(model, plan)
    assert removal.model.get_layer("grouped").groups == 2
    assert removal.model.get_layer("grouped").kernel.shape[2] == 3


def test_pad_shortcut_loses_the_padding_of_removed_channels():
    model = zoo.create_model("resnet20", blocks=1, input_shape=(32, 32, 3))
    removal = remove_channels(model, plan_channels(model, budget="macs:0.4", criterion="random", round_to=1))
    assert removal.form == "composite"
    block = removal.model.get_layer("stage2_block1")
    stem = removal.model.get_layer("stem").filters
    assert sum(block.pad_channels) == block.filters - stem


def test_bottleneck_can_have_two_inner_widths():
    model = zoo.create_model("resnet50", input_shape=(32, 32, 3), blocks=(1, 1, 1), widths=(8, 8, 16), classes=3)
    plan = plan_channels(model, budget="params:1")
    kept = {"stage3_block1_conv1_conv": [*range(10)], "stage3_block1_conv2_conv": [*range(4, 16)]}
    block = remove_channels(model, plan.model_copy(update={"kept": kept})).model.get_layer("stage3_block1")
    assert (block.reduced_filters, block.mid_filters) == (10, 12)


def test_composite_whose_config_cannot_express_widths_is_rebuilt_flat():
    @keras.saving.register_keras_serializable("tests")
    class Fixed(CompositeLayer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.conv = self.sublayer(layers.Conv2D, "conv", 8, 3)

        def build(self, input_shape):
            self.conv.build(input_shape)

        def call(self, inputs):
            return self.conv(inputs)

        def compute_output_shape(self, input_shape):
            return self.conv.compute_output_shape(input_shape)

    image = keras.Input((8, 8, 3))
    model = classifier(Fixed(name="fixed")(image), image)
    removal = remove_channels(model, plan_channels(model, budget="params:0.5", round_to=1))
    assert removal.form == "flat"
    assert removal.widths["fixed_conv"] == (8, removal.model.get_layer("fixed_conv").filters)


@settings(max_examples=8, deadline=None)
@given(
    widths=st.lists(st.integers(2, 9), min_size=1, max_size=2),
    joins=st.lists(st.sampled_from(["add", "concatenate", "multiply"]), min_size=1, max_size=3),
    left=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_any_network_with_channels_removed_equals_the_masked_one(widths, joins, left, seed):
    """`remove_channels` raises if the rebuilt model differs from the masked original."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((6, 6, 3))
    x = image
    for width in widths:
        x = layers.Conv2D(width, 3, padding="same", bias_initializer="uniform", activation="relu")(x)
    for join in joins:
        sides = [layers.Conv2D(widths[-1], 1, bias_initializer="uniform")(layers.ReLU()(x)) for _ in range(2)]
        x = {"add": layers.Add, "concatenate": layers.Concatenate, "multiply": layers.Multiply}[join]()(sides)
    model = classifier(x, image)
    graph = ChannelGraph(model)
    choice = ChannelSelection(pruning_groups(graph), unit_importance(graph, "random", seed=seed), "global", 1)
    keep = choice.keep(round(left * len(choice.order)))
    assert remove_channels(model, plan_of(graph, keep)).model.count_params() == Costs(graph).parameters(keep)
