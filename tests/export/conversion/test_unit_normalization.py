"""L2 normalization is one operator in integers, where its sum would lose most, and plain ones in floating point."""

import keras
import numpy as np
import pytest

from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.conversion.tflite.tflite_files import TFLiteFiles
from pocketzoo.export.runtimes.litert import open_tflite
from pocketzoo.export.sample_images import Samples
from pocketzoo.export.tflite_schema.nodes import count_tflite_operators
from pocketzoo.export.tflite_schema.operator_support import operator_list


@pytest.fixture(scope="module")
def net():
    """A model of the user's that ends in a stock `UnitNormalization`."""
    keras.utils.set_random_seed(0)
    image = keras.Input((4, 4, 1))
    vectors = keras.layers.Dense(8)(keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image)))
    return keras.Model(image, keras.layers.UnitNormalization()(vectors), name="unit")


@pytest.mark.parametrize("name", ["tflite-fp32", "tflite-int8-float"])
def test_unit_vectors_stay_unit_vectors(net, name, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (60, 4, 4, 1)).astype("float32")
    content = TFLiteFiles(ExportGraph.from_model(net), Samples(images, None)).content(name)
    operators = {operator.split()[0] for operator in count_tflite_operators(content)}
    assert ("L2_NORMALIZATION" in operators) == (name != "tflite-fp32")
    if name == "tflite-fp32":
        assert not list(operator_list("gpu_delegate").refused(content))
    (tmp_path / "unit.tflite").write_bytes(content)
    outputs = open_tflite(tmp_path / "unit.tflite", content).run(images)
    np.testing.assert_allclose(outputs, net(images), atol=1e-6 if name == "tflite-fp32" else 0.05)
