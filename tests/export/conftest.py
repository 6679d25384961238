import numpy as np
import pytest

from pocketzoo import export, zoo
from pocketzoo.export.sample_images import Samples
from pocketzoo.export.targets import GROUPS, TARGETS
from pocketzoo.export.validation.reference import Reference


@pytest.fixture(scope="session")
def bundle(trained_file, digits, tmp_path_factory):
    """A bundle of the trained LeNet-5 for most targets; tests must not change it.

    Converting for `apple` is slow, and `clients` are started in their own tests only.
    """
    out = tmp_path_factory.mktemp("bundle") / "out"
    model = zoo.load_model(trained_file)
    targets = [name for name in TARGETS if name not in ("apple", *GROUPS["clients"])]
    export.export_model(model, out, targets=targets, calibration=digits.train, evaluation=digits.test)
    return out


@pytest.fixture(scope="session")
def manifest(bundle):
    return export.Manifest.load(bundle / "manifest.json")


@pytest.fixture
def reference():
    """Outputs of 4 classes for 200 images, all correct."""
    outputs = np.random.default_rng(0).dirichlet(np.ones(4), size=200).astype("float32")
    return Reference(Samples(np.zeros((200, 2, 2, 1)), outputs.argmax(-1)), "evaluation images", outputs)


@pytest.fixture
def random():
    return np.random.default_rng(0)
