import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketzoo import zoo


def trainable(model: keras.Model) -> int:
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


def test_shortcut_type_can_be_overridden():
    assert trainable(zoo.create_model("resnet20", shortcut="projection")) == 272_474


def test_labels_set_the_number_of_classes_and_are_saved(tmp_path):
    model = zoo.create_model("lenet5", labels=["cat", "dog"])
    assert model.output_shape == (None, 2)
    reloaded = zoo.load_model(zoo.save_model(model, tmp_path / "m.keras"))
    assert reloaded.get_layer("head").labels == ["cat", "dog"]


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_weights_load_from_a_local_file(suffix, tmp_path, pixels):
    source = zoo.create_model("lenet5")
    path = tmp_path / f"lenet{suffix}"
    source.save(path) if suffix == ".keras" else source.save_weights(path)
    images = pixels(2, 32, 32, 1)
    np.testing.assert_array_equal(zoo.create_model("lenet5", weights=path)(images), source(images))


@pytest.mark.parametrize(
    ("name", "arguments"), [("lenet5", {}), ("resnet32", {}), ("resnet20", {"classes": 11, "shortcut": "projection"})]
)
def test_weights_of_another_architecture_are_refused(name, arguments, tmp_path):
    path = zoo.save_model(zoo.create_model(name, **arguments), tmp_path / "other.keras")
    message = (
        r"contains the weights of \w+, not of resnet20|not contain the weights of resnet20: .*only in the file \d+:"
    )
    with pytest.raises(zoo.InputError, match=message):
        zoo.create_model("resnet20", weights=path)


def test_optimizer_state_in_the_file_is_ignored(tmp_path):
    source = zoo.create_model("lenet5")
    source.compile("adam", "mse")
    source.optimizer.build(source.trainable_variables)
    zoo.create_model("lenet5", weights=zoo.save_model(source, tmp_path / "compiled.keras"))


@pytest.mark.parametrize(
    ("name", "suffix", "message"),
    [
        ("lenet5", ".keras", r"is not a \.keras model file"),
        ("lenet5", ".weights.h5", "cannot be read as weights"),
        ("lenet5", ".safetensors", "cannot be read as weights"),
        ("resnet50v1", ".h5", "cannot be read as weights"),
    ],
)
def test_damaged_weights_are_refused(name, suffix, message, tmp_path):
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(b"damaged")
    with pytest.raises(zoo.InputError, match=message):
        zoo.create_model(name, weights=path)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("lenet6", {}, "did you mean lenet5"),
        ("lenet5", {"classes": 0}, "classes is 0; it takes 1 or more"),
        ("lenet5", {"classes": 3, "labels": ["a", "b"]}, "2 labels for 3 classes"),
        ("lenet5", {"classes": 2.5}, "classes is 2.5; it takes a whole number"),
        ("lenet5", {"labels": ["a", "a"]}, "a list of different names"),
        ("lenet5", {"labels": "cat"}, "a list of different names"),
        ("lenet5", {"labels": ["a", "b\n"]}, "of one line each"),
        ("resnet20", {"input_shape": 32}, r"must be \(height, width, channels\)"),
        (
            "resnet20",
            {"shortcut": "foo"},
            "cannot be built with {'shortcut': 'foo'} on .*allowed are",
        ),
        ("lenet5", {"activation": "nope"}, "lenet5 cannot be built with"),
        ("lenet5", {"input_shape": (8, 32, 1)}, "minimum height and width are 16"),
        ("resnet20", {"input_shape": (32,)}, r"must be \(height, width, channels\)"),
        ("resnet20", {"input_shape": (32, 32, 0)}, r"must be \(height, width, channels\)"),
        ("resnet20", {"input_shape": (32, 32, None)}, r"must be \(height, width, channels\)"),
        ("lenet5", {"input_shape": (None, None, 1)}, "needs a fixed height and width"),
        ("lenet5", {"head": "classifier"}, "unknown head 'classifier': did you mean classification"),
        ("resnet20", {"short_cut": "pad"}, "unknown argument of resnet20 'short_cut': did you mean shortcut"),
        ("lenet5", {"classes": 1}, "the probability of a single class is always 1"),
        ("lenet5", {"dropout": 1.0}, "dropout is 1.0; it must be at least 0 and below 1"),
        ("resnet20", {"blocks": -1}, "blocks is -1; negative numbers are not allowed"),
        ("mobilenet_v2", {"width": 0}, "mobilenet_v2 cannot be built with {'width': 0} on .* above 0"),
        ("xception", {"width": float("inf")}, "xception cannot be built with {'width': inf}"),
        ("alexnet", {"widths": []}, "alexnet cannot be built with {'widths': .*} on"),
        ("vgg11", {"convs": 3}, "vgg11 cannot be built with {'convs': 3} on"),
        ("deeplab_v3_resnet50", {"backbone_arguments": 3}, "backbone_arguments is 3; it must be a dict"),
        ("deeplab_v3_resnet50", {"backbone_arguments": {"multi_grid": []}}, "cannot be built with"),
        ("inception_v3", {"head": "segmentation", "input_shape": (None, None, 3)}, "give a fixed height and width"),
        (["resnet20"], {}, "unknown model"),
        ("lenet5", {"weights": "imagenet"}, "there are .*a .keras, .weights.h5, .h5, .safetensors or .pth file"),
        ("lenet5", {"weights": "missing.keras"}, "there is no such file"),
    ],
)
def test_invalid_argument_is_refused(name, arguments, message):
    with pytest.raises(zoo.InputError, match=message):
        zoo.create_model(name, **arguments)


@settings(max_examples=8, deadline=None)
@given(height=st.integers(8, 70), width=st.integers(8, 70), channels=st.integers(1, 5), classes=st.integers(2, 20))
def test_resnet_feature_map_sizes_follow_from_its_strides(height, width, channels, classes):
    model = zoo.create_model("resnet20", input_shape=(height, width, channels), classes=classes)
    assert model.output_shape == (None, classes)
    for name, output in zoo.feature_extractor(model).output.items():
        stride = zoo.model_card("resnet20").endpoints[name].stride
        assert output.shape[1:3] == (math.ceil(height / stride), math.ceil(width / stride))


@settings(max_examples=15, deadline=None)
@given(height=st.integers(1, 70), width=st.integers(1, 70))
def test_lenet_accepts_every_size_above_its_minimum(height, width):
    if min(height, width) < 16:
        with pytest.raises(zoo.InputError, match="minimum"):
            zoo.create_model("lenet5", input_shape=(height, width, 1))
    else:
        assert zoo.create_model("lenet5", input_shape=(height, width, 1)).output_shape == (None, 10)


def test_dropout_of_any_model_can_be_set():
    assert zoo.create_model("resnet20", dropout=0.3).get_layer("head").dropout == 0.3
    vgg = zoo.create_model("vgg11", widths=(8,) * 5, hidden=(8, 8), dropout=0.1, input_shape=(32, 32, 3))
    assert (vgg.get_layer("dense2_drop").rate, vgg.get_layer("head").dropout) == (0.1, 0.1)


def test_channels_first_is_refused():
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(zoo.InputError, match="image_data_format is 'channels_first'"):
            zoo.create_model("mobilenet_v2")
    finally:
        keras.config.set_image_data_format("channels_last")


def test_long_list_of_allowed_values_is_truncated():
    with pytest.raises(zoo.InputError) as error:
        zoo.model_card("ResNet20")
    assert "did you mean resnet20" in str(error.value)
    assert len(str(error.value)) < 500
