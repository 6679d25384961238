"""Pages of small networks."""

import keras
import numpy as np
import pytest
from PIL import Image
from support.client_programs import NODE_MODULES
from support.small_net import small_net

from pocketzoo.export.conversion.artifact_files import write_artifacts
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.web.packages import copy_packages
from pocketzoo.export.web.page import write_page
from pocketzoo.zoo.contract import state_contract

CODE = "<img src=x onerror=alert(1)>"
"""A label that is code where it is taken for HTML."""
LABELS = {
    "digits": (
        CODE,
        "</script><script>alert(2)</script>",
        *(f"digit {number} of a long name" for number in range(2, 10)),
    ),
    "shapes": ("background", "disk", "corner", "edge"),
}


@pytest.fixture(scope="session")
def page_of(tmp_path_factory):
    """Writes the page of a model in a folder: `page_of(model, labels, vendored=True, **contract)`."""

    def write(model, labels=None, *, folder=None, vendored=True, **contract):
        folder = folder or tmp_path_factory.mktemp(model.name)
        state_contract(model, labels=labels, report=False, **contract)
        graph = ExportGraph.from_model(model)
        list(write_artifacts(graph, [FORMATS["onnx-fp32"]], None, folder))
        if vendored and not (folder / "packages").exists():
            copy_packages(NODE_MODULES, folder, {".onnx"})
        write_page(folder, graph.metadata)
        return folder

    return write


@pytest.fixture(scope="session")
def digits_page(page_of):
    """A classification of grayscale images, with labels that look like code."""
    keras.utils.set_random_seed(0)
    return page_of(small_net(), LABELS["digits"])


@pytest.fixture(scope="session")
def shapes_page(page_of):
    """A segmentation that takes values from 0 to 1 and has logits, of images that are not square."""
    keras.utils.set_random_seed(1)
    image = keras.Input((24, 32, 3))
    x = keras.layers.Conv2D(6, 3, padding="same", activation="relu")(image)
    scores = keras.layers.Conv2D(4, 3, padding="same", kernel_initializer="he_normal")(x)
    model = keras.Model(image, keras.layers.Rescaling(4.0)(scores), name="shapes")
    return page_of(model, LABELS["shapes"], task="segmentation", pixels="0..1", from_logits=True)


@pytest.fixture(scope="session")
def photo(tmp_path_factory):
    """An image of colored shapes, larger than what the networks take."""
    rows, columns = np.mgrid[0:96, 0:128]
    disk = 255 * ((columns - 60) ** 2 + (rows - 50) ** 2 < 900)
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(np.stack([2 * columns, 2 * rows, disk], axis=-1).astype("uint8")).save(path)
    return path
