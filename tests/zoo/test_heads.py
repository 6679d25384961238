import numpy as np
import pytest

from pocketzoo import zoo

KINDS = ["classification", "multi_label", "regression", "segmentation", "embedding"]
SHAPES = {"embedding": (2, 64), "segmentation": (2, 33, 32, 5)}


@pytest.mark.parametrize("kind", KINDS)
def test_every_head_answers_in_its_shape_and_range(kind, pixels):
    classes = None if kind == "embedding" else 5
    model = zoo.create_model("resnet20", head=kind, classes=classes, input_shape=(33, 32, 3))
    answers = model(pixels(2, 33, 32, 3)).numpy()
    assert answers.shape == SHAPES.get(kind, (2, 5))
    if kind in ("classification", "segmentation"):
        np.testing.assert_allclose(answers.sum(axis=-1), 1, rtol=1e-5)
    if kind == "multi_label":
        assert ((answers >= 0) & (answers <= 1)).all()


@pytest.mark.parametrize("name", ["squeezenet1_1", "resnet20"])
def test_absent_classes_and_negative_numbers_can_be_answered(name, pixels):
    shape = (32, 32, 3)
    for kind, bias, least in (("multi_label", -100.0, 1e-6), ("regression", -100.0, -50.0)):
        model = zoo.create_model(name, head=kind, classes=4, input_shape=shape)
        model.get_layer("head").dense.bias.assign([bias] * 4)
        assert model(pixels(2, *shape)).numpy().max() < least


def test_several_heads_answer_by_name(pixels, tmp_path):
    model = zoo.create_model(
        "resnet20",
        head={"species": "classification", "weight": "regression", "feature": "embedding"},
        classes={"weight": 1},
        labels={"species": ["cat", "dog", "hen"]},
    )
    model = zoo.load_model(zoo.save_model(model, tmp_path / "several.keras"))
    answers = model(pixels(2, 32, 32, 3))
    assert {name: tuple(answer.shape) for name, answer in answers.items()} == {
        "species": (2, 3),
        "weight": (2, 1),
        "feature": (2, 64),
    }
    assert model.get_layer("head_species").labels == ["cat", "dog", "hen"]
    flat = zoo.flatten_model(model)(pixels(2, 32, 32, 3))
    for name, answer in answers.items():
        np.testing.assert_array_equal(flat[name], answer)


@pytest.mark.parametrize("name", ["resnet20", "lenet5"])
def test_replaced_head_keeps_the_backbones_weights_names_and_frozen_parts(name, pixels):
    model = zoo.create_model(name)
    model.layers[2].trainable = False
    other = zoo.replace_head(model, "multi_label", labels=["sun", "sea"])
    assert [layer.name for layer in other.layers] == [layer.name for layer in model.layers]
    assert [id(layer) for layer in other.layers[:-1]] == [id(layer) for layer in model.layers[:-1]]
    assert not other.layers[2].trainable
    assert other.name == name
    assert other(pixels(1, *model.input_shape[1:])).shape == (1, 2)
    assert zoo.feature_extractor(other).output.keys() == zoo.model_card(name).endpoints.keys()


def test_replaced_head_has_the_classes_of_the_old_one_unless_others_are_asked_for():
    model = zoo.create_model("resnet20", labels=["sun", "sea"])
    assert zoo.replace_head(model, "multi_label").get_layer("head").labels == ["sun", "sea"]
    assert zoo.replace_head(model, "regression", classes=3).output_shape == (None, 3)


def test_head_of_a_loaded_model_can_be_replaced_by_several(pixels, tmp_path):
    model = zoo.create_model("resnet20", head={"a": "classification", "b": "regression"})
    loaded = zoo.load_model(zoo.save_model(model, tmp_path / "m.keras"))
    images = pixels(2, 32, 32, 3)
    embedding = zoo.replace_head(model, "embedding")(images)
    again = zoo.replace_head(loaded, {"c": "embedding", "d": "multi_label"}, classes={"d": 4})(images)
    np.testing.assert_array_equal(again["c"], embedding)
    assert again["d"].shape == (2, 4)


@pytest.mark.parametrize("size", [64, None])
@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_segmentation_shows_the_whole_image_whatever_the_strides(size, output_stride, pixels):
    """A far corner of the image moves the far corner of the answer, and nothing is cut off unseen."""
    narrow = {"widths": (8, 8, 8, 8), "stem_width": 8, "output_stride": output_stride}
    model = zoo.create_model("resnet18", head="segmentation", classes=3, input_shape=(size, size, 3), **narrow)
    for each in (model, zoo.replace_head(model, "segmentation", classes=2)):
        head = each.get_layer("head")
        assert (head.strides, head.crop) == (output_stride, (0, 0))
        head.scores.kernel.assign(head.scores.kernel * 1e-3)  # so that no probability is as good as 1
        images = np.repeat(pixels(1, 64, 64, 3), 2, axis=0)
        images[1, -output_stride:, -output_stride:] = 0
        first, second = each(images).numpy()
        assert first.shape[:2] == (64, 64)
        assert np.any(first[-1, -1] != second[-1, -1])


def test_segmentation_of_an_open_size_covers_images_of_a_multiple_of_the_stride(pixels):
    model = zoo.create_model("resnet20", head="segmentation", classes=3, input_shape=(None, None, 3))
    assert model(pixels(1, 40, 64, 3)).shape == (1, 40, 64, 3)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("resnet20", {"head": "classifier"}, "unknown head 'classifier': did you mean classification"),
        ("resnet20", {"head": {"a": "clasification"}}, "unknown head 'clasification'"),
        ("resnet20", {"head": {}}, "head is an empty dict"),
        ("resnet20", {"head": {"a": "regression"}, "classes": 3}, "with several heads it is a dict by head"),
        ("resnet20", {"head": {"a": "regression"}, "classes": {"b": 3}}, "unknown head in classes of resnet20 'b'"),
        ("resnet20", {"classes": {"a": 3}}, "need a dict of heads"),
        ("resnet20", {"head": "embedding", "classes": 3}, "an embedding has no classes"),
        ("lenet5", {"head": "segmentation"}, "takes a map"),
    ],
)
def test_impossible_heads_say_what_is_allowed(name, arguments, message):
    with pytest.raises(zoo.InputError, match=message):
        zoo.create_model(name, **arguments)


def test_flat_model_gets_a_head_in_place_of_its_last_dense_layer(pixels, capsys):
    model, images = zoo.create_model("resnet20"), pixels(2, 32, 32, 3)
    other = zoo.replace_head(zoo.flatten_model(model), "embedding")
    assert "the input of head_dense, 64" in capsys.readouterr().err
    np.testing.assert_allclose(other(images), zoo.replace_head(model, "embedding")(images), rtol=1e-6)
