"""Strict loading of weights, with adaptation to other heads, input sizes and channels."""

import pickle
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file
from support import peers

from pocketzoo import training, zoo
from pocketzoo.zoo.pretrained.weighted_layers import named_weights

NARROW = {"widths": (8, 8, 16, 16), "stem_width": 8}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, randomize_batch_norm):
    """A small model as after training, and its saved file."""
    keras.utils.set_random_seed(0)
    model = randomize_batch_norm(zoo.create_model("resnet20", labels=["cat", "dog", "fox"]))
    return model, zoo.save_model(model, tmp_path_factory.mktemp("trained") / "mine.keras")


def tensors_of(model: keras.Model) -> dict[str, np.ndarray]:
    return {name: weight.numpy() for name, weight in named_weights(model).items()}


def test_saved_model_keeps_its_classes_and_labels(trained, pixels):
    model, path = trained
    again = zoo.create_model("resnet20", weights=path)
    assert again.get_layer("head").labels == ["cat", "dog", "fox"]
    images = pixels(2, 32, 32, 3)
    np.testing.assert_array_equal(again(images), model(images))


def test_native_safetensors_load(trained, tmp_path, pixels):
    model, _ = trained
    save_file(tensors_of(model), tmp_path / "mine.safetensors")
    again = zoo.create_model("resnet20", weights=tmp_path / "mine.safetensors", classes=3)
    images = pixels(2, 32, 32, 3)
    np.testing.assert_array_equal(again(images), model(images))


@pytest.mark.parametrize(
    "arguments",
    [{"classes": 5}, {"labels": ["bee", "ant", "fly"]}, {"head": "multi_label", "classes": 3}],
    ids=["another count", "other labels", "another kind"],
)
def test_different_head_is_initialized_and_logged(trained, arguments, caplog):
    model, path = trained
    other = zoo.create_model("resnet20", weights=path, **arguments)
    assert "resnet20: randomly initialized, not from" in caplog.text
    assert caplog.text.strip().endswith(": layers head")
    ours, theirs = tensors_of(other), tensors_of(model)
    for name in theirs:
        same = np.array_equal(ours[name], theirs[name])
        assert same != (name == "head_dense/kernel") or name == "head_dense/bias"


def test_embedding_loads_everything_but_the_head(trained, caplog):
    model, path = trained
    ours, theirs = tensors_of(zoo.create_model("resnet20", weights=path, head="embedding")), tensors_of(model)
    assert theirs.keys() - ours.keys() == {"head_dense/kernel", "head_dense/bias"}
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    assert caplog.text == ""


def test_segmentation_encoder_loads_backbone_weights(tmp_path, caplog, randomize_batch_norm):
    backbone = randomize_batch_norm(zoo.create_model("resnet34", input_shape=(64, 64, 3), **NARROW))
    path = zoo.save_model(backbone, tmp_path / "backbone.keras")
    unet = zoo.create_model(
        "unet_resnet34", weights=path, labels=["road", "sky"], input_shape=(64, 64, 3), backbone_arguments=NARROW
    )
    ours, theirs = tensors_of(unet), tensors_of(backbone)
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs if name in ours)
    encoder = {name for name in theirs if not name.startswith("head")}
    assert encoder <= ours.keys()
    assert "randomly initialized" in caplog.text
    assert caplog.text.strip().endswith(", head")
    assert "stage" not in caplog.text


def test_weights_of_a_shallower_encoder_are_refused(tmp_path):
    backbone = zoo.create_model("resnet34", input_shape=(64, 64, 3), **NARROW)
    path = zoo.save_model(backbone, tmp_path / "backbone.keras")
    deeper = NARROW | {"blocks": [3, 4, 7, 3]}
    with pytest.raises(zoo.InputError, match="stage3_block7_conv1_conv/kernel is missing in the file"):
        zoo.create_model("unet_resnet34", weights=path, input_shape=(64, 64, 3), backbone_arguments=deeper)


