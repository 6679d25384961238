"""Channels of models as users write them are removed, kept with the reason named, or refused in a sentence."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers, ops

from pocketzoo import training, zoo
from pocketzoo.training.compression.channels.choose.costs import Costs
from pocketzoo.training.compression.channels.choose.importance import unit_importance
from pocketzoo.training.compression.channels.choose.pruning_groups import pruning_groups
from pocketzoo.training.compression.channels.files import PruneFiles
from pocketzoo.training.compression.channels.graph.channel_graph import ChannelGraph


@keras.saving.register_keras_serializable("tests")
class Gain(layers.Layer):
    """A custom layer with weights of its own."""

    def build(self, shape):
        self.gain = self.add_weight(shape=(shape[-1],), initializer="ones", name="gain")

    def call(self, tensor):
        return tensor * self.gain


class Unserializable(Gain):
    """Has a constructor argument that its config lacks."""

    def __init__(self, function, **arguments):
        super().__init__(**arguments)
        self.function = function


def net(part, dtype: str | None = None) -> keras.Model:
    """A convolution, the part, another convolution and a classifier."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(12, 3, padding="same", bias_initializer="uniform", name="before", dtype=dtype)(image)
    x = part(x)
    x = layers.Conv2D(12, 1, name="after", dtype=dtype)(x) if len(x.shape) == 4 else x
    x = layers.GlobalAveragePooling2D()(x) if len(x.shape) == 4 else x
    return keras.Model(image, layers.Dense(3, dtype=dtype)(x), name="net")


def pruned(model: keras.Model, budget: str = "params:0.8"):
    """Raises if the result is not equivalent to masking."""
    return training.prune_channels(model, budget=budget, criterion="random", round_to=1)


@settings(max_examples=12, deadline=None)
@given(st.none() | st.sets(st.integers(1, 3), min_size=1).map(sorted), st.integers(0, 99))
def test_prelu_with_any_shared_axes_is_narrowed(shared_axes, seed):
    slopes = layers.PReLU(
        alpha_initializer=keras.initializers.RandomUniform(-0.5, 0.5, seed=seed), shared_axes=shared_axes
    )
    assert pruned(net(slopes)).widths["before"][1] < 12


REMOVED = {
    "x + y": lambda x: x + layers.Conv2D(12, 3, padding="same")(x),
    "2 * x": lambda x: 1 - 2 * x,
    "ops.relu": ops.relu,
    "leaky_relu": lambda x: ops.leaky_relu(x, 0.1),
    "gate": lambda x: x * ops.sigmoid(ops.mean(x, axis=(1, 2), keepdims=True)),
    "ops.concatenate": lambda x: ops.concatenate([x, ops.tanh(x)], axis=-1),
    "ops.mean": lambda x: ops.mean(x, axis=(1, 2)),
    "ops.reshape": lambda x: ops.reshape(x, (-1, 64 * 12)),
    "ops.pad": lambda x: ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))),
    "ops.max_pool": lambda x: ops.max_pool(x, 2),
    "slice of positions": lambda x: x[:, 1:-1, 2:],
    "SeparableConv2D": layers.SeparableConv2D(8, 3, depth_multiplier=2),
    "Conv2DTranspose": layers.Conv2DTranspose(8, 3, strides=2),
    "Flatten": lambda x: layers.PReLU()(layers.BatchNormalization()(layers.Flatten()(x))),
}
KEPT = {
    "Lambda": (layers.Lambda(lambda tensor: tensor * 2, name="own"), "own", "no rule"),
    "Lambda that narrows": (layers.Lambda(lambda tensor: tensor[..., :5], name="own"), "own", "no rule"),
    "custom layer": (Gain(name="own"), "own", "no rule"),
    "BatchNormalization": (layers.BatchNormalization(axis=1, name="rows"), "rows", "another axis than the last"),
    "GroupNormalization": (layers.GroupNormalization(4, name="groups"), "groups", "mixes its channels"),
    "LayerNormalization": (layers.LayerNormalization(name="all"), "all", "mixes its channels"),
    "x[..., :5]": (lambda x: x[..., :5], "GetItem of before", "no rule"),
    "split": (lambda x: ops.split(x, 2, axis=-1)[1], "Split of before", "no rule"),
    "constants by channel": (lambda x: x * np.arange(12, dtype="float32"), "multiply", "number for each channel"),
    "attention": (
        lambda x: layers.MultiHeadAttention(2, 4, name="own")(t := layers.Reshape((64, 12))(x), t)[:, 0],
        "own",
        "no rule",
    ),
}


@pytest.mark.parametrize("part", REMOVED.values(), ids=REMOVED)
def test_channels_are_removed(part):
    result = pruned(net(part))
    assert result.widths["before"][1] < 12
    assert not result.frozen


@pytest.mark.parametrize(("part", "name", "reason"), KEPT.values(), ids=KEPT)
def test_channels_are_kept_and_the_layer_is_named_with_the_reason(part, name, reason):
    frozen = ChannelGraph(net(part)).frozen
    assert len(frozen) == 1
    ((layer, why),) = frozen.items()
    assert layer.startswith(name)
    assert reason in why


