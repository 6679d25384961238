import json

import pytest
import yaml

from pocketzoo import training, zoo
from pocketzoo.cli.inputs import read_recipe

pytestmark = pytest.mark.fast


def test_recipe_is_printed_with_its_reasons_and_can_be_read_again(pocketzoo, tmp_path):
    code, out, _ = pocketzoo("recipe", "resnet50")
    assert code == 0
    assert "arXiv:1512.03385" in out
    (tmp_path / "my.yaml").write_text(out)
    assert training.Recipe.load(tmp_path / "my.yaml") == training.ready_recipe("resnet50")
    _, out, _ = pocketzoo("recipe", "resnet50", "--fine-tune")
    assert training.FineTuneRecipe(**yaml.safe_load(out)) == training.ready_recipe("resnet50", fine_tune=True)


def test_recipe_is_printed_as_json(pocketzoo):
    code, out, _ = pocketzoo("recipe", "resnet50", "--fine-tune", "--json")
    assert code == 0
    assert training.FineTuneRecipe(**json.loads(out)) == training.ready_recipe("resnet50", fine_tune=True)


def test_recipe_of_unknown_model_is_rejected(pocketzoo):
    code, _, err = pocketzoo("recipe", "resnet51")
    assert code == 2
    assert "did you mean resnet50" in err


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (["epochs=5", "optimizer.lr=0.1"], {"epochs": 5, "optimizer": {"lr": 0.1}}),
        (["optimizer=lion"], {"optimizer": "lion"}),
        (["optimizer=lion", "optimizer.lr=1e-4"], {"optimizer": {"name": "lion", "lr": 1e-4}}),
        (["optimizer.name=lion", "optimizer.beta_1=0.8"], {"optimizer": {"name": "lion", "beta_1": 0.8}}),
        (["augmentation=[flip, {name: mixup}]"], {"augmentation": ["flip", "mixup"]}),
        (["loss=[cross_entropy, dice]", "data.sampling=over"], {"loss": ["cross_entropy", "dice"]}),
        (["early_stopping=null"], {"early_stopping": None}),
    ],
)
def test_fields_and_nested_fields_are_set_by_name(changes, expected):
    changed = read_recipe(None, changes, training.Recipe(early_stopping=3))
    assert {field: getattr(changed, field) for field in expected} == {
        field: getattr(training.Recipe(**expected), field) for field in expected
    }
    assert changed.batch_size == training.Recipe().batch_size


def test_section_keeps_fields_that_are_not_set(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text("optimizer: {name: nesterov, lr: 0.3, momentum: 0.8}")
    changed = read_recipe(file, ["optimizer.momentum=0.7"], training.Recipe())
    assert (changed.optimizer.lr, changed.optimizer.momentum) == (0.3, 0.7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("optimizer.rate=1", "optimizer.rate: unknown field of adamw 'rate'"),
        ("optimiser.lr=1", "optimiser: unknown field 'optimiser': did you mean optimizer"),
        ("epochs.x=1", r"epochs: must be a valid integer \(got \{'x': 1\}\)"),
        ("epochs", "--set 'epochs' is not of the form field=value"),
        ("epochs=[", "'\\[' is not a YAML value"),
    ],
)
def test_fields_that_cannot_be_set_are_named(change, message):
    with pytest.raises(zoo.InputError, match=message):
        read_recipe(None, [change], training.Recipe())


def test_code_of_ones_own_is_run_where_it_is_allowed_only(tmp_path):
    file, change = tmp_path / "recipe.yaml", "augmentation=[flip, 'os.path:join']"
    file.write_text("augmentation: ['os.path:split']")
    for arguments in ((file, None), (None, [change])):
        with pytest.raises(zoo.InputError, match=r"is code of your own, .* or --allow-code"):
            read_recipe(*arguments, training.Recipe())
        assert read_recipe(*arguments, training.Recipe(), allow_code=True).augmentation[-1].name == "function"
