import pytest

from pocketzoo import export, zoo


@pytest.fixture(scope="session")
def bundle(trained_file, digits, tmp_path_factory):
    """A bundle of the trained LeNet-5 for every target; tests must not change it."""
    out = tmp_path_factory.mktemp("bundle") / "out"
    model = zoo.load_model(trained_file)
    targets = export.list_targets()
    export.export_model(model, out, targets=targets, calibration=digits.train, evaluation=digits.test)
    return out


@pytest.fixture(scope="session")
def manifest(bundle):
    return export.Manifest.load(bundle / "manifest.json")
