"""Which release of another package broke which of the private names that pocketzoo uses.

A case that fails after an upgrade says what no longer works, with which version it did, and what depends on it.
"""

import tomllib
from pathlib import Path

import keras
import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from support.private_names import (  # noqa: F401 (importing them registers their checks)
    keras_checks,
    onnxruntime_checks,
    tensorflow_checks,
    tf2onnx_checks,
    tfmot_checks,
)
from support.private_names.checks import CHECKS

from pocketzoo.core import (
    keras_private,
    onnxruntime_private,
    tensorflow_private,
    tf2onnx_private,
    tfmot_private,
)
from pocketzoo.core.private_names import PrivateName

pytestmark = pytest.mark.fast

MODULES = (keras_private, tensorflow_private, tfmot_private, tf2onnx_private, onnxruntime_private)
NAMES = [name for module in MODULES for name in module.NAMES]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: f"{name.package}: {name.name}")
def test_private_name_works_as_it_did(name: PrivateName):
    try:
        CHECKS[name.name]()
    except Exception as error:
        pytest.fail(name.failure(error))


def test_every_check_belongs_to_a_name():
    assert sorted(CHECKS) == sorted(name.name for name in NAMES)


def test_failure_names_the_release_and_what_depends_on_it(monkeypatch):
    monkeypatch.delattr(keras.Layer, "_flatten_layers")
    name = next(name for name in NAMES if name.name == "Layer._flatten_layers")
    with pytest.raises(pytest.fail.Exception) as failure:
        test_private_name_works_as_it_did(name)
    message = str(failure.value)
    assert message.startswith(f"Layer._flatten_layers of keras {keras.__version__} does not work as in 3.15.1, with")
    assert "AttributeError" in message
    assert message.endswith("freezing, mixed precision, and whatever else looks at all layers of a model needs it.")


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.PACKAGE)
def test_package_is_capped_at_the_minor_release_that_was_tested(module):
    project = tomllib.loads(Path(__file__).parents[2].joinpath("pyproject.toml").read_text())["project"]
    requirements = {one.name: one.specifier for one in map(Requirement, project["dependencies"])}
    major, minor, *_ = Version(module.TESTED).release
    specifier = requirements[module.PACKAGE]
    assert module.TESTED in specifier
    assert f"{major}.{minor}.999" in specifier
    assert f"{major}.{minor + 1}.0" not in specifier
