"""Which layers are pruned."""

import keras
import pytest
from support.cards import narrow_model

from pocketzoo import training, zoo
from pocketzoo.layers.fake_quantization import FakeQuantize
from pocketzoo.training.compression.weights.layer_selection import prunable_layers, select_layers


def selected(model: keras.Model, **how) -> list[str]:
    return list(select_layers(model, training.Sparsity(**how)))


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
def test_first_and_last_layer_stay_dense_unless_told_otherwise(name, first, last):
    model = narrow_model(name, classes=3)
    names = [layer.name for layer in prunable_layers(model)]
    assert set(names) - set(selected(model)) == {first, last}
    assert selected(model, keep_ends=False) == names


def test_all_layers_next_to_an_image_or_an_answer_are_ends():
    image = keras.Input((8, 8, 3))
    left, right = (keras.layers.Conv2D(4, 3, name=name)(image) for name in ("left", "right"))
    middle = keras.layers.Conv2D(4, 1, name="middle")(keras.layers.Add()([left, right]))
    pooled = keras.layers.GlobalAveragePooling2D()(middle)
    answers = [keras.layers.Dense(2, name=name)(pooled) for name in ("one", "other")]
    assert selected(keras.Model(image, answers)) == ["middle"]


def test_layers_are_included_and_excluded_by_pattern(resnet):
    names = selected(resnet, include=["stage2_*", "stage3_block1_*"], exclude=["*_conv2_conv"])
    assert names
    assert all(name.startswith(("stage2_", "stage3_block1_")) and "_conv2" not in name for name in names)


def test_first_pattern_that_matches_says_the_target(resnet):
    how = training.Sparsity(target=0.5, layers={"stage2_block1_*": 0.9, "stage2_*": 0.7})
    targets = select_layers(resnet, how)
    assert targets["stage1_block1_conv1_conv"] == 0.5
    assert targets["stage2_block1_conv1_conv"] == 0.9
    assert targets["stage2_block2_conv1_conv"] == 0.7


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"include": ["stage9_*"]}, "unknown layer in include 'stage9_.'"),
        ({"exclude": ["stem_cov"]}, "unknown layer in exclude 'stem_cov': did you mean stem_conv"),
        ({"layers": {"stem_norm": 0.5}}, "unknown layer in layers 'stem_norm'"),
        ({"include": ["stem_*"]}, "has no layer left to prune; head_dense and stem_conv stay dense by keep_ends"),
        ({"exclude": ["*"], "keep_ends": False}, "has no layer left to prune.$"),
    ],
)
def test_patterns_that_match_nothing_are_refused(resnet, how, message):
    with pytest.raises(zoo.InputError, match=message):
        selected(resnet, **how)


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
        with pytest.raises(zoo.InputError, match="is quantized already, as layer dense says; it is pruned before that"):
            verb(make(), few_digits)


def sparse_net(library, *, block=lambda layers, x: x, strides=1, end="GlobalAveragePooling2D"):
    """A small net of `keras` or `tf_keras`, with all that XNNPACK infers, and `block` in its middle."""
    layers = library.layers
    image = library.Input((16, 16, 3))
    x = layers.ZeroPadding2D(1, name="pad")(layers.Rescaling(1 / 255, name="pixels")(image))
    x = layers.ReLU(6.0, name="stem_relu")(layers.Conv2D(8, 3, strides=2, name="stem")(x))
    expanded = layers.Conv2D(16, 1, name="expand")(x)
    expanded = layers.BatchNormalization(name="norm")(expanded)
    expanded = layers.Activation("relu", name="relu")(expanded)
    expanded = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(expanded)
    squeezed = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(expanded)
    gate = layers.Conv2D(16, 1, activation="sigmoid", name="gate")(squeezed)
    x = layers.Add(name="sum")(
        [x, layers.Conv2D(8, 1, name="project")(layers.Multiply(name="scale")([expanded, gate]))]
    )
    x = layers.ZeroPadding2D(2, name="wide_pad")(block(layers, x))
    x = layers.DepthwiseConv2D(5, strides=2, name="wide")(x)
    x = layers.Conv2D(8, 1, strides=strides, name="last")(x)
    x = getattr(layers, end)(name="end")(x)
    return library.Model(image, layers.Dense(2, name="dense")(x))


