import keras
import numpy as np
import pytest
from keras import layers

from pocketzoo import zoo

HAND_COUNTED = [
    pytest.param(layers.Conv2D(8, 3, padding="same"), 10 * 12 * 9 * 4 * 8, id="conv"),
    pytest.param(layers.Conv2D(8, 3, strides=2), 4 * 5 * 9 * 4 * 8, id="conv-strided-valid"),
    pytest.param(layers.Conv2D(8, 3, groups=2, padding="same"), 10 * 12 * 9 * 2 * 8, id="grouped"),
    pytest.param(layers.Conv2D(8, 3, dilation_rate=2), 6 * 8 * 9 * 4 * 8, id="dilated"),
    pytest.param(layers.DepthwiseConv2D(3, padding="same"), 10 * 12 * 9 * 4, id="depthwise"),
    pytest.param(layers.SeparableConv2D(8, 3, padding="same"), 10 * 12 * (9 * 4 + 4 * 8), id="separable"),
    pytest.param(layers.Conv2DTranspose(8, 2, strides=2), 10 * 12 * 4 * 4 * 8, id="transposed"),
    pytest.param(layers.Dense(8), 10 * 12 * 4 * 8, id="dense-on-a-map"),
    pytest.param(layers.MaxPooling2D(2), 0, id="pooling"),
    pytest.param(layers.BatchNormalization(), 0, id="norm"),
    pytest.param(layers.LayerNormalization(axis=[1, 2, 3]), 0, id="norm-over-positions"),
]


@pytest.mark.parametrize(("layer", "expected"), HAND_COUNTED)
def test_multiply_adds_are_those_counted_by_hand(layer, expected):
    image = keras.Input((10, 12, 4))
    assert zoo.count_macs(keras.Model(image, layer(image))) == expected


def test_layer_applied_twice_counts_its_macs_twice_and_its_weights_once():
    image = keras.Input((8, 8, 3))
    conv = layers.Conv2D(3, 3, padding="same", use_bias=False)
    rows = [row for row in zoo.layer_table(keras.Model(image, conv(conv(image)))) if row.kind == "Conv2D"]
    assert [row.multiply_adds for row in rows] == [8 * 8 * 81] * 2
    assert [row.parameters for row in rows] == [81, 0]


def test_rows_add_up_to_the_model():
    model = zoo.create_model("resnet20")
    rows = zoo.layer_table(model)
    normalization = model.get_layer("pixels").count_params()
    assert sum(row.parameters for row in rows) == model.count_params() - normalization
    assert [row.name for row in rows if row.kind == "Conv2D"][:2] == ["stem_conv", "stage1_block1_conv1_conv"]
    assert (rows[-1].output_shape, rows[-1].stage) == ((10,), "head")


def test_receptive_fields_grow_along_the_model():
    rows = {row.name: row for row in zoo.layer_table(zoo.create_model("resnet20"))}
    assert rows["stem_conv"].receptive_field == zoo.receptive_field([(3, 1)]) == 3
    assert rows["stage1_block3_act"].receptive_field == zoo.receptive_field([(3, 1)] * 7)
    stage2 = [(3, 1)] * 7 + [(3, 2)] + [(3, 1)] * 5
    assert rows["stage2_block3_act"].receptive_field == zoo.receptive_field(stage2)
    assert rows["head_pool"].receptive_field is None


@pytest.mark.parametrize("name", ["lenet5", "resnet20"])
def test_receptive_field_is_what_changes_a_pixel_in_the_middle(name):
    """Pixels outside of it do not change the map there, and its border does."""
    card = zoo.model_card(name)
    endpoint = next(iter(card.endpoints.values()))
    model = zoo.create_model(name, input_shape=(33, 33, 1))
    field = max(
        row.receptive_field
        for row in zoo.layer_table(model)
        if row.name.startswith(endpoint.layer) and row.receptive_field
    )
    maps = zoo.feature_extractor(model, [next(iter(card.endpoints))])
    black = maps(np.zeros((1, 33, 33, 1), "float32"))
    middle = next(iter(black.values())).shape[1] // 2
    moved = []
    for column in range(33):
        image = np.zeros((1, 33, 33, 1), "float32")
        image[:, :, column] = 255
        moved.append(
            np.any(next(iter(maps(image).values()))[0, middle, middle] != next(iter(black.values()))[0, middle, middle])
        )
    columns = np.flatnonzero(moved)
    assert columns[-1] - columns[0] + 1 == field


