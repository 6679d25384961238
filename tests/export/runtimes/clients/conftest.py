import pytest
from support.client_programs import NODE_MODULES
from support.clients import LeNetFiles

from pocketzoo.export.sample_images import Samples


@pytest.fixture(scope="session")
def lenet(digits, tmp_path_factory):
    """The trained LeNet-5 by format, `lenet("onnx-fp32")`, with 100 images."""
    images, labels = digits.test.arrays()
    return LeNetFiles(Samples(images[:100], labels[:100]), tmp_path_factory.mktemp("clients")).subject


@pytest.fixture
def node_modules(monkeypatch):
    monkeypatch.setenv("POCKETZOO_NODE_MODULES", str(NODE_MODULES))
