import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketzoo import training, zoo
from pocketzoo.tasks import get_task
from pocketzoo.training.recipe.preset_recipes import FOLDER

pytestmark = pytest.mark.fast


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
def test_recipe_round_trips_through_its_file(tmp_path_factory, recipe):
    path = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    path.write_text(recipe.to_yaml())
    assert training.Recipe.load(path) == recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "epoch: 3",
            r"recipe: epoch: unknown field 'epoch': did you mean epochs\?$",
        ),
        ("epochs: 0", r"epochs: must be greater than 0 \(got 0\)\.$"),
        ("epochs: many", r"epochs: must be a valid integer, .* \(got 'many'\)\.$"),
        ("optimizer: {lr: -1}", r"optimizer\.lr: must be greater than 0 \(got -1\)"),
        ("optimizer: {lr: .inf}", r"optimizer\.lr: must be a finite number"),
        (
            "optimizer: adam2",
            r"optimizer: unknown name 'adam2': did you mean adam or adamw\?$",
        ),
        (
            "optimizer: {momentum: 1}",
            r"optimizer\.momentum: unknown field of adamw 'momentum': there are lr, ",
        ),
        ("optimizer: {name: momentum, momentum: 2}", r"optimizer\.momentum: must be less than 1 \(got 2\)"),
        ("optimizer: 3", r"optimizer: must have a name \(got 3\): there are sgd, "),
        ("schedule: {name: step, milestones: [0.5, 2]}", r"schedule\.milestones\[1\]: must be less than 1 \(got 2\)"),
        ("loss: dcie", r"loss: unknown name 'dcie': did you mean dice\?$"),
        ("loss: [dice, {name: focal, gama: 1}]", r"loss\[1\]\.gama: unknown field of focal 'gama': did you mean gamma"),
        ("loss: {gamma: 1}", r"loss: must have a name \(got \{'gamma': 1\}\): there are cross_entropy"),
        ("loss: []", r"loss: Tuple should have at least 1 item"),
        ("loss: {name: tversky, alpha: 0, beta: 0}", "loss: alpha and beta are both 0; one of them must be greater"),
        ("augmentation: lihgt", r"augmentation: unknown value 'lihgt': did you mean light\?"),
        (
            "augmentation: [{name: flip, mode: x}]",
            r"augmentation\[0\]\.mode: unknown value 'x': there are horizontal",
        ),
        (
            "augmentation: [flip, mixpu]",
            r"augmentation\[1\]: unknown name 'mixpu': did you mean mixup\?",
        ),
        (
            "data: {sampling: ovr}",
            r"data\.sampling: unknown value 'ovr': did you mean over\?",
        ),
        ("data: {image_size: [1, 2, 3]}", r"data\.image_size: Tuple should have at most 2 items"),
        ("epochs: 0\nbatch_size: 0", r"epochs: must be greater .*; batch_size: must be greater"),
        ("- epochs", "is not a recipe"),
        ("1: 2", "is not a recipe"),
        ("epochs: [", "cannot be read as a recipe"),
        ("!!python/object/apply:os.system ['true']", "cannot be read as a recipe"),
    ],
)
def test_invalid_recipe_names_the_field_and_what_is_allowed(text, message, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(zoo.InputError, match=message):
        training.Recipe.load(path)


def test_former_name_of_an_augmentation_is_read():
    former, today = (training.Recipe(augmentation=[name]).augmentation[0] for name in ("colour", "color"))
    assert former.model_dump(exclude={"name"}) == today.model_dump(exclude={"name"})
    assert type(former) is type(today)


def test_epochs_of_feature_extraction_are_those_of_the_head():
    """The head is all that is trained; `--set epochs=3` was without effect."""
    recipe = training.FineTuneRecipe(mode="feature_extraction", epochs=3)
    assert recipe.head_epochs == 3
    assert recipe.changed(epochs=4).head_epochs == 4
    assert recipe.changed(epochs=4, head_epochs=5).head_epochs == 5
    assert training.FineTuneRecipe(epochs=7).changed(mode="feature_extraction").head_epochs == 7
    assert training.FineTuneRecipe(epochs=7).head_epochs == training.FineTuneRecipe().head_epochs
    both = training.FineTuneRecipe(mode="feature_extraction", epochs=3, head_epochs=6)
    assert (both.epochs, both.head_epochs) == (3, 6)


def test_fine_tuning_rejects_an_initializer():
    with pytest.raises(zoo.InputError, match="recipe: initializer is 'he_normal', which reinitializes every kernel"):
        training.FineTuneRecipe(initializer="he_normal")


def test_single_image_size_is_height_and_width():
    assert training.Recipe(data={"image_size": 32}).data.image_size == (32, 32)
    assert training.Recipe(data={"image_size": [32, 48]}).data.image_size == (32, 48)


@pytest.mark.parametrize("name", zoo.list_models())
def test_every_model_has_a_preset_recipe(name):
    card = zoo.model_card(name)
    recipe = training.ready_recipe(name)
    losses = recipe.loss if isinstance(recipe.loss, tuple) else filter(None, [recipe.loss])
    assert all(loss.name in get_task(card.task).losses for loss in losses)
    assert (recipe.augmentation == "segmentation") == (card.task == "segmentation")
    assert set(recipe.auxiliary or {}) <= card.endpoints.keys()
    assert not recipe.auxiliary or get_task(card.task).has_auxiliary_heads
    assert isinstance(training.ready_recipe(name, fine_tune=True), training.FineTuneRecipe)


def test_every_preset_recipe_belongs_to_a_family():
    families = {zoo.model_card(name).family for name in zoo.list_models()}
    assert {path.stem for path in FOLDER.iterdir()} == families | {"fine_tune"}


def test_preset_recipe_of_an_unknown_model_is_rejected():
    with pytest.raises(zoo.InputError, match="unknown model 'resnet51': did you mean"):
        training.ready_recipe("resnet51")


def test_missing_recipe_is_named(tmp_path):
    with pytest.raises(zoo.InputError, match=r"none\.yaml cannot be read"):
        training.Recipe.load(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    "fields",
    [
        {"epochs": True},
        {"optimizer": {"lr": True}},
        {"seed": False},
        {"augmentation": [{"name": "zoom", "factor": True}]},
    ],
)
def test_booleans_are_not_accepted_as_numbers(fields):
    with pytest.raises(zoo.InputError, match="cannot be true or false"):
        training.Recipe(**fields)
    assert training.Recipe(xla=False, data={"cache": True}).data.cache


def test_milestones_must_increase():
    with pytest.raises(zoo.InputError, match=r"schedule\.milestones: must be increasing \(got \[0\.9, 0\.2\]\)"):
        training.Recipe(schedule={"name": "step", "milestones": [0.9, 0.2]})