UNCOUNTED = [
    pytest.param((4, 4, 4, 3), layers.ConvLSTM2D(4, 3), id="convolutional-lstm"),
    pytest.param((16, 3), layers.TimeDistributed(layers.Dense(4)), id="time-distributed"),
]
OF_OTHER_RANK = [
    pytest.param((16, 3), layers.Conv1D(4, 3), 14 * 3 * 3 * 4, id="conv1d"),
    pytest.param((8, 8, 8, 3), layers.Conv3D(4, 3), 6**3 * 27 * 3 * 4, id="conv3d"),
    pytest.param((16, 4), layers.EinsumDense("abc,cd->abd", output_shape=(None, 5)), 16 * 4 * 5, id="einsum"),
    pytest.param((16, 3), layers.LSTM(5), 16 * 4 * 5 * (3 + 5), id="lstm"),
    pytest.param((16, 3), layers.SimpleRNN(5), 16 * 5 * (3 + 5), id="rnn"),
    pytest.param((16, 3), layers.Bidirectional(layers.GRU(5)), 2 * 16 * 3 * 5 * (3 + 5), id="gru-both-ways"),
]


@pytest.mark.parametrize(("shape", "layer", "expected"), OF_OTHER_RANK)
def test_multiply_adds_of_sequences_and_volumes(shape, layer, expected):
    image = keras.Input(shape)
    assert zoo.count_macs(keras.Model(image, layer(image))) == expected


def test_multiply_adds_of_attention_are_those_of_its_projections_and_products():
    image = keras.Input((16, 8))
    rows, keys, attend = layers.Dense(7)(image), layers.AveragePooling1D(4)(image), layers.MultiHeadAttention(2, 3, 5)
    (row,) = [row for row in zoo.layer_table(keras.Model(image, attend(rows, keys))) if "Attention" in row.kind]
    projections = 16 * 7 * 6 + 4 * 8 * 6 + 4 * 8 * 10 + 16 * 10 * 7
    assert row.multiply_adds == projections + 16 * 4 * 2 * (3 + 5)
    assert row.receptive_field is None


@pytest.mark.parametrize(("shape", "layer"), UNCOUNTED)
def test_layer_that_cannot_be_counted_is_named_rather_than_counted_as_zero(shape, layer):
    image = keras.Input(shape)
    with pytest.raises(zoo.InputError, match=f"layer {layer.name} .* cannot be counted"):
        zoo.count_macs(keras.Model(image, layer(image)))


def test_operation_with_several_outputs_has_a_row():
    image = keras.Input((8, 8, 4))
    first, second = keras.ops.split(image, 2, axis=-1)
    model = keras.Model(image, layers.Conv2D(3, 3)(layers.Add()([first, second])))
    assert zoo.count_macs(model) == 6 * 6 * 9 * 2 * 3


@pytest.mark.parametrize("model", [keras.Sequential([layers.Dense(3)]), keras.Model()], ids=["unbuilt", "subclassed"])
def test_model_without_a_graph_is_refused(model):
    with pytest.raises(zoo.InputError, match="its input shape is unknown"):
        zoo.count_macs(model)


def test_auxiliary_heads_are_counted():
    both = zoo.with_auxiliary_heads(zoo.create_model("inception_v1", width=0.25, input_shape=(65, 65, 3)))
    assert zoo.count_macs(both) > 0


def test_open_size_cannot_be_counted():
    model = zoo.create_model("resnet20", input_shape=(None, None, 3))
    with pytest.raises(zoo.InputError, match="fixed size only"):
        zoo.count_macs(model)


def test_counting_does_not_change_the_model():
    model = zoo.create_model("resnet20")
    before = [weight.numpy().copy() for weight in model.weights]
    zoo.count_macs(model)
    assert zoo.feature_extractor(model, ["stage2"]).output["stage2"].shape == (None, 16, 16, 32)
    for weight, old in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, old)
