"""Conformance of every layer; a new layer is added to `support.layer_cases`."""

import json

import keras
import numpy as np
import pytest
from keras.src import testing
from support.layer_cases import CASES

from pocketzoo import layers


@pytest.mark.parametrize(("layer_class", "arguments", "input_shape", "output_shape", "trainable"), CASES)
def test_keras_layer_test(layer_class, arguments, input_shape, output_shape, trainable):
    testing.TestCase().run_layer_test(
        layer_class,
        arguments,
        input_shape=input_shape,
        expected_output_shape=output_shape,
        expected_num_trainable_weights=trainable,
        # The outputs of a head are float32 under any policy, which Keras' dtype check does not expect.
        run_mixed_precision_check=not issubclass(layer_class, layers.Head),
        # Keras' check trains from a generator, and TensorFlow does not accept lists of inputs from one.
        run_training_check=not isinstance(input_shape, list),
        supports_masking=None,
    )


@pytest.mark.parametrize(("layer_class", "arguments", "input_shape", "output_shape", "trainable"), CASES)
def test_config_rebuilds_the_layer_with_every_argument(layer_class, arguments, input_shape, output_shape, trainable):
    layer = layer_class(**arguments)
    config = layer.get_config()
    assert arguments.keys() <= config.keys()
    assert layer_class.from_config(json.loads(json.dumps(config))).get_config() == config


@pytest.mark.parametrize(("layer_class", "arguments", "input_shape", "output_shape", "trainable"), CASES)
def test_sublayers_are_named_after_their_layer(layer_class, arguments, input_shape, output_shape, trainable):
    layer = layer_class(**arguments, name="stage3_block2")
    layer.build(input_shape)  # creates some sublayers
    parts = list(layer._flatten_layers(include_self=False))
    assert all(part.name.startswith("stage3_block2_") for part in parts)
    assert len({part.name for part in parts}) == len(parts)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize(("layer_class", "arguments", "input_shape", "output_shape", "trainable"), CASES)
def test_layer_computes_in_the_precision_of_its_policy(
    layer_class, arguments, input_shape, output_shape, trainable, policy
):
    layer = layer_class(**arguments, dtype=policy)
    if isinstance(input_shape, list):
        images = [np.ones(shape, "float32") for shape in input_shape]
    else:
        images = np.ones(input_shape, "float32")
    output = layer(images)
    expected = "float32" if issubclass(layer_class, layers.Head) else policy.removeprefix("mixed_")
    assert keras.backend.standardize_dtype(output.dtype) == expected
    assert np.isfinite(keras.ops.convert_to_numpy(keras.ops.cast(output, "float32"))).all()
    assert all(weight.dtype == "float32" for weight in layer.weights if "seed_generator" not in weight.path)


@pytest.mark.parametrize(("layer_class", "arguments", "input_shape", "output_shape", "trainable"), CASES)
def test_every_weight_is_in_the_saved_file(layer_class, arguments, input_shape, output_shape, trainable, tmp_path):
    def make() -> keras.Model:
        shapes = input_shape if isinstance(input_shape, list) else [input_shape]
        inputs = [keras.Input(shape[1:]) for shape in shapes]
        return keras.Model(inputs, layer_class(**arguments)(inputs if isinstance(input_shape, list) else inputs[0]))

    saved, loaded = make(), make()
    saved.set_weights([np.random.default_rng(0).uniform(size=weight.shape) for weight in saved.get_weights()])
    saved.save_weights(tmp_path / "layer.weights.h5")
    loaded.load_weights(tmp_path / "layer.weights.h5")
    for weight, expected in zip(loaded.get_weights(), saved.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_every_public_layer_has_a_case():
    bases = {layers.CompositeLayer, layers.ChainLayer, layers.Head, layers.FeatureDistance}
    public = {getattr(layers, name) for name in layers.__all__} - bases
    assert public == {case.values[0] for case in CASES}
