"""A small part of the matrix of models and targets: narrow models on fast targets."""

import importlib.util
from pathlib import Path

import keras
import numpy as np
import pytest
from support.cards import narrow_model

from pocketzoo import zoo
from pocketzoo.export.targets import GROUPS, TARGETS
from pocketzoo.layers import SegmentationHead
from pocketzoo.tasks import get_task, task_names

COLUMNS = [name for name in TARGETS if name not in GROUPS["clients"]]
MAKER = Path(__file__).parents[2] / "docs" / "make_matrix.py"


@pytest.fixture(scope="module")
def matrix():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(MAKER.parent)
        yield loaded()


def loaded():
    spec = importlib.util.spec_from_file_location("make_matrix", MAKER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_task_has_an_example(matrix):
    tasks = {name for name in task_names() if get_task(name).has_head and get_task(name).has_targets}
    assert set(matrix.EXAMPLES) == tasks


def fitted(matrix, name):
    keras.utils.set_random_seed(0)  # with other seeds, narrow models are correct on 45 to 49 of 50 images
    model = narrow_model(name)
    images = matrix.synthetic_images(model)
    matrix.fit_last_layer(model, *images["fitting"])
    return model, images


@pytest.mark.parametrize("name", ["lenet5", "mobilenet_v2"])
def test_fitted_last_layer_makes_an_untrained_model_accurate(name, matrix):
    assert share_right(*fitted(matrix, name)) > 0.9


def test_model_whose_last_layer_has_too_few_inputs_is_trained(matrix):
    keras.utils.set_random_seed(0)
    image = keras.Input((72, 72, 3))
    maps = keras.layers.Conv2D(16, 3, padding="same", use_bias=False)(keras.layers.Rescaling(1 / 255)(image))
    maps = keras.layers.Activation("relu")(keras.layers.BatchNormalization()(maps))
    model = keras.Model(image, SegmentationHead(3)(keras.layers.Conv2D(1, 1)(maps)))
    images = matrix.synthetic_images(model)
    matrix.fit_last_layer(model, *images["fitting"])
    assert share_right(model, images) > 0.9


def share_right(model, images):
    pixels, right = images["evaluation"]
    return np.mean(model.predict(pixels, verbose=0).argmax(axis=-1) == right)


SMALL = [("lenet5", "int16x8"), ("resnet20", "gpu"), ("unet", "openvino")]


def whole():
    """Every model on every target; some take minutes."""
    pairs = ((name, target) for name in zoo.list_models() for target in COLUMNS)
    return [pytest.param(*pair, marks=pytest.mark.every_card) for pair in pairs if pair not in SMALL]


@pytest.mark.parametrize(("name", "target"), [*SMALL, *whole()])
def test_model_passes_on_target(name, target, matrix):
    model, images = fitted(matrix, name)
    ((_, cell),) = matrix.measure_cells(model, [target], images)
    assert "reason" not in cell, cell["reason"]
    assert [entry["failed"] for entry in cell["artifacts"]] == [[]] * len(cell["artifacts"])


def test_page_shows_figures_reasons_and_what_failed(matrix):
    entry = {"format": "onnx-fp32", "bytes": 2_500_000, "agreement": 0.995, "ms": 1.25, "failed": [], "not run": []}
    entry["facts"] = {"arena_bytes": 14_288, "images": 50}
    failing = entry | {"failed": ["agreement is 0.5, must be >= 0.9"], "not run": ["LiteRT on the GPU"]}
    cells = {
        "lenet5": {
            "gpu": {"artifacts": [entry, failing], "skipped": {}},
            "web": {"reason": "it does not go there"},
        }
    }
    losing = entry | {"agreement": None, "losses": {"mAP drop": 0.0123}}
    page = matrix.render_page(cells, {"detection": {"web": {"artifacts": [losing], "skipped": {}}}})
    line = "fp32 2.5 MB 99.5% 1.25 ms arena 14.29 kB"
    assert f"{line}<br>{line} **failed: agreement is 0.5" in page
    assert "| none: it does not go there |" in page
    assert "fp32 2.5 MB mAP drop 0.0123 1.25 ms" in page
    assert "1 artifacts of 3 fail" in page
    assert "Not run: LiteRT on the GPU (1 artifacts)." in page
    assert page.count("not measured") == len(COLUMNS) - 2 + len(COLUMNS) - 1