@pytest.mark.parametrize("suffix", [".keras", ".safetensors"])
def test_grayscale_output_equals_color_output_with_equal_normalization(trained, suffix, tmp_path, pixels):
    model, path = trained
    if suffix == ".safetensors":
        path = zoo.save_weights(model, tmp_path / "mine.safetensors")
    grey = zoo.create_model("resnet20", weights=path, input_shape=(32, 32, 1))
    images = pixels(4, 32, 32, 1)
    assert named_weights(grey)["stem_conv/kernel"].shape[2] == 1
    np.testing.assert_allclose(grey(images), model(np.repeat(images, 3, axis=-1)), atol=1e-6)


def test_grayscale_output_equals_color_output_with_a_mean_per_channel(trained, tmp_path, pixels):
    tensors = tensors_of(trained[0])
    tensors["pixels/mean"], tensors["pixels/scale"] = np.float32([124, 116, 104]), np.float32([0.017, 0.018, 0.02])
    save_file(tensors, tmp_path / "w.safetensors")
    color = zoo.create_model("resnet20", weights=tmp_path / "w.safetensors", classes=3)
    grey = zoo.create_model("resnet20", weights=tmp_path / "w.safetensors", classes=3, input_shape=(32, 32, 1))
    images = pixels(4, 32, 32, 1)
    np.testing.assert_allclose(grey(images), color(np.repeat(images, 3, axis=-1)), atol=1e-6)
    np.testing.assert_allclose(zoo.flatten_model(grey)(images), grey(images), atol=1e-6)
    grey.save_weights(tmp_path / "grey.weights.h5")
    again = zoo.create_model("resnet20", weights=tmp_path / "grey.weights.h5", classes=3, input_shape=(32, 32, 1))
    np.testing.assert_array_equal(again(images), grey(images))


def test_additional_channels_repeat_the_first_kernel(trained, tmp_path):
    model, _ = trained
    path = zoo.save_weights(model, tmp_path / "mine.safetensors")
    five = named_weights(zoo.create_model("resnet20", weights=path, input_shape=(32, 32, 5)))[
        "stem_conv/kernel"
    ].numpy()
    kernel = named_weights(model)["stem_conv/kernel"].numpy()
    np.testing.assert_allclose(five, kernel[:, :, [0, 1, 2, 0, 1]] * 0.6, rtol=1e-6)


def test_another_input_size_initializes_only_dense_layers_that_depend_on_it(tmp_path, caplog):
    narrow = {"widths": (4, 4, 8, 8, 8), "hidden": (16, 12)}
    path = zoo.save_model(zoo.create_model("vgg11", input_shape=(64, 64, 3), **narrow), tmp_path / "v.keras")
    zoo.create_model("vgg11", weights=path, input_shape=(96, 96, 3), **narrow)
    assert ": layers dense1" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("stage2_block1_conv1_norm/beta"), "stage2_block1_conv1_norm/beta is missing in the file"),
        (lambda t: t.update({"more/kernel": np.zeros(3, "f4")}), "only in the file 1: more/kernel"),
        (
            lambda t: t.update({"stem_conv/kernel": np.zeros((3, 3, 3, 8), "f4")}),
            r"kernel is \(3, 3, 3, 8\) in the file",
        ),
        (lambda t: t["stem_conv/kernel"].fill(np.nan), "432 of the 432 values of tensor stem_conv/kernel are NaN"),
        (lambda t: t.update({"stem_conv/kernel": np.zeros((3, 3, 3, 16), "i4")}), "is of int32"),
    ],
    ids=["missing", "left over", "shape", "NaN", "integers"],
)
def test_file_with_wrong_tensors_is_refused(trained, change, message, tmp_path):
    tensors = tensors_of(trained[0])
    change(tensors)
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(zoo.InputError, match=message):
        zoo.create_model("resnet20", weights=tmp_path / "w.safetensors", classes=3)


def test_truncated_weights_are_refused(trained, tmp_path):
    path = zoo.save_weights(trained[0], tmp_path / "cut.safetensors")
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(zoo.InputError, match="cannot be read as weights"):
        zoo.create_model("resnet20", weights=path)


