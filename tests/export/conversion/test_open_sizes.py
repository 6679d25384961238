"""Models with open input sizes, exported with open or fixed sizes; and open batch sizes."""

import keras
import numpy as np
import onnxruntime
import pytest
from support.cards import narrow_model

from pocketzoo import export, zoo
from pocketzoo.export.conversion.artifact_files import write_artifacts
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.formats import FORMATS

SIZES = [(48, 64), (37, 51), (50, 43)]
"""Most are not divisible by the strides, where rounding of sizes can go wrong."""


@pytest.fixture(scope="module")
def open_bundle(tmp_path_factory):
    keras.utils.set_random_seed(0)
    model = zoo.create_model("resnet20", blocks=1, input_shape=(None, None, 3))
    out = tmp_path_factory.mktemp("open")
    formats = [FORMATS[name] for name in ("onnx-fp32", "onnx-fp16", "tflite-fp16")]
    assert len(list(write_artifacts(ExportGraph.from_model(model, open_size=True), formats, None, out))) == len(formats)
    return model, out


def test_layer_that_needs_a_fixed_size_is_reported_before_conversion(tmp_path):
    model = narrow_model("unet_same", input_shape=(None, None, 3))
    with pytest.raises(zoo.InputError, match=r"unet_same has a layer .* fixed map size, \w+ \(UpSampling2D\);"):
        export.export_model(model, tmp_path / "out", targets="gpu")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("file", "tolerance"), [("fp32.onnx", 1e-5), ("fp16.onnx", 5e-3), ("fp16.tflite", 5e-3)])
def test_artifact_matches_keras_at_every_size(file, tolerance, open_bundle, pixels):
    model, out = open_bundle
    artifact = export.load_artifact(out / f"{model.name}-{file}")
    assert artifact.input.image_shape == (None, None, 3)
    assert artifact.metadata.image_shape == (None, None, 3)
    for size in [*SIZES, SIZES[0]]:
        images = pixels(2, *size, 3)
        expected = model(images, training=False).numpy()
        answers = export.predict(artifact, images).probabilities
        np.testing.assert_allclose(answers, expected, atol=tolerance, err_msg=str(size))
    assert export.benchmark(artifact, runs=1).median_ms > 0
    with pytest.raises(zoo.InputError, match=r"images of shape \(2, 48, 64, 1\)"):
        export.predict(artifact, pixels(2, 48, 64, 1))


def test_quantized_formats_need_a_fixed_size_which_can_be_set(tmp_path, digits):
    model = zoo.create_model("resnet20", blocks=1, input_shape=(None, None, 1))
    images = digits.train.images.take(np.arange(20))
    with pytest.raises(zoo.InputError, match=r"leaves its size open.*--input-size"):
        export.export_model(model, tmp_path / "out", targets="edge-mcu", calibration=images)
    with pytest.raises(zoo.InputError, match=r"calibration has shape \(20, 32, 32, 1\); the model takes \(count, 24"):
        export.export_model(model, tmp_path / "out", targets="edge-mcu", calibration=images, input_size=(24, 24))
    manifest = export.export_model(model, tmp_path / "out", targets="edge-mcu", calibration=images, input_size=(32, 32))
    assert manifest.artifacts[0].input.shape == (1, 32, 32, 1)
    assert manifest.model.image_shape == (32, 32, 1)


def test_size_of_a_model_that_has_one_cannot_be_changed(trained, tmp_path):
    with pytest.raises(zoo.InputError, match=r"lenet5 takes images of 32x32, not of \(64, 64\)"):
        export.export_model(trained, tmp_path / "out", targets="gpu", input_size=(64, 64))


def test_open_batch_accepts_any_number_of_images(trained, pixels, tmp_path):
    manifest = export.export_model(trained, tmp_path / "out", targets="gpu", batch="N")
    assert {record.input.shape for record in manifest.artifacts} == {(None, 1, 32, 32)}
    session = onnxruntime.InferenceSession(str(tmp_path / "out" / "lenet5-fp32.onnx"))
    assert session.get_inputs()[0].shape == ["N", 1, 32, 32]
    assert session.get_outputs()[0].shape == ["N", 10]
    images = pixels(5, 32, 32, 1)
    (answers,) = session.run(None, {"image": images.transpose(0, 3, 1, 2)})
    np.testing.assert_allclose(answers, trained.predict(images, verbose=0), atol=1e-5)
    with pytest.raises(
        zoo.InputError, match="batch is 'N', which only float ONNX and SavedModels support, not tflite-fp16"
    ):
        export.export_model(trained, tmp_path / "no", targets=["gpu", "mobile-gpu"], batch="N")
