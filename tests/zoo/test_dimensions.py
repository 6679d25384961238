"""The same architectures in one dimension, for signals, and in three, for volumes."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.signals import cards_in, narrow_net, waves

from pocketzoo import layers, zoo
from pocketzoo.layers.dimensions import in_dimensions, spatial_dimensions
from pocketzoo.zoo.planar_form import planar_form

VOLUMES = ("resnet20",)


def outputs(model, values):
    return keras.ops.convert_to_numpy(model(values, training=False))


def check_learns_and_returns(model, values, tmp_path):
    """Train a step, save, load and flatten: every form computes the same."""
    model.compile("sgd", "mse", run_eagerly=True)
    before = outputs(model, values)
    model.train_on_batch(values, 1 - before)
    after = outputs(model, values)
    assert np.abs(after - before).max() > 0
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(outputs(zoo.load_model(tmp_path / "model.keras"), values), after)
    np.testing.assert_allclose(outputs(zoo.flatten_model(model), values), after, atol=1e-6)


@pytest.mark.parametrize("name", cards_in(1))
def test_card_is_built_for_signals_trained_saved_and_written_for_images_of_one_row(name, tmp_path):
    model = narrow_net(name)
    length = zoo.model_card(name).smallest_input
    assert (model.input_shape, model.inputs[0].name) == ((None, length, 2), "signal")
    assert not [layer.name for layer in zoo.flatten_model(model).layers if "2D" in type(layer).__name__]
    signals = waves(4, length)
    check_learns_and_returns(model, signals, tmp_path)
    planar = planar_form(model)  # compares the two itself, before training as after
    np.testing.assert_allclose(
        outputs(planar, signals[:, None]).squeeze(), outputs(model, signals).squeeze(), atol=1e-5
    )
    kinds = {type(layer).__name__ for layer in planar.layers}
    assert not {kind for kind in kinds if "1D" in kind}
    assert not [
        kind for kind in kinds if getattr(layers, kind, None) not in (None, layers.PixelNormalization, layers.Answer)
    ]


@pytest.mark.parametrize("name", cards_in(3, VOLUMES))
def test_card_is_built_for_volumes_trained_and_saved(name, tmp_path):
    model = narrow_net(name, 3)
    side = zoo.model_card(name).smallest_input
    assert (model.input_shape, model.inputs[0].name) == ((None, side, side, side, 2), "volume")
    check_learns_and_returns(model, np.random.default_rng(0).uniform(0, 255, (2, side, side, side, 2)), tmp_path)


def test_net_for_signals_is_that_for_images_of_width_one():
    """A net for images whose kernels have one column, and the net for signals, are the same function."""
    signal = layers.ConvNormAct(3, (5, 1), strides=2, padding="symmetric", dimensions=1)
    image = layers.ConvNormAct(3, (5, 1), strides=2, padding="symmetric")
    values = waves(2, 11)
    signal.build(values.shape)
    image.build(values[:, :, None].shape)
    image.set_weights([own.reshape(to.shape) for own, to in zip(signal.get_weights(), image.weights, strict=True)])
    np.testing.assert_allclose(image(values[:, :, None])[:, :, 0], signal(values), atol=1e-6)


def test_cards_for_images_alone_name_the_families_that_take_signals_and_volumes():
    with pytest.raises(
        zoo.InputError, match=r"squeezenet.*takes no signals; the families that do are .*resnet, .*unet"
    ):
        zoo.create_model("squeezenet1_1", input_shape=(64, 2))
    with pytest.raises(zoo.InputError, match=r"lenet5: .* it takes no volumes; the families that do are resnet, "):
        zoo.create_model("lenet5", input_shape=(32, 32, 32, 1))


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("lenet5", (8, 1), "the minimum length is"),
        ("resnet20", (8, 8, 4, 1), "the minimum depth, height and width are 8"),
        ("lenet5", (None, 1), "needs a fixed length"),
        ("resnet20", (32, 0), r"must be \(height, width, channels\), such as .*, or of a signal \(length, channels\)"),
        ("resnet20", (32,), "must be"),
    ],
)
def test_wrong_shapes_of_signals_are_refused(name, shape, message):
    with pytest.raises(zoo.InputError, match=message):
        zoo.create_model(name, input_shape=shape)


def test_tasks_of_images_are_refused_on_signals():
    with pytest.raises(zoo.InputError, match=r"the task image_to_image is of images; of signals and volumes are class"):
        zoo.create_model("unet_same", input_shape=(32, 2), head="image_to_image", classes=1)


def test_dimensions_around_a_layer_hold_for_it_and_an_argument_for_it_alone():
    with spatial_dimensions(1):
        assert isinstance(layers.ConvNormAct(2, 3).conv, keras.layers.Conv1D)
        assert isinstance(layers.ConvNormAct(2, 3, dimensions=3).conv, keras.layers.Conv3D)
    assert isinstance(layers.ConvNormAct(2, 3).conv, keras.layers.Conv2D)
    assert "dimensions" not in layers.ConvNormAct(2, 3).get_config()  # files stay those of earlier versions
    assert in_dimensions(layers.L2Pool2D, 1) is layers.L2Pool2D
    with pytest.raises(ValueError, match="Keras has no DepthwiseConv3D"):
        layers.DepthwiseConvNormAct(3, dimensions=3)
    with pytest.raises(ValueError, match="has 2 sides, and the inputs 3"):
        layers.ConvNormAct(2, (1, 7), dimensions=3)


def random_net(data):
    """A net of stock layers for signals, with any of their arguments."""
    size, strides = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 2))
    padding = data.draw(st.sampled_from(["same", "valid"]))
    dilation = data.draw(st.integers(1, 2)) if strides == 1 else 1
    window = {"strides": strides, "padding": padding}
    steps = [
        lambda: keras.layers.Conv1D(4, size, dilation_rate=dilation, groups=2, **window),
        lambda: keras.layers.Conv1D(4, size, padding="causal", dilation_rate=dilation),
        lambda: keras.layers.DepthwiseConv1D(size, depth_multiplier=2, **window),
        lambda: keras.layers.SeparableConv1D(4, size, **window),
        lambda: keras.layers.Conv1DTranspose(4, size, **window),
        lambda: keras.layers.MaxPooling1D(size, **window),
        lambda: keras.layers.AveragePooling1D(size, **window),
        lambda: keras.layers.UpSampling1D(size),
        lambda: keras.layers.ZeroPadding1D((size, 1)),
        lambda: keras.layers.ZeroPadding1D((2, 0), data_format="channels_first"),
        lambda: keras.layers.Cropping1D((1, 0)),
        lambda: keras.layers.PReLU(shared_axes=[1], alpha_initializer="random_normal"),
        lambda: keras.layers.BatchNormalization(gamma_initializer="random_normal"),
        lambda: keras.layers.LayerNormalization(),
        lambda: keras.layers.Dense(4, activation="tanh"),
        lambda: keras.layers.SpatialDropout1D(0.5),
    ]
    x = inputs = keras.Input((40, 2))
    for step in data.draw(st.lists(st.sampled_from(steps), min_size=1, max_size=3)):
        x = step()(x)
    ends = [keras.layers.Flatten, keras.layers.GlobalMaxPooling1D, keras.layers.GlobalAveragePooling1D]
    return keras.Model(inputs, data.draw(st.sampled_from(ends))()(x))


@given(st.data())
@settings(max_examples=10, deadline=None)
def test_any_net_of_stock_layers_computes_the_same_on_images_of_one_row(data):
    net = random_net(data)
    signals = waves(2, 40)
    np.testing.assert_allclose(outputs(planar_form(net), signals[:, None]), outputs(net, signals), atol=1e-5)


def test_layers_without_a_form_for_images_are_refused_by_name():
    inputs = keras.Input((13, 2))
    with pytest.raises(zoo.InputError, match=r"its layer .* \(LSTM\) has no form that can be exported"):
        planar_form(keras.Model(inputs, keras.layers.LSTM(4)(inputs)))
    with pytest.raises(zoo.InputError, match="leaves its length open"):
        planar_form(zoo.create_model("resnet20", input_shape=(None, 2)))
