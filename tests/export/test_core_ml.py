"""Core ML packages of a classifier: their bundle, what is read from them, and Core ML itself, or a stand-in."""

import re
import shutil
import sys
from importlib.metadata import version
from importlib.util import find_spec
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from pocketzoo import export, zoo
from pocketzoo.core.errors import InputError
from pocketzoo.export.artifact.directories import graph_file
from pocketzoo.export.conversion.artifact_files import write_artifacts
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.loading import open_with
from pocketzoo.export.runtimes import core_ml
from pocketzoo.export.runtimes.core_ml import CLASS_PROBABILITIES
from pocketzoo.export.sample_images import Samples
from pocketzoo.export.validation.checks.artifact_check import Subject
from pocketzoo.export.validation.checks.check_registry import run_check
from pocketzoo.export.validation.reference import Reference

pytestmark = pytest.mark.skipif(find_spec("coremltools") is None, reason="coremltools is not installed")


@pytest.fixture(scope="module")
def bundle(trained_file, digits, tmp_path_factory):
    """A bundle of the trained LeNet-5 for `apple`."""
    out = tmp_path_factory.mktemp("apple") / "out"
    export.export_model(zoo.load_model(trained_file), out, targets="apple", evaluation=digits.test)
    return out


def _spec(path):
    from coremltools.proto import Model_pb2

    return Model_pb2.Model.FromString(graph_file(path).read_bytes())


def test_classifier_has_its_labels_and_passes_every_check_but_core_ml(bundle):
    manifest = export.Manifest.load(bundle / "manifest.json")
    assert [record.format for record in manifest.artifacts] == ["coreml-fp16", "coreml-int8"]
    for record in manifest.artifacts:
        description = _spec(bundle / record.file).description
        assert [feature.name for feature in description.output] == ["classLabel", CLASS_PROBABILITIES]
        assert description.input[0].type.imageType.colorSpace == 10  # grayscale
        program_check, half, runtime = record.checks
        assert (program_check.status, half.status) == ("passed", "passed")
        assert program_check.agreement == 1
        assert ("images" in program_check.facts) is False
        if sys.platform == "darwin":
            assert runtime.status == "passed"
        else:
            assert runtime.skipped.startswith("Core ML is not installed: it is a part of macOS; export on a Mac")
        assert record.operators["conv"] == 2
        assert record.output.shape == (1, 10)
    assert manifest.tools["coremltools"] == version("coremltools")


def test_damaged_weights_fail_the_check(bundle, digits, trained_file, tmp_path):
    copy = shutil.copytree(bundle / "lenet5-fp16.mlpackage", tmp_path / "lenet5-fp16.mlpackage")
    weights = copy / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"
    content = bytearray(weights.read_bytes())
    content[60_000:90_000] = bytes(30_000)
    weights.write_bytes(content)
    images = digits.test.images.take(np.arange(20))
    outputs = zoo.load_model(trained_file).predict(images.astype("float32"), verbose=0)
    reference = Reference(Samples(images, None), "evaluation images", outputs)
    subject = Subject(copy, FORMATS["coreml-fp16"], export.load_artifact(copy).metadata, reference)
    check = run_check("coreml-program", subject)
    assert "relative difference" in {gate.name for gate in check.gates if gate.status == "failed"}
    assert not export.load_artifact(copy).certificate.holds(copy)


@pytest.mark.skipif(sys.platform == "darwin", reason="Core ML runs here")
def test_package_is_described_but_not_run_without_core_ml(bundle, digits):
    path = bundle / "lenet5-fp16.mlpackage"
    artifact = export.load_artifact(path)
    assert artifact.certificate.holds(path)
    assert artifact.metadata.making.tools["coremltools"] == version("coremltools")
    with pytest.raises(InputError, match="cannot be run: Core ML runs on Macs only"):
        export.predict(artifact, digits.test.images.take(np.arange(1)))


