import io
import json
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pocketzoo import export, training, zoo
from pocketzoo.export.artifact.metadata import Metadata
from pocketzoo.export.artifact.tensors import TensorInfo
from pocketzoo.export.artifact.tflite_embedding import append_labels

FILES = [
    "lenet5-fp32.tflite",
    "lenet5-fp16.tflite",
    "lenet5-dynamic.tflite",
    "lenet5-int8.tflite",
    "lenet5-fp32.onnx",
    "lenet5-fp16.onnx",
    "lenet5-int8.onnx",
    "lenet5-int8-tensorrt.onnx",
]


@pytest.mark.parametrize("file", FILES)
def test_metadata_has_labels_and_pixel_format(file, bundle, digits):
    artifact = export.load_artifact(bundle / file)
    assert (artifact.input.name, artifact.output.name) == ("image", "probabilities")
    assert artifact.input.shape == ((1, 1, 32, 32) if file.endswith("onnx") else (1, 32, 32, 1))
    assert artifact.input.image_shape == (32, 32, 1)
    assert artifact.metadata.labels == digits.labels
    assert artifact.metadata.pixel_range == (0.0, 255.0)


def test_edge_artifact_has_int8_input_and_output(bundle):
    artifact = export.load_artifact(bundle / "lenet5-int8.tflite")
    assert (artifact.input.dtype, artifact.output.dtype) == ("int8", "int8")
    # Raw pixels are the input: one step is one gray level.
    assert artifact.input.scale == pytest.approx(1, abs=0.02)
    assert artifact.input.zero_point == -128


def test_server_artifact_has_uint8_input(bundle, digits):
    artifact = export.load_artifact(bundle / "lenet5-int8.onnx")
    assert (artifact.input.dtype, artifact.input.scale, artifact.input.zero_point) == ("uint8", 1, 0)
    image = digits.test.images.take(np.arange(1))
    session = onnxruntime.InferenceSession(bundle / "lenet5-int8.onnx")
    (answer,) = session.run(None, {"image": image.transpose(0, 3, 1, 2)})  # no scale, no mean, no float
    np.testing.assert_array_equal(artifact.run(image), answer)
    np.testing.assert_array_equal(artifact.run(image + 0.4), answer)


def test_int8_artifacts_have_integer_tensors_throughout(bundle):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(bundle / "lenet5-int8.tflite"))
    assert {np.dtype(tensor["dtype"]).name for tensor in interpreter.get_tensor_details()} <= {"int8", "int32"}
    operators = {node.op_type for node in onnx.load(bundle / "lenet5-int8.onnx").graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators


@pytest.mark.parametrize("file", [name for name in FILES if name.endswith("tflite")])
def test_tflite_artifact_has_builtin_ops_and_static_shapes_only(file, bundle):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(bundle / file))
    interpreter.allocate_tensors()
    names = {operator["op_name"] for operator in interpreter._get_ops_details()}
    assert not [
        name for name in names if name.startswith("Flex") or name in ("SHAPE", "PACK", "STRIDED_SLICE", "CUSTOM")
    ]
    assert all(-1 not in tensor["shape_signature"] for tensor in interpreter.get_tensor_details())


@pytest.mark.parametrize("file", [name for name in FILES if name.endswith("onnx")])
def test_onnx_artifact_imports_no_other_operators_than_standard_ones(file, bundle):
    assert [entry.domain for entry in onnx.load(bundle / file).opset_import] == [""]


def test_labels_are_where_the_tools_of_each_format_look(bundle, digits):
    with zipfile.ZipFile(bundle / "lenet5-fp32.tflite") as archive:
        assert archive.read("labels-0.txt").decode().splitlines() == list(digits.labels)
    model = onnx.load(bundle / "lenet5-fp32.onnx")
    assert [entry.version for entry in model.opset_import if entry.domain == ""] == [17]
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(properties["pocketzoo"])["labels"] == list(digits.labels)


