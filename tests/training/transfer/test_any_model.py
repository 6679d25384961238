"""Fine-tuning of models that are not from the zoo."""

import keras
import numpy as np
import pytest
from keras import layers

from pocketzoo import training, zoo

RECIPE = training.FineTuneRecipe(epochs=1, head_epochs=1, batch_size=8, augmentation="none", precision="float32")


@pytest.fixture(scope="module")
def data():
    """Three classes that differ in brightness, so that every epoch is better than the one before."""
    classes = np.arange(48) % 3
    images = np.random.default_rng(0).integers(0, 86, (48, 32, 32, 3)) + 85 * classes[:, None, None, None]
    return training.from_arrays(images.astype("uint8"), classes, labels=list("abc"))


def transfer_idiom():
    """A pretrained net without its classifier inside another, and a dense layer."""
    image = keras.Input((32, 32, 3))
    maps = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="first")(image)
    maps = layers.BatchNormalization(name="norm")(layers.Conv2D(4, 3, padding="same", activation="relu")(maps))
    maps = layers.Add()([maps, layers.DepthwiseConv2D(3, padding="same")(maps)])
    base = keras.Model(image, layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="last")(maps))
    image = keras.Input((32, 32, 3))
    features = layers.GlobalAveragePooling2D()(base(layers.Rescaling(1 / 127.5, -1)(image), training=False))
    return keras.Model(image, layers.Dense(3, activation="softmax", name="scores")(features), name="own")


def moved(model, before):
    """Names of the layers whose kernels have other values than before."""
    pairs = zip(model.trainable_weights, before, strict=True)
    return {
        weight.path.split("/")[-2] for weight, old in pairs if weight.name == "kernel" and (weight != old).numpy().any()
    }


def test_head_is_trained_first_and_the_nested_backbone_after_it(data):
    model = transfer_idiom()
    before = [weight.numpy() for weight in model.trainable_weights]
    training.fine_tune(model, data, RECIPE.changed(mode="feature_extraction"), verbose=False)
    assert moved(model, before) == {"scores"}
    result = training.fine_tune(model, data, RECIPE, verbose=False)
    assert [phase["name"] for phase in result.metrics["phases"]] == ["head", "fine-tuning"]
    assert {"first", "last", "scores"} <= moved(model, before)


def test_stages_are_the_sizes_of_maps_and_can_be_unfrozen_from_one_on(data):
    model = transfer_idiom()
    assert [row.stage for row in training.trainable_report(model).stages] == ["16x16", "8x8", "heads"]
    before = [weight.numpy() for weight in model.trainable_weights]
    training.fine_tune(model, data, RECIPE.changed(unfreeze_from="8x8"), verbose=False)
    assert moved(model, before) == {"last", "scores"}


@pytest.mark.every_card
def test_sequential_model_with_a_new_head_is_fine_tuned(data):
    parts = [keras.Input((32, 32, 3)), layers.Conv2D(8, 3, activation="relu"), layers.Flatten(), layers.Dense(7)]
    model = zoo.replace_head(keras.Sequential(parts), data.task, labels=data.labels)
    training.fine_tune(model, data, RECIPE.changed(mode="linear_probe"), verbose=False)
    training.fine_tune(model, data, RECIPE.changed(mode="gradual", epochs=2), verbose=False)


def test_features_name_the_end_of_the_backbone(data):
    parts = [keras.Input((32, 32, 3)), layers.Conv2D(4, 3, name="first"), layers.Conv2D(4, 3, name="second")]
    model = keras.Sequential([*parts, layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax")])
    second = model.get_layer("second").kernel.numpy()
    recipe = RECIPE.changed(mode="feature_extraction")
    training.fine_tune(model, data, recipe, features="first", verbose=False)
    assert not np.array_equal(model.get_layer("second").kernel, second)
    with pytest.raises(zoo.InputError, match=r"unknown layer of .* 'thrid'"):
        training.fine_tune(model, data, recipe, features="thrid", verbose=False)