def test_core_ml_gets_pictures_and_its_dictionary_is_read_by_label(bundle, digits, monkeypatch):
    """With a stand-in for Core ML, which has no test on a Mac."""
    seen = []

    class Model:
        def __init__(self, path):
            seen.append(path)

        def predict(self, features):
            seen.append(features["image"])
            return {"classLabel": "3", CLASS_PROBABILITIES: {str(9 - label): label / 45 for label in range(10)}}

    monkeypatch.setattr(core_ml, "sys", SimpleNamespace(platform="darwin"))
    monkeypatch.setattr("coremltools.models.MLModel", Model)
    path = bundle / "lenet5-int8.mlpackage"
    image = digits.test.images.take(np.arange(1))
    prediction = export.predict(export.load_artifact(path), image)
    assert seen[0] == str(path)
    assert (seen[1].mode, seen[1].size) == ("L", (32, 32))
    assert np.array_equal(np.asarray(seen[1]), image[0, ..., 0])
    assert prediction.probabilities[0] == pytest.approx(np.arange(9, -1, -1) / 45)


def test_export_is_refused_with_the_command_before_anything_is_computed(monkeypatch, tmp_path):
    monkeypatch.setattr("pocketzoo.export.targets.find_spec", lambda name: None)
    message = "coreml-fp16 needs coremltools, which is not installed: pip install 'pocketzoo[apple]'"
    with pytest.raises(InputError, match=re.escape(message)):
        export.export_model(zoo.create_model("lenet5"), tmp_path / "out", targets=["gpu", "apple"])
    assert not list(tmp_path.iterdir())


def test_open_size_is_refused_with_the_option_that_sets_it(tmp_path):
    image = keras.Input((None, None, 3))
    model = keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(image)), name="net")
    with pytest.raises(InputError, match=r"net leaves its size open.*; create it with a fixed input_shape, or set"):
        export.export_model(model, tmp_path / "out", targets="apple", task="raw")
    assert not list(tmp_path.iterdir())


def test_damaged_and_foreign_packages_are_refused(bundle, tmp_path):
    copy = shutil.copytree(bundle / "lenet5-fp16.mlpackage", tmp_path / "x.mlpackage")
    spec = _spec(copy)
    graph_file(copy).write_bytes(graph_file(copy).read_bytes()[:-50])
    with pytest.raises(InputError, match=r"cannot be opened as a model"):
        export.load_artifact(copy)
    del spec.description.metadata.userDefined["pocketzoo"]
    graph_file(copy).write_bytes(spec.SerializeToString())
    with pytest.raises(InputError, match=r"another tool made it"):
        export.load_artifact(copy)
    (tmp_path / "y.mlpackage").write_bytes(b"x")
    with pytest.raises(InputError, match=r"y\.mlpackage"):
        export.load_artifact(tmp_path / "y.mlpackage")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_specification_is_refused_or_read(bundle, draw):
    path = bundle / "lenet5-int8.mlpackage"
    content = bytearray(graph_file(path).read_bytes())
    end = content.index(b"classLabel_probs") + 200
    for place in draw.draw(st.lists(st.integers(0, end), min_size=1, max_size=4)):
        content[place] = draw.draw(st.integers(0, 255))
    try:
        artifact = open_with(lambda path, _: core_ml.open_core_ml(path, bytes(content)), path)
    except InputError:
        return
    assert len(artifact.inputs) == len(artifact.outputs) == 1


def test_name_that_core_ml_would_change_is_refused(tmp_path):
    photo, more = keras.Input((4, 4, 3), name="my photo"), keras.Input((3,), name="more")
    model = keras.Model([photo, more], layers.Concatenate()([layers.GlobalAveragePooling2D()(photo), more]), name="net")
    with pytest.raises(InputError, match=r"net has the input or output 'my photo', and Core ML takes letters"):
        list(write_artifacts(ExportGraph.from_model(model), [FORMATS["coreml-fp16"]], None, tmp_path))


def test_readme_is_for_images(bundle):
    text = (bundle / "README.md").read_text(encoding="utf-8")
    assert "| lenet5-fp16.mlpackage | image | 32 x 32 | image | - | a CVPixelBuffer or CGImage |" in text
    if sys.platform != "darwin":
        assert "were evaluated one by one, not by Core ML. It did not run." in text
    assert 'forResource: "lenet5-fp16", withExtension: "mlmodelc"' in text
    assert "as! [VNClassificationObservation]" in text
