"""Selection of the layers to prune."""

import keras
import pytest
from support.cards import narrow_model

from pocketzoo import training, zoo
from pocketzoo.layers.fake_quantization import FakeQuantize
from pocketzoo.training.compression.weights.layer_selection import prunable_layers, select_layers


def selected(model: keras.Model, **sparsity) -> list[str]:
    return list(select_layers(model, training.Sparsity(**sparsity)))


@pytest.fixture(scope="module")
def resnet():
    return zoo.create_model("resnet20", input_shape=(16, 16, 1), classes=10)


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("lenet5", "stage1_conv_conv", "head_dense"),
        ("resnet20", "stem_conv", "head_dense"),
        ("unet", "stage1_conv1_conv", "head_scores"),
        ("squeezenet1_1", "stem_conv", "head_dense"),
    ],
)
def test_first_and_last_layer_stay_dense_by_default(name, first, last):
    model = narrow_model(name, classes=3)
    names = [layer.name for layer in prunable_layers(model).values()]
    assert set(names) - set(selected(model)) == {first, last}
    assert selected(model, keep_ends=False) == names


def test_all_layers_next_to_an_input_or_output_stay_dense():
    image = keras.Input((8, 8, 3))
    left, right = (keras.layers.Conv2D(4, 3, name=name)(image) for name in ("left", "right"))
    middle = keras.layers.Conv2D(4, 1, name="middle")(keras.layers.Add()([left, right]))
    pooled = keras.layers.GlobalAveragePooling2D()(middle)
    outputs = [keras.layers.Dense(2, name=name)(pooled) for name in ("one", "other")]
    assert selected(keras.Model(image, outputs)) == ["middle"]


def test_layers_are_included_and_excluded_by_pattern(resnet):
    names = selected(resnet, include=["stage2_*", "stage3_block1_*"], exclude=["*_conv2_conv"])
    assert names
    assert all(name.startswith(("stage2_", "stage3_block1_")) and "_conv2" not in name for name in names)


def test_first_matching_pattern_sets_the_target(resnet):
    sparsity = training.Sparsity(target=0.5, layers={"stage2_block1_*": 0.9, "stage2_*": 0.7})
    targets = select_layers(resnet, sparsity)
    assert targets["stage1_block1_conv1_conv"] == 0.5
    assert targets["stage2_block1_conv1_conv"] == 0.9
    assert targets["stage2_block2_conv1_conv"] == 0.7


@pytest.mark.parametrize(
    ("sparsity", "message"),
    [
        ({"include": ["stage9_*"]}, "unknown layer in include 'stage9_.'"),
        ({"exclude": ["stem_cov"]}, "unknown layer in exclude 'stem_cov': did you mean stem_conv"),
        ({"layers": {"stem_norm": 0.5}}, "unknown layer in layers 'stem_norm'"),
        ({"include": ["stem_*"]}, "has no layer left to prune; head_dense and stem_conv stay dense by keep_ends"),
        ({"exclude": ["*"], "keep_ends": False}, "has no layer left to prune.$"),
    ],
)
def test_patterns_without_a_match_are_refused(resnet, sparsity, message):
    with pytest.raises(zoo.InputError, match=message):
        selected(resnet, **sparsity)


def test_frozen_layers_are_not_pruned(resnet):
    model = keras.models.clone_model(resnet)
    model.get_layer("stage1_block1").trainable = False
    assert not any(name.startswith("stage1_block1_") for name in selected(model))


def test_separable_convolution_is_pruned_in_its_pointwise_kernel(few_digits):
    image = keras.Input((32, 32, 1))
    separable = keras.layers.SeparableConv2D(8, 3)
    pooled = keras.layers.GlobalAveragePooling2D()(separable(keras.layers.Conv2D(4, 3)(image)))
    model = keras.Model(image, keras.layers.Dense(10, activation="softmax")(pooled))
    training.prune(model, few_digits, training.Recipe(epochs=1, batch_size=60), sparsity=0.5, verbose=False)
    assert (separable.pointwise_kernel.numpy() == 0).sum() == 16
    assert (separable.depthwise_kernel.numpy() != 0).all()


def quantized_by_keras() -> keras.Model:
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="dense")])
    model.quantize("int8")
    return model


def quantized_for_training() -> keras.Model:
    image = keras.Input((8,))
    return keras.Model(image, keras.layers.Dense(4)(FakeQuantize(name="dense")(image)))


@pytest.mark.parametrize("make", [quantized_by_keras, quantized_for_training])
def test_quantized_model_is_refused(few_digits, make):
    for verb in (training.prune, training.sensitivity):
        with pytest.raises(
            zoo.InputError, match="is already quantized, first in layer dense; it must be pruned before that"
        ):
            verb(make(), few_digits)