def test_label_with_a_line_break_is_one_line():
    with zipfile.ZipFile(io.BytesIO(append_labels(b"", ["two\nlines", "", "Käse"]))) as archive:
        assert archive.read("labels-0.txt").decode().split("\n") == ["two lines", "", "Käse"]


def test_predict_returns_the_most_probable_classes_first(bundle, digits, trained):
    images = digits.test.arrays()[0]
    prediction = export.predict(export.load_artifact(bundle / "lenet5-fp32.onnx"), images[:5])
    np.testing.assert_allclose(prediction.probabilities, trained.predict(images[:5], verbose=0), atol=1e-5)
    for best in prediction.top(3):
        probabilities = [probability for _, probability in best]
        assert len(best) == 3
        assert probabilities == sorted(probabilities, reverse=True)
    single = export.predict(export.load_artifact(bundle / "lenet5-fp32.onnx"), images[0])
    np.testing.assert_array_equal(single.probabilities, prediction.probabilities[:1])


def test_images_of_another_shape_are_refused(bundle):
    with pytest.raises(zoo.InputError, match=r"images of shape \(2, 8, 8, 1\)"):
        export.predict(export.load_artifact(bundle / "lenet5-fp32.tflite"), np.zeros((2, 8, 8, 1)))


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.floats(-300, 300, width=32), min_size=1, max_size=20), st.floats(0.001, 2), st.integers(-128, 127))
def test_quantization_error_is_at_most_half_a_step(values, scale, zero_point):
    tensor = TensorInfo("x", (len(values),), "int8", scale, zero_point)
    values = np.array(values, "float32")
    low, high = (np.array([-128, 127]) - zero_point) * scale
    back = tensor.to_real(tensor.from_real(values))
    np.testing.assert_allclose(back, np.clip(values, low, high), atol=scale * 0.51 + 1e-3)


@pytest.mark.parametrize("file", ["lenet5-fp32.tflite", "lenet5-int8.tflite", "lenet5-fp32.onnx", "lenet5-int8.onnx"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 0.999))
def test_truncated_artifact_is_refused(file, share, bundle, tmp_path):
    content = (bundle / file).read_bytes()
    path = tmp_path / f"cut{file[-7:]}"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(zoo.InputError, match="truncated"):
        export.load_artifact(path)


@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
@pytest.mark.parametrize("content", [b"", b"no model at all", b"\x00" * 5000, b"\x1c\x00\x00\x00TFL3" + b"\xff" * 500])
def test_file_that_is_not_a_model_is_refused(suffix, content, tmp_path):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    with pytest.raises(zoo.InputError, match=f"model{suffix} cannot be opened as a model"):
        export.load_artifact(path)


def test_missing_files_and_other_formats_are_named(tmp_path):
    with pytest.raises(zoo.InputError, match="there is no such file"):
        export.load_artifact(tmp_path / "none.tflite")
    with pytest.raises(zoo.InputError, match=r"must end in \.tflite, \.onnx or \.keras"):
        export.load_artifact(tmp_path / "model.pb")