@pytest.mark.parametrize("suffix", [".keras", ".safetensors"])
def test_same_shapes_in_another_architecture_are_refused(suffix, tmp_path):
    """v1 has its stride in another convolution than v1.5, and PyTorch pads differently; weights do not show it."""
    save = zoo.save_model if suffix == ".keras" else zoo.save_weights
    v1 = save(zoo.create_model("resnet50v1", input_shape=(32, 32, 3), **NARROW), tmp_path / f"v1{suffix}")
    with pytest.raises(zoo.InputError, match="contains the weights of resnet50v1, not of resnet50"):
        zoo.create_model("resnet50", input_shape=(32, 32, 3), weights=v1, **NARROW)
    torch = {"padding": "symmetric", "input_shape": (32, 32, 3)}
    padded = save(zoo.create_model("mobilenet_v2_035", **torch), tmp_path / f"padded{suffix}")
    with pytest.raises(zoo.InputError, match="padding is 'symmetric' in the file and 'same' in the model"):
        zoo.create_model("mobilenet_v2_035", input_shape=(32, 32, 3), weights=padded)
    zoo.create_model("mobilenet_v2_035", weights=padded, **torch)


@pytest.mark.parametrize("missing", ["dense1", "head_dense"])
def test_layer_missing_in_the_file_is_refused(missing, tmp_path):
    tensors = tensors_of(zoo.create_model("lenet5"))
    save_file({name: t for name, t in tensors.items() if not name.startswith(missing)}, tmp_path / "w.safetensors")
    with pytest.raises(zoo.InputError, match=f"{missing}/kernel is missing in the file"):
        zoo.create_model("lenet5", weights=f"digits={tmp_path / 'w.safetensors'}", head="classification")


def test_saved_model_with_nan_is_refused(tmp_path):
    model = zoo.create_model("lenet5")
    model.get_layer("dense1").bias.assign(np.full(120, np.nan))
    model.save_weights(tmp_path / "nan.weights.h5")
    for path in (zoo.save_model(model, tmp_path / "nan.keras"), tmp_path / "nan.weights.h5"):
        with pytest.raises(zoo.InputError, match="NaN or infinite"):
            zoo.create_model("lenet5", weights=path)


def test_matching_heads_are_loaded(tmp_path, caplog):
    heads, classes = {"a": "classification", "b": "multi_label"}, {"a": 3, "b": 3}
    model = zoo.create_model("resnet20", blocks=1, head=heads, classes=classes)
    path = zoo.save_model(model, tmp_path / "several.keras")
    heads["b"] = "regression"
    other = zoo.create_model("resnet20", blocks=1, head=heads, classes=classes, weights=path)
    ours, theirs = tensors_of(other), tensors_of(model)
    np.testing.assert_array_equal(ours["head_a_dense/kernel"], theirs["head_a_dense/kernel"])
    assert not np.array_equal(ours["head_b_dense/kernel"], theirs["head_b_dense/kernel"])
    assert caplog.text.strip().endswith(": layers head_b")


def test_number_of_classes_comes_from_a_pytorch_file(tmp_path):
    _, shapes = peers.read_state_dict(peers.STATE_DICTS / "timm-mobilenetv2_050.txt")
    tensors = {name: peers.drawn_tensor(name, shape, 2.0) for name, shape in shapes.items()}
    tensors |= {name: tensors[name][:5] for name in ("classifier.weight", "classifier.bias")}
    save_file(tensors, tmp_path / "mine.safetensors")
    model = zoo.create_model("mobilenet_v2_050", weights=tmp_path / "mine.safetensors", input_shape=(64, 64, 3))
    assert model.output_shape == (None, 5)
    assert model.get_layer("head").labels is None
    np.testing.assert_array_equal(tensors_of(model)["head_dense/bias"], tensors["classifier.bias"])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("nosuch=w.safetensors", "unknown weights for resnet50 'nosuch': there are a1_in1k"),
        ("a1_in1k=none.safetensors", r"none\.safetensors: there is no such file"),
        ("digits", "unknown weights for resnet50 'digits'"),
    ],
)
def test_unknown_weights_list_the_alternatives(weights, message):
    with pytest.raises(zoo.InputError, match=message):
        zoo.create_model("resnet50", weights=weights)


