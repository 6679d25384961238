"""Models with several inputs and outputs, from export to prediction."""

import json
from dataclasses import replace

import keras
import numpy as np
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers

from pocketzoo import export, zoo
from pocketzoo.export.artifact.metadata import Metadata
from pocketzoo.export.conversion.artifact_files import write_artifacts
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.sample_images import Samples, calibration_samples, evaluation_samples
from pocketzoo.export.validation.comparison import compare_artifact
from pocketzoo.export.validation.keras_reference import KerasReference
from pocketzoo.zoo.contract import state_contract

SIDE, COUNT = 12, 30
INPUTS = ("scene", "about", "kind", "depth")
OUTPUTS = ("score", "mask", "flags", "class")
TASKS = {"score": "regression", "mask": "segmentation", "flags": "multi_label", "class": "classification"}
TARGETS = ("mobile-cpu", "mobile-gpu", "edge-mcu", "web", "gpu", "server-int8", "serving")
FORMAT_NAMES = [name for name in FORMATS if name != "tflite-int16x8" and "coreml" not in name]


def net(structure):
    """Inputs and outputs in an order that is neither alphabetical nor that in which they are made."""
    keras.utils.set_random_seed(1)
    made = {
        "kind": keras.Input((), dtype="int32", name="kind"),
        "about": keras.Input((4,), name="about"),
        "depth": keras.Input((SIDE, SIDE, 1), name="depth"),
        "scene": keras.Input((SIDE, SIDE, 3), name="scene"),
    }
    maps = layers.Conv2D(6, 3, activation="relu")(layers.Rescaling(1 / 255)(made["scene"]))
    far = layers.Conv2D(4, 3, activation="relu")(layers.Rescaling(1 / 255)(made["depth"]))
    features = [layers.GlobalAveragePooling2D()(maps), layers.GlobalMaxPooling2D()(far), layers.Dense(4)(made["about"])]
    hidden = layers.Dense(8, "relu")(layers.Concatenate()([*features, layers.Embedding(5, 4)(made["kind"])]))
    heads = {
        "class": layers.Dense(3, "softmax", name="class")(hidden),
        "flags": layers.Dense(3, "sigmoid", name="flags")(hidden),
        "mask": layers.Conv2D(2, 1, activation="softmax", name="mask")(maps),
        "score": layers.Dense(3, name="score")(hidden),
    }
    inputs, outputs = {name: made[name] for name in INPUTS}, {name: heads[name] for name in OUTPUTS}
    if structure == "dict":
        return keras.Model(inputs, outputs, name="net")
    return keras.Model(list(inputs.values()), tuple(outputs.values()), name="net")


def images(count, channels, seed):
    blocks = np.random.default_rng(seed).integers(0, 256, (count, 4, 4, channels), "uint8")
    return blocks.repeat(3, axis=1).repeat(3, axis=2)


def data(seed):
    random = np.random.default_rng(seed)
    return {
        "depth": images(COUNT, 1, seed + 1),
        "kind": random.integers(0, 5, COUNT),
        "about": random.normal(size=(COUNT, 4)),
        "scene": images(COUNT, 3, seed),
    }


@pytest.fixture(scope="module")
def targets():
    random = np.random.default_rng(3)
    return {"class": random.integers(0, 3, COUNT), "score": random.normal(size=(COUNT, 3))}


@pytest.fixture(scope="module", params=["list", "dict"])
def model(request):
    return net(request.param)


@pytest.fixture(scope="module")
def bundle(model, targets, tmp_path_factory):
    """Every format, calibrated and validated; the thresholds are for 30 images of a net that is not trained."""
    out = tmp_path_factory.mktemp("bundle") / "out"
    loose = {"agreement": 0.8, "accuracy_drop": 0.2, "mae_rise": 0.2}
    data_, given = data(0), (data(10), targets)
    if not isinstance(model.input, dict):  # in the order of the model
        data_, given = [data_[name] for name in INPUTS], ([given[0][name] for name in INPUTS], targets)
    manifest = export.export_model(
        model, out, targets=TARGETS, calibration=data_, evaluation=given, task=TASKS, thresholds=loose
    )
    return out, manifest


