import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketzoo import training, zoo


@given(
    st.builds(
        training.Recipe,
        epochs=st.integers(1, 1000),
        batch_size=st.integers(1, 4096),
        optimizer=st.builds(dict, name=st.sampled_from(["adamw", "sgd", "lion"]), lr=st.floats(1e-8, 10)),
        augmentation=st.just("strong") | st.lists(st.sampled_from(["flip", "mixup", {"name": "zoom", "factor": 0.3}])),
        loss=st.none() | st.just("dice") | st.just(["dice", {"name": "focal", "gamma": 1.5}]),
        early_stopping=st.none() | st.integers(1, 50),
    )
)
def test_recipe_survives_its_file(tmp_path_factory, recipe):
    path = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    path.write_text(recipe.to_yaml())
    assert training.Recipe.load(path) == recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch: 3", r"epoch: Extra inputs are not permitted \(got 3\). Its fields are epochs"),
        ("epochs: 0", "epochs: Input should be greater than 0"),
        ("epochs: many", "epochs: Input should be a valid integer"),
        ("optimizer: {lr: -1}", "optimizer.adamw.lr: Input should be greater than 0"),
        ("optimizer: adam2", "optimizer: Input tag 'adam2' found"),
        ("optimizer: {lr: .inf}", "optimizer.adamw.lr: Input should be a finite number"),
        ("- epochs", "is not a recipe"),
        ("1: 2", "is not a recipe"),
        ("epochs: [", "cannot be read as a recipe"),
        ("!!python/object/apply:os.system ['true']", "cannot be read as a recipe"),
    ],
)
def test_recipe_that_is_wrong_names_the_field(text, message, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(zoo.InputError, match=message):
        training.Recipe.load(path)


def test_missing_recipe_is_named(tmp_path):
    with pytest.raises(zoo.InputError, match=r"none\.yaml cannot be read"):
        training.Recipe.load(tmp_path / "none.yaml")
