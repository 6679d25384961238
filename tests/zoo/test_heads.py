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


def test_head_of_a_loaded_model_can_be_replaced_by_several(pixels, tmp_path):
    model = zoo.create_model("resnet20", head={"a": "classification", "b": "regression"})
    loaded = zoo.load_model(zoo.save_model(model, tmp_path / "m.keras"))
    images = pixels(2, 32, 32, 3)
    embedding = zoo.replace_head(model, "embedding")(images)
    again = zoo.replace_head(loaded, {"c": "embedding", "d": "multi_label"}, classes={"d": 4})(images)
    np.testing.assert_array_equal(again["c"], embedding)
    assert again["d"].shape == (2, 4)


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


def test_model_without_a_head_of_the_zoo_keeps_what_it_has():
    model = zoo.create_model("resnet20")
    with pytest.raises(zoo.InputError, match="has no head of the zoo"):
        zoo.replace_head(zoo.flatten_model(model), "regression", classes=1)
