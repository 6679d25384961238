"""The README is true: its Python runs, with weights that ship, and its tables are what commands print."""

import re
import shlex
from pathlib import Path

import keras
import pytest
from PIL import Image
from typer.testing import CliRunner

from pocketzoo.cli.main import app

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_python_of_the_readme_runs(digits, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    images, labels = digits.train.arrays()
    for label in range(3):
        folder = tmp_path / "photos" / f"digit{label}"
        folder.mkdir(parents=True)
        for number, image in enumerate(images[labels == label][:60]):
            Image.fromarray(image[:, :, 0]).save(folder / f"{number}.png")
    Image.fromarray(images[0, :, :, 0]).save(tmp_path / "holiday.jpg")
    keras.utils.set_random_seed(0)
    for block in re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL):
        exec(with_weights_that_ship(block), {})
    tuned, top_tuned, accuracy, top, costs, shape = capsys.readouterr().out.splitlines()
    assert float(tuned) > 0.9
    assert float(accuracy) > 0.9
    assert re.match(r"\[\[\('digit\d', [01]\.\d+\)\]\]", top_tuned)
    assert re.match(r"\[\('digit\d', [01]\.\d+\)\]", top)
    assert re.fullmatch(r"\d+ \d+", costs)
    assert shape == "(1, 2)"


@pytest.mark.parametrize("command", re.findall(r"^\$ pocketzoo (list.*|info.*)$", README, flags=re.MULTILINE))
def test_tables_in_the_readme_are_what_the_commands_print(command):
    printed = [line.rstrip() for line in run(command).splitlines() if line.strip()]
    block = re.search(rf"\$ pocketzoo {re.escape(command)}\n(.*?)```", README, flags=re.DOTALL).group(1)
    assert [line for line in block.splitlines() if line.strip()] == printed


def with_weights_that_ship(block: str) -> str:
    """Of a download of 100 MB that trains for minutes, a net for small images that knows digits."""
    if "fine_tune" in block:
        for theirs, ours in (
            ('"resnet50", weights="imagenet"', '"resnet20", weights="digits"'),
            ('load_data("photos")', 'load_data("photos", image_size=32)'),
            ("height=224, width=224", "height=32, width=32"),
            ("resnet50-fp16", "resnet20-fp16"),
        ):
            assert block.count(theirs) == 1
            block = block.replace(theirs, ours)
    return block


def run(command: str) -> str:
    result = CliRunner().invoke(app, shlex.split(command))
    assert result.exit_code == 0
    return result.stdout