BLOCKS = {
    "nothing": {},
    "leaky": {"block": lambda layers, x: layers.LeakyReLU(name="block")(x)},
    "dropout": {"block": lambda layers, x: layers.Dropout(0.5, name="block")(x)},
    "tanh": {"block": lambda layers, x: layers.Activation("tanh", name="block")(x)},
    "3x3": {"block": lambda layers, x: layers.Conv2D(8, 3, padding="same", name="block")(x)},
    "groups": {"block": lambda layers, x: layers.Conv2D(8, 1, groups=2, name="block")(x)},
    "pooling": {"block": lambda layers, x: layers.MaxPooling2D(2, name="block")(x)},
    "uneven depthwise": {
        "block": lambda layers, x: layers.DepthwiseConv2D(3, strides=2, padding="same", name="block")(x)
    },
    "bare depthwise": {"block": lambda layers, x: layers.DepthwiseConv2D(3, name="block")(x)},
    "dilation": {
        "block": lambda layers, x: layers.DepthwiseConv2D(3, dilation_rate=2, padding="same", name="block")(x)
    },
    "nearest": {"block": lambda layers, x: layers.UpSampling2D(interpolation="nearest", name="block")(x)},
    "bilinear": {"block": lambda layers, x: layers.UpSampling2D(interpolation="bilinear", name="block")(x)},
    "concatenation": {"block": lambda layers, x: layers.Concatenate(name="block")([x, x])},
    "strides": {"strides": 2},
    "maximum": {"end": "GlobalMaxPooling2D"},
}


@pytest.mark.parametrize("how", BLOCKS.values(), ids=BLOCKS)
def test_what_is_pruned_for_xnnpack_and_what_is_not_for_it_is_as_tfmot_has_it(how):
    import tensorflow_model_optimization as tfmot
    import tf_keras

    theirs, policy = sparse_net(tf_keras, **how), tfmot.sparsity.keras.PruneForLatencyOnXNNPack()
    try:
        policy.ensure_model_supports_pruning(theirs)
        names = [layer.name for layer in theirs.layers if policy.allow_pruning(layer)]
    except ValueError:
        names = None
    ours = sparse_net(keras, **how)
    if names is None:
        with pytest.raises(zoo.InputError, match="is not for policy xnnpack"):
            selected(ours, policy="xnnpack")
    else:
        assert selected(ours, policy="xnnpack") == names == ["expand", "gate", "project", "last"]


@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v3_small"])
def test_mobilenets_with_symmetric_padding_are_for_xnnpack(name):
    model = narrow_model(name, padding="symmetric")
    kernels = {layer.name: layer.kernel_size for layer in prunable_layers(model) if hasattr(layer, "kernel_size")}
    names = selected(model, policy="xnnpack")
    assert names
    assert {kernels[name] for name in names} == {(1, 1)}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mobilenet_v2", "create the model with padding='symmetric'"),
        ("resnet20", "its image does not go into a 3x3 convolution of 3 channels"),
    ],
)
def test_models_that_xnnpack_has_no_sparse_inference_of_are_refused(name, message):
    with pytest.raises(zoo.InputError, match=f"is not for policy xnnpack: .*{message}"):
        selected(narrow_model(name), policy="xnnpack")


def test_layer_without_a_kernel_in_xnnpack_is_named():
    image = keras.Input((16, 16, 3))
    stem = keras.layers.Conv2D(8, 3, strides=2)(keras.layers.ZeroPadding2D(1)(image))
    wide = keras.layers.Conv2D(8, 3, padding="same", name="wide")(stem)
    pooled = keras.layers.GlobalAveragePooling2D()(wide)
    model = keras.Model(image, keras.layers.Dense(2)(pooled))
    with pytest.raises(zoo.InputError, match=r"layer wide .Conv2D. has no kernel there"):
        selected(model, policy="xnnpack")
