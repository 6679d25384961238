"""`import pocketzoo` is enough, imports nothing heavy, and type checkers resolve its names."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import pocketzoo
from pocketzoo import zoo
from pocketzoo.core.errors import InputError

ROOT = Path(pocketzoo.__file__).parent.parent
HEAVY = ("keras", "tensorflow", "torch", "onnxruntime", "numpy", "pydantic")


def run_python(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_import_is_lazy():
    loaded = run_python(f"import sys, pocketzoo; print([name for name in {HEAVY} if name in sys.modules])")
    assert loaded == "[]"


def test_list_models_does_not_import_keras():
    code = "import sys, pocketzoo; names = pocketzoo.list_models('lenet*'); print(names, 'keras' in sys.modules)"
    assert run_python(code) == "['lenet5'] False"


def test_subpackages_are_attributes():
    packages = "pocketzoo.zoo, pocketzoo.training, pocketzoo.export, pocketzoo.layers"
    names = run_python(f"import pocketzoo; print([package.__name__ for package in ({packages})])")
    assert names == "['pocketzoo.zoo', 'pocketzoo.training', 'pocketzoo.export', 'pocketzoo.layers']"


def test_common_functions_are_those_of_zoo():
    for name in ("create_model", "list_models", "load_model"):
        assert getattr(pocketzoo, name) is getattr(zoo, name)
        assert name in dir(pocketzoo)


def test_version_is_that_of_the_distribution():
    assert pocketzoo.__version__ == version("pocketzoo")


def test_unknown_attributes_are_errors():
    with pytest.raises(AttributeError, match="create_modle"):
        _ = pocketzoo.create_modle


def test_every_name_of_the_stubs_exists():
    packages = "pocketzoo, pocketzoo.zoo, pocketzoo.layers"
    missing = (
        "[(package.__name__, name) for package in packages for name in package.__all__ if not hasattr(package, name)]"
    )
    code = f"import {packages}; packages = ({packages}); print({missing})"
    assert run_python(code).splitlines()[-1] == "[]"


def test_input_error_is_one_class():
    assert zoo.InputError is InputError
    assert "InputError" in zoo.__all__


TYPED = """
import pocketzoo
from pocketzoo import export, training, zoo

reveal_type(zoo.create_model("lenet5"))
reveal_type(pocketzoo.create_model("lenet5"))
reveal_type(pocketzoo.zoo.list_models())
reveal_type(pocketzoo.__version__)
reveal_type(zoo.InputError("message"))
reveal_type(training.fit)
reveal_type(export.export_model)
zoo.create_modle("lenet5")
"""


@pytest.mark.slow
def test_mypy_resolves_names_in_a_checkout(tmp_path):
    pytest.importorskip("mypy", reason="mypy is installed by the dev extra")
    (tmp_path / "user.py").write_text(TYPED)
    # The configuration of `make types`, without its cache, from which mypy may take a decorated function as Any.
    options = ["--config-file", ROOT / "pyproject.toml", "--cache-dir", tmp_path / "cache"]
    command = [sys.executable, "-m", "mypy", *options, tmp_path / "user.py"]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    lines = [line.partition(": ")[2] for line in output.splitlines() if line.startswith(str(tmp_path))]
    revealed = [line.removeprefix('note: Revealed type is "').rstrip('"') for line in lines if "Revealed" in line]
    assert revealed[:5] == [
        "keras.src.models.model.Model",
        "keras.src.models.model.Model",
        "list[str]",
        "str",
        "pocketzoo.core.errors.InputError",
    ], output
    assert revealed[5].startswith("def (model: keras.src.models.model.Model, data: ")
    assert revealed[6].startswith("def (model: keras.src.models.model.Model, out_dir: ")
    assert [line for line in lines if line.startswith("error")] == [
        'error: Module has no attribute "create_modle"; maybe "create_model"?  [attr-defined]'
    ]
