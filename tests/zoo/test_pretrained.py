"""Weights into models: strictly, and adapted where something else is asked for."""

from pathlib import Path

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

from pocketzoo import training, zoo
from pocketzoo.zoo.pretrained.anatomy import named_weights

NARROW = {"widths": (8, 8, 16, 16), "stem_width": 8}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, randomize_batch_norm):
    """A small net as somebody trained it, and the file that they saved."""
    keras.utils.set_random_seed(0)
    model = randomize_batch_norm(zoo.create_model("resnet20", labels=["cat", "dog", "fox"]))
    return model, zoo.save_model(model, tmp_path_factory.mktemp("trained") / "mine.keras")


def tensors_of(model: keras.Model) -> dict[str, np.ndarray]:
    return {name: weight.numpy() for name, weight in named_weights(model).items()}


def test_saved_model_brings_its_classes_and_labels(trained, pixels):
    model, path = trained
    again = zoo.create_model("resnet20", weights=path)
    assert again.get_layer("head").labels == ["cat", "dog", "fox"]
    images = pixels(2, 32, 32, 3)
    np.testing.assert_array_equal(again(images), model(images))


def test_safetensors_of_our_names_load(trained, tmp_path, pixels):
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
def test_another_head_stays_fresh_and_the_log_says_so(trained, arguments, caplog):
    model, path = trained
    other = zoo.create_model("resnet20", weights=path, **arguments)
    assert "resnet20: fresh, not from" in caplog.text
    assert caplog.text.strip().endswith("are the layers head")
    ours, theirs = tensors_of(other), tensors_of(model)
    for name in theirs:
        same = np.array_equal(ours[name], theirs[name])
        assert same != (name == "head_dense/kernel") or name == "head_dense/bias"


def test_embedding_takes_all_but_the_head_and_has_nothing_fresh(trained, caplog):
    model, path = trained
    ours, theirs = tensors_of(zoo.create_model("resnet20", weights=path, head="embedding")), tensors_of(model)
    assert theirs.keys() - ours.keys() == {"head_dense/kernel", "head_dense/bias"}
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    assert caplog.text == ""


def test_encoder_of_a_segmentation_net_takes_its_backbones_weights(tmp_path, caplog, randomize_batch_norm):
    backbone = randomize_batch_norm(zoo.create_model("resnet34", input_shape=(64, 64, 3), **NARROW))
    path = zoo.save_model(backbone, tmp_path / "backbone.keras")
    unet = zoo.create_model(
        "unet_resnet34", weights=path, labels=["road", "sky"], input_shape=(64, 64, 3), backbone_arguments=NARROW
    )
    ours, theirs = tensors_of(unet), tensors_of(backbone)
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs if name in ours)
    encoder = {name for name in theirs if not name.startswith("head")}
    assert encoder <= ours.keys()
    assert "fresh" in caplog.text
    assert caplog.text.strip().endswith(", head")
    assert "stage" not in caplog.text


def test_deeper_encoder_than_the_weights_is_refused(tmp_path):
    backbone = zoo.create_model("resnet34", input_shape=(64, 64, 3), **NARROW)
    path = zoo.save_model(backbone, tmp_path / "backbone.keras")
    deeper = NARROW | {"blocks": [3, 4, 7, 3]}
    with pytest.raises(zoo.InputError, match="stage3_block7_conv1_conv/kernel is missing in the file"):
        zoo.create_model("unet_resnet34", weights=path, input_shape=(64, 64, 3), backbone_arguments=deeper)


def test_grey_images_are_answered_as_in_colour_where_channels_are_treated_alike(trained, pixels):
    model, path = trained
    grey = zoo.create_model("resnet20", weights=path, input_shape=(32, 32, 1))
    images = pixels(4, 32, 32, 1)
    assert named_weights(grey)["stem_conv/kernel"].shape[2] == 1
    np.testing.assert_allclose(grey(images), model(np.repeat(images, 3, axis=-1)), atol=1e-6)


def test_grey_images_are_answered_as_in_colour_where_every_channel_has_its_own_mean(trained, tmp_path, pixels):
    tensors = tensors_of(trained[0])
    tensors["pixels/mean"], tensors["pixels/scale"] = np.float32([124, 116, 104]), np.float32([0.017, 0.018, 0.02])
    save_file(tensors, tmp_path / "w.safetensors")
    colour = zoo.create_model("resnet20", weights=tmp_path / "w.safetensors", classes=3)
    grey = zoo.create_model("resnet20", weights=tmp_path / "w.safetensors", classes=3, input_shape=(32, 32, 1))
    images = pixels(4, 32, 32, 1)
    np.testing.assert_allclose(grey(images), colour(np.repeat(images, 3, axis=-1)), atol=1e-6)
    np.testing.assert_allclose(zoo.flatten_model(grey)(images), grey(images), atol=1e-6)


