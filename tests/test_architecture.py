"""What holds for the whole tree."""

import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"


def test_imports_go_one_way():
    # In a process of its own: it sets logging up anew, which silences the loggers that there are.
    command = Path(sys.executable).with_name("lint-imports")
    subprocess.run([command, "--no-cache"], check=True, cwd=ROOT)


def test_modules_do_not_import_each_other_in_cycles():
    graph = grimp.build_graph("pocketzoo", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    TopologicalSorter(imports).prepare()  # raises CycleError, which lists the modules


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import pocketzoo.cli.main; pocketzoo.zoo.list_models()", ("keras", "tensorflow", "numpy")),
        ("from pocketzoo.export import load_artifact, predict", ("keras", "tensorflow", "onnxruntime", "tf2onnx")),
        ("from pocketzoo import training; training.Recipe(), training.Sparsity()", ("keras", "tensorflow")),
        ("from pocketzoo import training; training.fit", ("tensorflow_model_optimization",)),
    ],
)
def test_heavy_libraries_wait_until_they_are_needed(statement, forbidden):
    check = f"{statement}\nimport sys\nfound = set({forbidden}) & set(sys.modules)\nassert not found, found"
    subprocess.run([sys.executable, "-c", check], check=True, cwd="/")


def test_every_folder_of_tests_has_fast_ones():
    """`make test-fast` says something about every part; tutorials, attacks and whole models in all verbs are slow."""
    files = {file: file.relative_to(TESTS).parts[0] for file in TESTS.rglob("test_*.py") if file.parent != TESTS}
    fast = {folder for file, folder in files.items() if "\npytestmark = pytest.mark.fast\n" in file.read_text()}
    assert set(files.values()) - fast == {"acceptance", "attack", "docs"}
