"""Nothing outside `tasks/` depends on a task's name, and a task that is registered works everywhere."""

import ast
from pathlib import Path

import numpy as np
import pytest

from pocketzoo import training, zoo
from pocketzoo.tasks import Regression, register_task, registry, task_names

pytestmark = pytest.mark.fast

ROOT = Path(__file__).parents[2]
FOLDERS = ("core", "layers", "zoo", "training", "export", "cli")
OTHER_MEANINGS = {
    "training/data/coco_files.py",  # COCO has a key "keypoints"
    "training/data/digit_scenes.py",  # declares which targets the scenes have
    "training/recipe/augmentation.py",  # a policy is called "segmentation"
}


def task_tests(tree):
    """Line numbers where a task's name is compared, matched, or the key of a dict."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, comparators=comparators):
                values = [left, *comparators]
            case ast.MatchValue(value=value):
                values = [value]
            case ast.Dict(keys=keys):
                values = keys
            case ast.Subscript(slice=key):
                values = [key]
            case _:
                continue
        for value in values:
            parts = value.elts if isinstance(value, ast.Tuple | ast.List | ast.Set) else [value]
            if any(isinstance(part, ast.Constant) and part.value in task_names() for part in parts):
                yield node.lineno if hasattr(node, "lineno") else value.lineno


def test_no_other_file_tests_for_a_task_or_has_a_table_by_task():
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        if str(path.relative_to(ROOT)) not in OTHER_MEANINGS
        for line in task_tests(ast.parse(path.read_text()))
    ]
    assert not found, "ask the task instead: " + ", ".join(found)


@pytest.mark.parametrize(
    "statement",
    [
        'task == "regression"',
        'task in ("classification", "regression")',
        '{"segmentation": 1}[task]',
        'table["embedding"]',
        'match task:\n    case "multi_label":\n        pass',
    ],
)
def test_each_kind_of_test_for_a_task_is_found(statement):
    assert list(task_tests(ast.parse(statement)))


class Tally(Regression):
    """A toy task: how many there are, from 0 up."""

    name = "tally"
    column = "count"
    feature_key = "counts"
    losses = ("mae",)
    output_name = "counts"

    def make_head(self, config, name, upsampling):
        head = super().make_head(config, name, upsampling)
        head.TASK = self.name
        return head


@pytest.fixture
def tally(monkeypatch):
    monkeypatch.setattr(registry, "_TASKS", dict(registry._TASKS))
    register_task(Tally())


@pytest.mark.slow
def test_new_task_takes_one_class_and_one_entry(tally, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 1), "uint8")
    data = training.from_arrays(images, np.arange(40), task="tally", labels=["eggs"])
    model = zoo.create_model("lenet5", head="tally", labels=data.labels)
    training.fit(model, data, training.Recipe(epochs=1, batch_size=8, augmentation="light"), verbose=False)
    evaluation = training.evaluate(model, data)
    outputs = model.predict(data.test.arrays()[0], verbose=0)
    assert evaluation.mae == pytest.approx(np.abs(outputs - data.test.arrays()[1]).mean(), rel=1e-5)
    assert training.write_report(model, data, tmp_path).loss == evaluation.loss
    assert training.survey(data).labels.keys() == {"eggs"}
    with pytest.raises(zoo.InputError, match="loss 'mse' does not fit lenet5, a tally; that takes mae"):
        training.fit(model, data, training.Recipe(epochs=1, batch_size=8, loss="mse"), verbose=False)