def expected_outputs(model, values):
    arranged = values if isinstance(model.input, dict) else [values[name] for name in INPUTS]
    outputs = model.predict(arranged, verbose=0)
    return outputs if isinstance(outputs, dict) else dict(zip(OUTPUTS, outputs, strict=True))


def test_order_and_names_in_onnx_are_those_of_the_model(bundle):
    for path in bundle[0].glob("*.onnx"):
        session = onnxruntime.InferenceSession(path)
        assert [tensor.name for tensor in session.get_inputs()] == list(INPUTS)
        assert [tensor.name for tensor in session.get_outputs()] == list(OUTPUTS)


def test_signature_of_tflite_has_the_names_of_the_model(bundle, model):
    path = bundle[0] / "net-fp32.tflite"
    interpreter = Interpreter(str(path))
    assert interpreter.get_signature_list() == {
        "serving_default": {"inputs": sorted(INPUTS), "outputs": sorted(OUTPUTS)}
    }
    assert [details["name"] for details in interpreter.get_input_details()] == list(INPUTS)
    assert [details["name"] for details in interpreter.get_output_details()] == list(OUTPUTS)
    values = {name: rows[:1] for name, rows in data(20).items()}
    run = interpreter.get_signature_runner()
    result = run(**{name: rows.astype("int32" if name == "kind" else "float32") for name, rows in values.items()})
    for name, output in expected_outputs(model, values).items():
        np.testing.assert_allclose(result[name], output, atol=1e-5)


@pytest.mark.parametrize("name", FORMAT_NAMES)
def test_every_output_equals_that_of_keras_under_its_name(bundle, model, name):
    artifact = export.load_artifact(bundle[0] / f"net{FORMATS[name].file_ending}")
    values = data(20)
    result, expected = artifact.run(values), expected_outputs(model, values)
    assert list(result) == list(OUTPUTS)
    largest = 0.35 if "int8" in name else 0.02 if "fp16" in name else 1e-3
    for output in OUTPUTS:
        error = np.sqrt(np.mean((result[output] - expected[output]) ** 2))
        assert error <= largest * expected[output].std(axis=0).mean()
    others = {"score": "flags", "flags": "class", "class": "score"}  # of the same shape
    for output, other in others.items():
        assert np.abs(result[output] - expected[other]).mean() > np.abs(result[output] - expected[output]).mean()


def test_gates_of_every_output_are_in_manifest_certificate_and_report(bundle):
    out, manifest = bundle
    saved = json.loads((out / "manifest.json").read_text())
    assert list(saved["model"]["inputs"]) == list(INPUTS)
    assert {name: form["task"] for name, form in saved["model"]["outputs"].items()} == TASKS
    report = (out / "report.md").read_text()
    for record in manifest.artifacts:
        names = {gate.name for gate in record.checks[0].gates}
        assert {f"relative difference of {name}" for name in OUTPUTS} <= names
        assert {"agreement of class", "accuracy drop of class", "agreement of mask", "MAE rise of score"} & names
        assert list(record.input), list(record.output) == (list(INPUTS), list(OUTPUTS))
        assert export.load_artifact(out / record.file).certificate.checks == record.checks
    assert "relative difference of flags" in report


def test_what_takes_one_image_and_one_output_is_skipped_with_a_reason(bundle):
    skipped = {check.name: check.skipped for record in bundle[1].artifacts for check in record.checks if check.skipped}
    for title in ("TensorFlow Lite Micro", "C++ source", "web page", "LiteRT on the GPU"):
        assert "net has the inputs scene, about, kind, depth and the outputs score" in skipped[title]


def test_whole_numbers_with_16_bit_activations_are_refused(model, tmp_path):
    with pytest.raises(zoo.InputError, match=r"target int16x8 .* where an input takes whole numbers, as kind"):
        export.export_model(model, tmp_path / "out", targets=["int16x8"], calibration=data(0), task=TASKS)


def test_predictions_are_by_name_and_those_of_the_model(bundle, model):
    values, artifact = data(20), export.load_artifact(bundle[0] / "net-fp32.tflite")
    found, wanted = export.predict(artifact, values), export.predict(model, [values[name] for name in INPUTS])
    assert {name: each.task for name, each in found.items()} == TASKS
    for name in OUTPUTS:
        np.testing.assert_allclose(found[name].probabilities, wanted[name].probabilities, atol=1e-5)
    assert found["class"].top(1)[0][0][0] in "012"
    one = export.predict(artifact, {name: rows[0] for name, rows in values.items()})
    np.testing.assert_allclose(one["score"].probabilities[0], found["score"].probabilities[0], atol=1e-6)