@pytest.mark.parametrize("part", [KEPT["Lambda that narrows"][0], KEPT["custom layer"][0]])
def test_model_around_a_kept_layer_is_narrowed(part):
    result = pruned(net(part))
    assert result.widths["before"] == (12, 12)
    assert result.widths["after"][1] < 12


def test_constants_of_removed_channels_do_not_reach_a_normalization_of_rows():
    def by_rows(x):
        x = layers.Conv2D(12, 1, use_bias=False)(layers.Conv2D(12, 3, bias_initializer="ones")(x))
        return layers.BatchNormalization(axis=1, beta_initializer="ones", moving_mean_initializer="ones")(x)

    result = pruned(net(by_rows))
    assert result.widths["before"][1] < 12
    assert "another axis than the last" in "".join(result.frozen.values())


def test_unreachable_budget_names_the_layers_that_keep_their_channels():
    with pytest.raises(
        zoo.InputError, match=r"takes \d+: that is the least .* kept by own \(Gain is of a type that has no"
    ):
        pruned(net(lambda x: layers.GlobalAveragePooling2D()(Gain(name="own")(x))))


def test_layer_that_cannot_be_copied_is_named():
    with pytest.raises(zoo.InputError, match=r"layer own \(Unserializable\) cannot be made again .*needs a get_config"):
        pruned(net(Unserializable(abs, name="own")))


def test_infinite_outputs_are_refused_in_a_sentence():
    model = net(lambda x: x)
    model.get_layer("after").bias.assign(np.full(12, np.inf))
    with pytest.raises(zoo.InputError, match="net computes numbers that are not finite"):
        pruned(model)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_model_of_mixed_precision_is_checked_in_float32(dtype):
    result = pruned(net(lambda x: ops.relu(x), dtype))
    assert result.history[0].difference < 1e-5
    assert result.model.get_layer("before").compute_dtype == dtype.removeprefix("mixed_")


def test_weights_of_reduced_precision_are_refused():
    with pytest.raises(zoo.InputError, match=r"net has weights of bfloat16, first .*mixed_bfloat16"):
        pruned(net(lambda x: x, "bfloat16"))


def test_layers_that_are_not_counted_allow_a_budget_of_parameters_only():
    steps = layers.Reshape((8, 1, 8, 12))
    model = net(lambda x: layers.ConvLSTM2D(4, 1, name="own")(steps(layers.Conv2D(12, 1)(x))))
    with pytest.raises(
        zoo.InputError, match=r"layer own \(ConvLSTM2D\) cannot be counted; use a budget of params or bytes"
    ):
        pruned(model, "macs:0.9")
    assert pruned(model).after.multiply_adds is None


def test_channels_are_removed_before_the_mean_of_instance_normalization():
    """Whose result are the offsets, which are all 0 in a new model."""
    result = pruned(net(lambda x: layers.GlobalAveragePooling2D()(layers.GroupNormalization(-1)(x))))
    assert result.widths["before"][1] < 12


def test_attention_counts_for_a_budget_of_multiply_adds():
    def attended(x):
        rows = layers.Reshape((64, 12))(layers.Conv2D(12, 1)(layers.Conv2D(24, 3, padding="same", name="wide")(x)))
        return layers.MultiHeadAttention(2, 4)(rows, rows)

    model = net(attended)
    result = pruned(model, "macs:0.9")
    assert result.after.multiply_adds == zoo.count_macs(result.model) <= 0.9 * zoo.count_macs(model)


@pytest.mark.parametrize("criterion", ["l1", "l2", "fpgm", "taylor", "obd", "activation"])
def test_importance_does_not_depend_on_the_positions_before_flatten(criterion):
    """A convolution before Flatten has channels that count once, not once for each of 64 positions."""
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3)).astype("uint8")
    data = training.from_arrays(images, np.arange(40) % 3, labels=list("abc"))
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", name="one")(layers.Rescaling(1 / 255)(image))
    x = layers.Flatten()(layers.Conv2D(8, 3, padding="same", activation="relu", name="two")(x))
    graph = ChannelGraph(keras.Model(image, layers.Dense(3, activation="softmax")(x)))
    importance = unit_importance(graph, criterion, data)
    one, two = (importance[graph.unit_of[graph.producers[name].labels]].mean() for name in ("one", "two"))
    assert one == pytest.approx(two, rel=1e-3) == pytest.approx(1, rel=1e-3)
    assert len(pruning_groups(graph)) == 2
    assert Costs(graph).kept_whole == {}


def test_overwriting_a_run_removes_only_what_it_wrote(tmp_path):
    model, recipe = net(lambda x: x), training.Recipe()
    with PruneFiles.open(tmp_path, model, None, recipe, {}, resume=False, overwrite=False):
        (tmp_path / "step1").mkdir()
        for name in ("step1.plan.json", "step12.plan.json", "steps_of_mine.txt", "step1_notes.txt"):
            (tmp_path / name).touch()
    with (
        pytest.raises(zoo.InputError, match="is not empty"),
        PruneFiles.open(tmp_path, model, None, recipe, {}, resume=False, overwrite=True),
    ):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"steps_of_mine.txt", "step1_notes.txt"}