def test_foreign_file_runs_without_labels(bundle, tmp_path):
    model = onnx.load(bundle / "lenet5-fp32.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    artifact = export.load_artifact(tmp_path / "bare.onnx")
    assert artifact.metadata is None
    assert export.predict(artifact, np.zeros((32, 32, 1))).labels == tuple("0123456789")


@pytest.mark.parametrize("labels", [["0", "1"], []])
def test_artifact_with_more_outputs_than_labels_is_refused(labels, bundle, tmp_path):
    model = onnx.load(bundle / "lenet5-fp32.onnx")
    told = json.loads(model.metadata_props[0].value)
    onnx.helper.set_model_props(model, {"pocketzoo": json.dumps(told | {"labels": labels})})
    onnx.save(model, tmp_path / "short.onnx")
    message = rf"short\.onnx cannot be opened as a model: it has {len(labels)} labels for 10 outputs"
    with pytest.raises(zoo.InputError, match=message):
        export.load_artifact(tmp_path / "short.onnx")


def test_no_images_are_refused(bundle):
    with pytest.raises(zoo.InputError, match=r"images of shape \(0, 32, 32, 1\)"):
        export.predict(export.load_artifact(bundle / "lenet5-fp32.onnx"), np.zeros((0, 32, 32, 1)))


def test_figures_that_are_not_finite_survive_json(manifest):
    told = manifest.model.model_copy(update={"mean": (float("nan"),), "scale": (float("inf"),)})
    read = Metadata.model_validate_json(told.model_dump_json())
    assert np.isnan(read.mean[0])
    assert read.scale == (float("inf"),)


@pytest.mark.parametrize("file", ["lenet5-fp32.tflite", "lenet5-fp32.onnx", "lenet5.keras"])
def test_artifacts_and_models_have_the_same_interface(file, bundle, trained_file, trained, digits):
    artifact = export.load_artifact(trained_file if file.endswith("keras") else bundle / file)
    images = digits.test.images.take(np.arange(8))
    prediction = export.predict(artifact, images)
    np.testing.assert_allclose(prediction.probabilities, trained.predict(images, verbose=0), atol=1e-5)
    assert prediction.labels == digits.labels
    assert export.benchmark(artifact, runs=3).runs == 3
    evaluation, expected = training.evaluate(artifact, digits), training.evaluate(trained, digits)
    assert evaluation.accuracy == expected.accuracy
    assert evaluation.loss == pytest.approx(expected.loss, rel=1e-4)
    assert evaluation.per_class.keys() == expected.per_class.keys()


def test_artifact_is_evaluated_only_on_matching_data(bundle, digits, tmp_path):
    artifact = export.load_artifact(bundle / "lenet5-fp32.onnx")
    with pytest.raises(zoo.InputError, match=r"takes images of \(32, 32, 1\); the data has \(16, 16, 1\)"):
        training.evaluate(artifact, training.load_data("digits", image_size=16))
    letters = replace(artifact, metadata=artifact.metadata.model_copy(update={"labels": tuple("abcdefghij")}))
    with pytest.raises(zoo.InputError, match=r"has the classes \('a', .*; the data has \('0', "):
        training.evaluate(letters, digits)
    with pytest.raises(zoo.InputError, match="has the task classification; the data has regression"):
        training.evaluate(artifact, replace(digits, task="regression"))
    masks = training.load_data("digit-scenes", image_size=32, channels=1).test
    with pytest.raises(zoo.InputError, match=r"for an image the shape \(\); the data has \(32, 32\)"):
        training.evaluate(artifact, masks)


WITHOUT_TENSORFLOW = """
import importlib.abc, sys

ABSENT = {"tensorflow", "keras", "tf_keras", "onnx", "tf2onnx", "onnxslim", "scipy", "sklearn", "matplotlib", "h5py"}

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Refuse())
import numpy as np
from pocketzoo.export import benchmark, load_artifact, predict
for path in sys.argv[1:]:
    artifact = load_artifact(path)
    print(predict(artifact, np.zeros((32, 32, 1))).top(1), benchmark(artifact, runs=2).runs)

import importlib.metadata
distributions = importlib.metadata.packages_distributions()
print(*sorted({distributions[name][0] for name in sys.modules if name in distributions} - {"pocketzoo", "setuptools"}))
"""
RUNTIME = "ai-edge-litert annotated-types flatbuffers lazy-loader numpy onnxruntime pydantic pydantic_core \
typing-inspection typing_extensions"
"""All distributions that loading and predicting need; setuptools is loaded in every process by its own `.pth` file."""


def test_loading_and_predicting_needs_no_tensorflow(bundle, tmp_path):
    files = [shutil.copy(bundle / name, tmp_path) for name in ("lenet5-int8.tflite", "lenet5-int8.onnx")]
    command = [sys.executable, "-c", WITHOUT_TENSORFLOW, *files]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd="/")
    *answers, distributions = done.stdout.splitlines()
    assert len(answers) == 2
    assert distributions == RUNTIME