def test_swapped_outputs_of_one_shape_fail_under_their_names(bundle, model, targets):
    state_contract(model, task=TASKS, report=False)
    metadata = ExportGraph.from_model(model).metadata
    reference = KerasReference(model).evaluate(metadata, evaluation_samples((data(10), targets), metadata), None)
    artifact = export.load_artifact(bundle[0] / "net-fp32.onnx")

    def swap(tensors):
        result = artifact.invoke(tensors)
        return result | {"flags": result["class"], "class": result["flags"]}

    check = compare_artifact(replace(artifact, invoke=swap), reference).check("made up", "1", FORMATS["onnx-fp32"])
    failed = {gate.name for gate in check.gates if gate.status == "failed"}
    assert {"relative difference of flags", "relative difference of class"} <= failed
    assert not any(name.endswith(("of score", "of mask")) for name in failed)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (data(0) | {"kind": np.arange(9)}, "calibration has 30 rows of 'scene'.* 9 rows of 'kind'"),
        ({name: rows for name, rows in data(0).items() if name != "kind"}, "the model has 'scene', 'about', 'kind'"),
        (data(0) | {"kind": np.zeros(COUNT)}, "calibration of 'kind' is float64 .* takes int32"),
        (data(0) | {"about": np.full((COUNT, 4), np.nan)}, "calibration of 'about' has values that are not finite"),
        (data(0) | {"about": np.zeros((COUNT, 3))}, r"calibration of 'about' is .* of shape \(30, 3\)"),
        (data(0) | {"kind": np.full(COUNT, 2**40)}, "calibration of 'kind' has values up to .* int32 cannot hold"),
        (data(0) | {"depth": images(COUNT, 1, 0) / 100.0 + 300}, "calibration of 'depth' has values from 300"),
        (images(COUNT, 3, 0), "calibration is a ndarray; give a dict with 'scene', 'about'"),
    ],
)
def test_calibration_that_does_not_fit_an_input_is_refused_with_its_name(model, values, message):
    state_contract(model, task=TASKS, report=False)
    with pytest.raises(zoo.InputError, match=message):
        calibration_samples(values, None, ExportGraph.from_model(model).metadata)


def test_labels_of_an_unknown_output_are_refused(model, tmp_path):
    with pytest.raises(zoo.InputError, match="the labels of evaluation has 'klass'; the model has the outputs score"):
        export.export_model(model, tmp_path / "out", evaluation=(data(0), {"klass": np.zeros(COUNT)}), task=TASKS)


def test_a_budget_of_a_check_that_is_skipped_is_refused(model, tmp_path):
    with pytest.raises(zoo.InputError, match="arena_bytes is for models with one image as input and one output"):
        export.export_model(
            model,
            tmp_path / "out",
            targets=["edge-mcu"],
            calibration=data(0),
            task=TASKS,
            thresholds={"arena_bytes": 1},
        )


def test_whole_numbers_without_data_are_refused(model, tmp_path):
    with pytest.raises(zoo.InputError, match="the input 'kind' of net takes int32, whose range is not known"):
        export.export_model(model, tmp_path / "out", targets=["openvino"], task=TASKS)


def branches():
    keras.utils.set_random_seed(0)
    image, vector = keras.Input((SIDE, SIDE, 3), name="eye"), keras.Input((3,), name="vector")
    unused = keras.Input((2,), name="unused")
    features = layers.Flatten()(layers.Conv2D(4, 3)(layers.Rescaling(1 / 255)(image)))
    first = layers.Dense(2, "softmax", name="out 1")(layers.Concatenate()([features, vector]))
    return image, vector, unused, [first, layers.Dense(2, "softmax", name="1st")(features)]


def test_unused_inputs_and_unusual_names_are_kept(tmp_path):
    """Noise stands in for the numbers too where there is no data."""
    image, vector, unused, outputs = branches()
    inputs = {"eye": image, "unused": unused, "vector": vector}
    model = keras.Model(inputs, dict(zip(("a/b c", "ü"), outputs, strict=True)), name="unusual")
    manifest = export.export_model(model, tmp_path / "out", targets=["mobile-cpu", "gpu"])
    for record in manifest.artifacts:
        assert list(record.input) == ["eye", "unused", "vector"]
        assert list(record.output) == ["a/b c", "ü"]