def test_more_bands_take_the_colours_kernels_in_turn(trained):
    model, path = trained
    five = named_weights(zoo.create_model("resnet20", weights=path, input_shape=(32, 32, 5)))[
        "stem_conv/kernel"
    ].numpy()
    kernel = named_weights(model)["stem_conv/kernel"].numpy()
    np.testing.assert_allclose(five, kernel[:, :, [0, 1, 2, 0, 1]] * 0.6, rtol=1e-6)


def test_another_size_takes_all_but_the_dense_layers_that_depend_on_it(tmp_path, caplog):
    narrow = {"widths": (4, 4, 8, 8, 8), "hidden": (16, 12)}
    path = zoo.save_model(zoo.create_model("vgg11", input_shape=(64, 64, 3), **narrow), tmp_path / "v.keras")
    zoo.create_model("vgg11", weights=path, input_shape=(96, 96, 3), **narrow)
    assert "are the layers dense1" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("stage2_block1_conv1_norm/beta"), "stage2_block1_conv1_norm/beta is missing in the file"),
        (lambda t: t.update({"more/kernel": np.zeros(3, "f4")}), "in the file only 1: more/kernel"),
        (
            lambda t: t.update({"stem_conv/kernel": np.zeros((3, 3, 3, 8), "f4")}),
            r"kernel is \(3, 3, 3, 8\) in the file",
        ),
        (lambda t: t["stem_conv/kernel"].fill(np.nan), "432 of the 432 numbers of tensor stem_conv/kernel are NaN"),
        (lambda t: t.update({"stem_conv/kernel": np.zeros((3, 3, 3, 16), "i4")}), "is of int32"),
    ],
    ids=["missing", "left over", "shape", "NaN", "integers"],
)
def test_file_that_is_not_whole_is_refused(trained, change, message, tmp_path):
    tensors = tensors_of(trained[0])
    change(tensors)
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(zoo.InputError, match=message):
        zoo.create_model("resnet20", weights=tmp_path / "w.safetensors", classes=3)


@pytest.mark.parametrize("suffix", [".safetensors", ".h5"])
def test_file_that_is_cut_short_is_refused(trained, suffix, tmp_path):
    whole, cut = tmp_path / "whole.safetensors", tmp_path / f"cut{suffix}"
    save_file(tensors_of(trained[0]), whole)
    cut.write_bytes(whole.read_bytes()[:-1000])
    name = "resnet20" if suffix == ".safetensors" else "resnet50v1"
    with pytest.raises(zoo.InputError, match="cannot be read as weights"):
        zoo.create_model(name, weights=cut)


@pytest.mark.parametrize("name", [name for name in zoo.list_models() if "digits" in zoo.model_card(name).pretrained])
def test_weights_that_ship_are_as_good_as_the_card_says(name):
    model = zoo.create_model(name, weights="digits")
    data = training.load_data("digits", image_size=model.input_shape[1:3], channels=model.input_shape[3])
    stated = zoo.model_card(name).pretrained["digits"].top1
    assert training.evaluate(model, data).accuracy == pytest.approx(stated / 100, abs=0.003)  # one image of 360


def test_weights_that_ship_are_small():
    shipped = list((Path(zoo.__file__).parent / "weights").iterdir())
    assert len(shipped) == 2
    assert sum(path.stat().st_size for path in shipped) < 2e6


def test_file_of_pytorchs_says_what_it_takes_to_read_it(tmp_path, monkeypatch):
    monkeypatch.setattr("pocketzoo.zoo.pretrained.tensors.find_spec", lambda name: None)
    (tmp_path / "net.pth").write_bytes(b"pickle")
    with pytest.raises(zoo.InputError, match=r"reading \.pth takes PyTorch \(pip install torch\)"):
        zoo.create_model("resnet50", weights=tmp_path / "net.pth")
    with pytest.raises(zoo.InputError, match=r"reading \.pth takes PyTorch"):
        zoo.create_model("vgg16", weights="IMAGENET1K_V1")  # before half a gigabyte is downloaded


def test_unknown_tag_lists_those_there_are():
    with pytest.raises(zoo.InputError, match="unknown weights for resnet50v1 'imagenet1k': did you mean imagenet"):
        zoo.create_model("resnet50v1", weights="imagenet1k")
    with pytest.raises(zoo.InputError, match="unknown weights for resnet50v1 'a1_in1k': there are keras, imagenet"):
        zoo.create_model("resnet50v1", weights="a1_in1k")