def test_layout_without_published_weights_is_refused(tmp_path):
    (tmp_path / "w.h5").write_bytes(b"")
    with pytest.raises(zoo.InputError, match="lenet5 has no published weights in the layout of keras"):
        zoo.create_model("lenet5", weights=tmp_path / "w.h5")


def test_number_of_classes_comes_from_a_file_without_description(trained, tmp_path):
    save_file(tensors_of(trained[0]), tmp_path / "w.safetensors")
    assert zoo.create_model("resnet20", weights=tmp_path / "w.safetensors").output_shape == (None, 3)


def test_weights_are_saved_with_a_description(trained, tmp_path, pixels):
    model, _ = trained
    again = zoo.create_model("resnet20", weights=zoo.save_weights(model, tmp_path / "mine.safetensors"))
    assert again.get_layer("head").labels == ["cat", "dog", "fox"]
    images = pixels(2, 32, 32, 3)
    np.testing.assert_array_equal(again(images), model(images))
    with pytest.raises(zoo.InputError, match=r"must end in \.safetensors"):
        zoo.save_weights(model, tmp_path / "mine.h5")


def test_pickle_is_never_executed(tmp_path, monkeypatch):
    """PyTorch's loader accepts only tensors; it is replaced by its reaction to anything else."""
    path = tmp_path / "net.pth"
    path.write_bytes(b"pickle")
    asked = {}

    def load(path, **options):
        asked.update(options)
        raise pickle.UnpicklingError("Unsupported class")

    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(load=load, __spec__=ModuleSpec("torch", None)))
    with pytest.raises(zoo.InputError, match="contains more than tensors, or is damaged; nothing in it was executed"):
        zoo.create_model("resnet50", weights=f"a1_in1k={path}")
    assert asked["weights_only"] is True


@pytest.mark.parametrize("name", [name for name in zoo.list_models() if "digits" in zoo.model_card(name).pretrained])
def test_shipped_weights_have_the_accuracy_on_the_card(name):
    model = zoo.create_model(name, weights="digits")
    data = training.load_data("digits", image_size=model.input_shape[1:3], channels=model.input_shape[3])
    stated = zoo.model_card(name).pretrained["digits"].top1
    assert training.evaluate(model, data).accuracy == pytest.approx(stated / 100, abs=0.003)  # one image of 360


def test_shipped_weights_are_small():
    shipped = list((Path(zoo.__file__).parent / "weights").iterdir())
    assert len(shipped) == 2
    assert sum(path.stat().st_size for path in shipped) < 2e6


def test_pytorch_file_without_pytorch_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("pocketzoo.zoo.pretrained.tensor_files.find_spec", lambda name: None)
    (tmp_path / "net.pth").write_bytes(b"pickle")
    with pytest.raises(zoo.InputError, match=r"reading \.pth needs PyTorch \(pip install torch\)"):
        zoo.create_model("resnet50", weights=tmp_path / "net.pth")
    with pytest.raises(zoo.InputError, match=r"reading \.pth needs PyTorch"):
        zoo.create_model("vgg16", weights="IMAGENET1K_V1")  # before half a gigabyte is downloaded


def test_unknown_tag_lists_the_available_tags():
    with pytest.raises(zoo.InputError, match="unknown weights for resnet50v1 'imagenet1k': did you mean imagenet"):
        zoo.create_model("resnet50v1", weights="imagenet1k")
    with pytest.raises(zoo.InputError, match="unknown weights for resnet50v1 'a1_in1k': there are keras, imagenet"):
        zoo.create_model("resnet50v1", weights="a1_in1k")
