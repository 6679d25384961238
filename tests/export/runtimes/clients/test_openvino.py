"""OpenVINO: right by default, where it may compute in bfloat16 or float16, and in float32."""

import keras
import numpy as np
import pytest
from support.clients import answer, documented

from pocketzoo import export, zoo
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.loading import open_with
from pocketzoo.export.runtimes.openvino import open_ir, write_ir
from pocketzoo.export.sample_images import Samples
from pocketzoo.export.validation.checks import artifact_check
from pocketzoo.export.validation.checks.artifact_check import Subject
from pocketzoo.export.validation.checks.check_registry import run_check
from pocketzoo.export.validation.reference import Reference


@pytest.fixture
def subject(bundle, manifest, digits, trained):
    images, labels = digits.test.arrays()
    outputs = trained.predict(images, verbose=0)
    reference = Reference(Samples(images, labels), "evaluation images", outputs)
    return Subject(bundle / "lenet5-fp32.onnx", FORMATS["onnx-fp32"], manifest.model, reference)


def test_openvino_files_are_in_the_bundle_and_match_keras(bundle, manifest, subject):
    record = next(record for record in manifest.artifacts if "openvino" in record.targets)
    made = next(made for made in record.checks if made.name == "OpenVINO")
    assert made.status == "passed"
    assert made.files == ("lenet5-fp32.xml", "lenet5-fp32.bin")
    assert made.facts["bytes of weights"] == (bundle / "lenet5-fp32.bin").stat().st_size > 61_706 * 4 - 1000
    artifact = open_with(open_ir, bundle / "lenet5-fp32.xml")
    samples = subject.reference.samples
    assert np.abs(artifact.run(samples.images) - subject.reference.outputs).max() < 1e-5
    assert artifact.metadata == export.load_artifact(bundle / "lenet5-fp32.onnx").metadata


def test_integers_are_right_by_default(lenet):
    subject = lenet("onnx-int8")
    check = answer("openvino", subject)
    assert check.status == "passed", check.gates  # which gates these are depends on the precision of this processor
    assert documented("openvino", subject) == "right"


def test_maps_are_returned_in_nhwc(tmp_path, pixels):
    keras.utils.set_random_seed(0)
    model = zoo.create_model("resnet20", blocks=1, input_shape=(16, 24, 3), head="segmentation", classes=3)
    export.export_model(model, tmp_path / "out", targets=["openvino"])
    images = pixels(2, 16, 24, 3)
    answers = open_with(open_ir, tmp_path / "out" / "resnet20-fp32.xml").run(images)
    assert np.abs(answers - model.predict(images, verbose=0)).max() < 1e-4


@pytest.mark.parametrize("open_", ["size", "batch"])
def test_sizes_may_be_open(tmp_path, pixels, open_):
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3) if open_ == "size" else (12, 16, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu", padding="same")(keras.layers.Rescaling(1 / 255)(image))
    model = keras.Model(image, keras.layers.Dense(3, activation="softmax")(keras.layers.GlobalMaxPooling2D()(x)))
    how = {"batch": "N"} if open_ == "batch" else {}
    images = pixels(12, 12, 16, 3)
    manifest = export.export_model(model, tmp_path / "out", targets=["openvino"], evaluation=images, **how)
    statuses = {check.name: check.status for check in manifest.artifacts[0].checks}
    assert statuses == dict.fromkeys(("ONNX Runtime", "OpenVINO", "OpenVINO in float32"), "passed")
    artifact = open_with(open_ir, next((tmp_path / "out").glob("*.xml")))
    assert artifact.input.shape == ((None, 3, 12, 16) if open_ == "batch" else (1, 3, None, None))
    assert np.abs(artifact.run(images) - model.predict(images, verbose=0)).max() < 1e-5


def test_truncated_weights_are_refused(bundle, tmp_path):
    onnx_file = tmp_path / "lenet5-fp32.onnx"
    onnx_file.write_bytes((bundle / onnx_file.name).read_bytes())
    xml = write_ir(onnx_file)
    weights = xml.with_suffix(".bin")
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(zoo.InputError, match="cannot be opened as a model"):
        open_with(open_ir, xml)


def test_missing_openvino_is_skipped_with_the_install_command(subject, monkeypatch):
    monkeypatch.setattr(artifact_check, "find_spec", lambda name: None)
    made = run_check("openvino", subject)
    assert (made.status, made.gates, made.files) == ("skipped", (), ())
    assert "pip install 'pocketzoo[openvino]'" in made.skipped
