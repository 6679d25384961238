"""The commands on a table whose images have several things to answer."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from pocketzoo import training
from pocketzoo.cli import results


@pytest.fixture(scope="module")
def table(digits, tmp_path_factory):
    """Real digits with their parity, whether they have a loop or a bar, and their mean brightness."""
    root = tmp_path_factory.mktemp("table")
    images, labels = digits.validation.arrays()
    lines = ["image,parity.label,marks.labels,ink.mean"]
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        Image.fromarray(image[:, :, 0]).save(root / f"{number}.png")
        marks = ";".join(["loop"] * (label in (0, 6, 8, 9)) + ["bar"] * (label in (4, 5, 7)))
        lines.append(f"{number}.png,{'odd' if label % 2 else 'even'},{marks},{image.mean() / 255:.4f}")
    (root / "table.csv").write_text("\n".join(lines))
    return root / "table.csv"


def test_table_with_several_outputs_is_trained_evaluated_and_pruned(pocketzoo, table, tmp_path):
    brief = ["--data", table, "--set", "epochs=2"]
    code, out, err = pocketzoo("train", "lenet5", *brief, "--run-dir", tmp_path / "train", "--json")
    assert code == 0, err
    trained = json.loads(out)
    assert set(trained["test"]) == {"parity", "marks", "ink"}
    _, out, _ = pocketzoo("evaluate", trained["model"], "--data", table, "--json")
    assert json.loads(out) == trained["test"]
    _, out, _ = pocketzoo("evaluate", trained["model"], "--data", table)
    assert re.search(r"Accuracy \d+\.\d\d% \(\d+\.\d to \d+\.\d\) on 36 images, macro F1 \d", out)
    assert re.search(r"Mean average precision \d+\.\d\d% \(\d+\.\d to \d+\.\d\) on 36 images, accuracy \d", out)
    assert re.search(
        r"Mean absolute error [\d.e-]+ \([\d.e-]+ to [\d.e-]+\) on 36 images, root mean square error \d", out
    )
    assert re.search(r"even +\d+\.\d\d% +\d+\.\d\d% +\d+\.\d\d% +\d+", out)
    assert re.search(r"loop( +\d+\.\d\d%){3} +\d+ +\d+\.\d\d% +[01]\.\d{4}", out)
    assert re.search(r"mean +[\d.e-]+ +[\d.e-]+ +-?\d", out)
    code, out, err = pocketzoo("prune", trained["model"], *brief, "--run-dir", tmp_path / "prune")
    assert code == 0
    assert "not compared" not in err
    assert "50.0% zeros in the pruned kernels" in out
    assert re.search(r"model +parity accuracy +marks mean average precision +ink mean absolute error", out)
    rows = re.findall(
        r"^ (before|after)((?: +\d+\.\d\d%){2}) +[\d.e-]+ +[\d,]+ .* \d+\.\d{3} +\d+\.\d{3} *$", out, flags=re.MULTILINE
    )
    assert [name for name, _ in rows] == ["before", "after"]


def test_metric_without_a_value_is_shown_as_a_dash(capsys):
    truth, answers = np.array([[1, 0]], "float32"), np.array([[0.9, 0.1]])
    results.show_evaluation(training.MultiLabelEvaluation.of(truth, answers, ["cat", "dog"]), "pets")
    assert re.search(r"dog( +0\.00%){3} +0 +-", capsys.readouterr().out)