def test_one_image_with_several_outputs_and_one_output_of_several_images(tmp_path):
    image, other = keras.Input((SIDE, SIDE, 3), name="pixels"), keras.Input((SIDE, SIDE, 3), name="before")
    features = [layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(each / 255.0)) for each in (image, other)]
    maps = layers.Identity(name="maps")(features[0])
    several = keras.Model(image, [layers.Dense(2, "softmax", name="b")(features[0]), maps], name="several")
    manifest = export.export_model(
        several,
        tmp_path / "several",
        targets=["mobile-cpu"],
        calibration=images(COUNT, 3, 0),
        evaluation=(images(COUNT, 3, 9), {"b": np.arange(COUNT) % 2}),
        thresholds={"accuracy_drop": 1, "agreement": 0},
        task={"maps": "raw"},
    )
    artifact = export.load_artifact(tmp_path / "several" / manifest.artifacts[0].file)
    assert artifact.input.name == "pixels"
    assert list(artifact.run(images(2, 3, 5))) == list(artifact.outputs)
    change = keras.Model([image, other], layers.Dense(2)(features[0] - features[1]), name="change")
    pair = (images(COUNT, 3, 0), images(COUNT, 3, 1))
    export.export_model(
        change, tmp_path / "change", targets=["gpu"], evaluation=(pair, np.eye(COUNT, 2)), task="regression", batch="N"
    )
    prediction = export.predict(export.load_artifact(tmp_path / "change" / "change-fp32.onnx"), pair)
    np.testing.assert_allclose(prediction.probabilities, change.predict(list(pair), verbose=0), atol=1e-4)


def test_tensors_that_files_cannot_tell_apart_are_refused():
    image, vector, _, (first, second) = branches()
    for outputs, message in (
        ([first, first], "the output 'out 1_1' of net is the output 'out 1' itself"),
        ([first, vector], "the output 'vector' of net is the input 'vector' itself"),
        ({"vector": first, "b": second}, "net has an input and an output of the name 'vector'"),
    ):
        model = keras.Model({"eye": image, "vector": vector}, outputs, name="net")
        state_contract(model, report=False)
        with pytest.raises(zoo.InputError, match=message):
            ExportGraph.from_model(model)
    open_image = keras.Input((None, None, 3), name="open")
    model = keras.Model([open_image, vector], layers.Dense(2)(vector) + keras.ops.mean(open_image), name="net")
    with pytest.raises(zoo.InputError, match="the input 'open' of net leaves its size open"):
        ExportGraph.from_model(model)


def test_metadata_of_one_image_and_one_output_has_no_names():
    fields = json.loads(
        Metadata(
            model="net", labels=("a", "b"), image_shape=(4, 4, 3), mean=None, scale=None, weights_sha256=""
        ).model_dump_json()
    )
    assert not {"inputs", "outputs"} & set(fields)


def test_dark_images_do_not_narrow_the_range_of_any_image(tmp_path):
    model = net("dict")
    state_contract(model, task=TASKS, report=False)
    graph = ExportGraph.from_model(model)
    dark = data(0) | {"scene": images(COUNT, 3, 0) // 8, "depth": images(COUNT, 1, 1) // 8}
    calibration = calibration_samples(dark, None, graph.metadata)
    ((path, _),) = write_artifacts(graph, [FORMATS["tflite-int8"]], calibration, tmp_path)
    artifact = export.load_artifact(path)
    for name in ("scene", "depth"):
        assert artifact.inputs[name].scale == pytest.approx(1)
    assert artifact.inputs["about"].scale == pytest.approx(np.ptp(dark["about"]) / 255, rel=0.05)
    assert artifact.inputs["kind"].dtype == "int32"


def test_samples_are_equal_only_if_all_inputs_are():
    images_ = images(2, 3, 0)[[0, 0]]
    samples = Samples({"a": images_, "b": np.array([[1.0], [2.0]])}, None)
    assert len(samples.without(Samples({"a": images_[:1], "b": np.array([[2.0]])}, None))) == 1
    assert samples.vary()
