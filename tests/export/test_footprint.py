import keras
import numpy as np
import pytest

from pocketzoo import zoo
from pocketzoo.export.artifact.artifact import Artifact
from pocketzoo.export.artifact.tensors import TensorInfo
from pocketzoo.export.conversion.artifact_files import write_artifacts
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.footprint import artifact_costs, footprints, shipped_formats
from pocketzoo.export.formats import FORMATS, SPARSE
from pocketzoo.export.latency import side_by_side
from pocketzoo.export.loading import load_artifact


def test_models_are_timed_in_turn():
    calls = []

    def artifact(name: str) -> Artifact:
        tensor = TensorInfo("", (1, 2, 2, 1), "float32")
        return Artifact(None, tensor, tensor, None, lambda _: calls.append(name))

    times = side_by_side({name: artifact(name) for name in "ab"}, runs=4, rounds=2)
    assert "".join(calls)[-8:] == "aabbaabb"
    assert [latency.runs for latency in times.values()] == [4, 4]
    with pytest.raises(zoo.InputError, match="runs is 1; it takes 2 or more"):
        side_by_side({}, runs=1, rounds=2)


def test_sparsity_reduces_the_download_size_only(trained):
    sparse = keras.models.clone_model(trained)
    sparse.set_weights([np.where(np.abs(w) < np.quantile(np.abs(w), 0.9), 0, w) for w in trained.get_weights()])
    models = {"dense": trained, "sparse": sparse}
    costs = footprints(models, {name: shipped_formats(model) for name, model in models.items()})
    dense, sparse = costs["dense"], costs["sparse"]
    assert dense.parameters == sparse.parameters == zoo.flatten_model(trained).count_params()
    assert dense.multiply_adds == sparse.multiply_adds == zoo.count_macs(trained)
    assert sparse.nonzero == pytest.approx(0.1 * dense.nonzero, rel=0.05)
    assert list(dense.artifacts) == ["tflite-fp32", "onnx-fp32"]
    for before, after in zip(
        [dense.saved, *(cost.size for cost in dense.artifacts.values())],
        [sparse.saved, *(cost.size for cost in sparse.artifacts.values())],
        strict=True,
    ):
        assert after.bytes == pytest.approx(before.bytes, rel=0.01)
        assert after.gzip_bytes < 0.5 * before.gzip_bytes
    assert all(cost.median_ms > 0 for cost in (*dense.artifacts.values(), *sparse.artifacts.values()))


def test_quantized_costs_are_measured_without_calibration_images(trained):
    formats = {"float": [FORMATS["tflite-fp32"]], "int8": [FORMATS["tflite-int8"]]}
    costs = artifact_costs({"float": trained, "int8": trained}, formats)
    assert costs["int8"]["tflite-int8"].size.bytes < 0.5 * costs["float"]["tflite-fp32"].size.bytes


def test_sparse_file_has_the_same_outputs(trained, digits, tmp_path):
    trained.set_weights([np.where(np.abs(w) < np.quantile(np.abs(w), 0.9), 0, w) for w in trained.get_weights()])
    images = digits.test.images.take(np.arange(20))
    whole, sparse = (
        path
        for path, _ in write_artifacts(
            ExportGraph.from_model(trained), [FORMATS["tflite-fp32"], SPARSE], None, tmp_path
        )
    )
    assert sparse.stat().st_size < 0.6 * whole.stat().st_size
    np.testing.assert_allclose(load_artifact(sparse).run(images), load_artifact(whole).run(images), atol=1e-5)


def test_model_of_open_size_cannot_be_measured():
    image = keras.Input((None, None, 1))
    dense = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(image))
    with pytest.raises(zoo.InputError, match="leaves its size open"):
        footprints({"open": keras.Model(image, dense)}, {"open": [FORMATS["tflite-fp32"]]})
