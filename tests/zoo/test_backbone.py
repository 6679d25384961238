"""Heads on models that are not from the zoo."""

import keras
import pytest
from keras import applications, layers

from pocketzoo import zoo

SMALL = {"weights": None, "input_shape": (32, 32, 3)}


def sequential(*parts):
    return keras.Sequential([keras.Input((32, 32, 3)), *parts], name="own")


def test_classifier_of_keras_applications_gets_a_head(capsys):
    model = applications.MobileNetV2(alpha=0.35, **SMALL)
    other = zoo.replace_head(model, "classification", labels=["cat", "dog"])
    assert other.output_shape == (None, 2)
    assert "the input of predictions, 1280" in capsys.readouterr().err
    assert [id(layer) for layer in other.layers[1:-1]] == [id(layer) for layer in model.layers[1:-1]]


@pytest.mark.parametrize("pooling", [None, "avg"])
def test_backbone_of_keras_applications_gets_a_head(pooling, capsys):
    model = applications.MobileNet(alpha=0.25, include_top=False, pooling=pooling, **SMALL)
    assert zoo.replace_head(model, "classification", classes=3).output_shape == (None, 3)
    assert "its output" in capsys.readouterr().err


def test_sequential_model_of_nested_models_gets_a_head():
    base = sequential(layers.Conv2D(4, 3, activation="relu"), layers.GlobalAveragePooling2D())
    top = keras.Sequential([keras.Input((4,)), layers.Dense(5, activation="relu"), layers.Dense(2)])
    model = sequential(base, top)
    other = zoo.replace_head(model, "classification", classes=3)
    assert other.get_layer("head").input.shape == (None, 5)


def test_map_of_classes_is_replaced_for_maps_only():
    model = sequential(layers.Conv2D(4, 3, activation="relu"), layers.Conv2D(2, 1, activation="softmax", name="scores"))
    assert zoo.replace_head(model, "segmentation", classes=3).get_layer("head").input.shape == (None, 30, 30, 4)
    assert zoo.replace_head(model, "classification", classes=3).get_layer("head").input.shape == (None, 30, 30, 2)


def test_layer_of_the_features_can_be_named():
    model = sequential(layers.Conv2D(4, 3, name="first"), layers.Conv2D(6, 3), layers.Flatten(), layers.Dense(2))
    assert zoo.replace_head(model, "regression", classes=1, features="first").get_layer("head").input.shape[-1] == 4
    with pytest.raises(zoo.InputError, match=r"unknown layer of own 'frist': did you mean first\?"):
        zoo.replace_head(model, "regression", classes=1, features="frist")


def test_several_outputs_need_the_name_of_a_layer():
    image = keras.Input((8, 8, 3))
    shared = layers.GlobalAveragePooling2D(name="shared")(image)
    model = keras.Model(image, [layers.Dense(1)(shared), layers.Dense(2)(shared)], name="two")
    with pytest.raises(zoo.InputError, match="two has 2 outputs; name a layer with features"):
        zoo.replace_head(model, "classification", classes=3)
    assert zoo.replace_head(model, "classification", classes=3, features="shared").output_shape == (None, 3)


def test_no_classes_are_guessed_for_a_backbone():
    model = applications.MobileNet(alpha=0.25, include_top=False, **SMALL)
    with pytest.raises(zoo.InputError, match="classes is None; it takes a whole number"):
        zoo.replace_head(model, "classification")
