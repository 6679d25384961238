"""GoogLeNet's original parameter count, and its auxiliary heads."""

import math

import keras
import numpy as np
import pytest

from pocketzoo import zoo


@pytest.fixture
def narrow():
    """GoogLeNet with 1/16 of its channels."""
    return zoo.create_model("inception_v1", classes=3, labels=list("abc"), input_shape=(65, 70, 3), width=1 / 16)


def test_googlenet_with_biases_has_as_many_parameters_as_in_caffe():
    weights = zoo.create_model("inception_v1", norm=None).trainable_weights
    assert sum(math.prod(weight.shape) for weight in weights) == 6_998_552  # bvlc_googlenet without auxiliary heads


def test_auxiliary_heads_are_additional_outputs(narrow, pixels):
    training = zoo.with_auxiliary_heads(narrow)
    images = pixels(2, 65, 70, 3)
    answers = training(images, training=False)
    assert list(answers) == ["head", "auxiliary1", "auxiliary2"]
    np.testing.assert_array_equal(answers["head"], narrow(images, training=False))
    for answer in answers.values():
        assert answer.shape == (2, 3)
        np.testing.assert_allclose(np.sum(answer, axis=-1), 1, rtol=1e-5)
    assert training.get_layer("auxiliary1").labels == ["a", "b", "c"]


def test_auxiliary_heads_have_the_layers_of_the_paper():
    training = zoo.with_auxiliary_heads(zoo.create_model("inception_v1"))
    shapes = {layer.name: layer.output.shape[1:] for layer in training.layers}
    for name, channels in (("auxiliary1", 512), ("auxiliary2", 528)):
        assert shapes[f"{name}_pool"] == (4, 4, channels)  # section 5 of the paper
        assert shapes[f"{name}_conv"] == (4, 4, 128)
        assert shapes[f"{name}_hidden"] == (1024,)
        assert training.get_layer(name).dropout == 0.7


def test_training_with_auxiliary_heads_updates_the_original_model(narrow, pixels):
    training = zoo.with_auxiliary_heads(narrow)
    before = [weight.numpy().copy() for weight in narrow.trainable_weights]
    training.compile(
        keras.optimizers.SGD(0.1),
        dict.fromkeys(training.output_names, "sparse_categorical_crossentropy"),
        loss_weights={"head": 1, "auxiliary1": 0.3, "auxiliary2": 0.3},
        run_eagerly=True,  # one step; tracing takes longer
    )
    labels = np.arange(8) % 3
    training.train_on_batch(pixels(8, 65, 70, 3), dict.fromkeys(training.output_names, labels))
    moved = [np.any(weight.numpy() != old) for weight, old in zip(narrow.trainable_weights, before, strict=True)]
    assert all(moved)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "lenet5"}, "lenet5 cannot have auxiliary heads"),
        ({"name": "inception_v1", "head": "embedding"}, "with one head"),
        ({"name": "inception_v1", "head": {"a": "classification", "b": "regression"}}, "with one head"),
        ({"name": "inception_v1", "input_shape": (64, 65, 3)}, r"is \(64, 65\): auxiliary heads need .* 65 pixels"),
        ({"name": "inception_v1", "input_shape": (None, None, 3)}, "fixed height and width"),
    ],
)
def test_auxiliary_heads_for_other_models_are_refused(arguments, message):
    overrides = {} if arguments["name"] == "lenet5" else {"width": 1 / 16}
    with pytest.raises(zoo.InputError, match=message):
        zoo.with_auxiliary_heads(zoo.create_model(**arguments, **overrides))
