"""What holds for the whole tree."""

import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parents[1]


def test_imports_go_one_way(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == EXIT_STATUS_SUCCESS


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import pocketzoo.cli.main; pocketzoo.zoo.list_models()", ("keras", "tensorflow", "numpy")),
        ("from pocketzoo.export import load_artifact, predict", ("keras", "tensorflow", "onnxruntime", "tf2onnx")),
        ("from pocketzoo import training; training.Recipe()", ("keras", "tensorflow")),
        ("from pocketzoo import training; training.fit", ("tensorflow_model_optimization",)),
    ],
)
def test_heavy_libraries_wait_until_they_are_needed(statement, forbidden):
    check = f"{statement}\nimport sys\nfound = set({forbidden}) & set(sys.modules)\nassert not found, found"
    subprocess.run([sys.executable, "-c", check], check=True, cwd="/")
