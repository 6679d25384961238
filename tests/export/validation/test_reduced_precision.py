"""Files that processors compute in float16 or bfloat16, judged in that arithmetic."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
from keras import layers
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from pocketzoo import export, zoo
from pocketzoo.export.conversion.onnx.float16_arithmetic import with_float16_rounding
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.runtimes.litert_gpu import NoGpuError
from pocketzoo.export.runtimes.onnx_runtime import open_onnx
from pocketzoo.export.sample_images import Samples
from pocketzoo.export.validation.checks import check_registry, float16, openvino, tflite_micro
from pocketzoo.export.validation.checks.artifact_check import Subject
from pocketzoo.export.validation.reference import Reference

TARGETS = {"gpu": "onnxruntime-float16", "mobile-gpu": "litert-float16"}


def net(*stack):
    """A classifier of 12x12 pixels."""
    keras.utils.set_random_seed(0)
    dense = layers.Dense(3, activation="softmax", name="dense")
    return keras.Sequential([keras.Input((12, 12, 3)), *stack, layers.GlobalAveragePooling2D(), dense], name="net")


def sums(name):
    """A convolution whose outputs are up to 40 times brighter for three channels."""
    return layers.Conv2D(2, 3, kernel_initializer=keras.initializers.Constant(1.5), padding="same", name=name)


@pytest.fixture
def results(tmp_path, pixels, monkeypatch):
    """The float16 check of an export for a target, or why it failed."""
    monkeypatch.setattr("pocketzoo.export.validation.checks.litert_gpu.run_on_gpu", _no_gpu)

    def result(model, target, **options):
        how = {"targets": [target], "evaluation": pixels(12, 12, 12, 3)} | options
        manifest = export.export_model(model, tmp_path / target, **how)
        names = (float16.ONNX_TITLE, float16.LITERT_TITLE)
        (check,) = (check for record in manifest.artifacts for check in record.checks if check.name in names)
        return check

    return result


def _no_gpu(*_):
    raise NoGpuError


@pytest.mark.parametrize("target", TARGETS)
def test_overflow_in_float16_is_refused_with_the_layer(results, target):
    model = net(sums("first"), layers.ReLU(), sums("second"), layers.ReLU(), layers.Rescaling(2e-4))
    with pytest.raises(
        export.ProofError, match=r"values of (\S+ \+ )?second\S* reach .*, and float16 ends at 65,504"
    ) as it:
        results(model, target)
    assert "in float16: finite share is " in str(it.value)
    assert "choose targets with float32 arithmetic" in str(it.value)


@pytest.mark.parametrize("target", TARGETS)
def test_overflow_that_only_changes_outputs_is_refused_too(results, target):
    squashed = layers.Rescaling(2e-4, offset=-28.0), layers.Activation("sigmoid"), layers.Rescaling(4.0)
    with pytest.raises(export.ProofError, match=r"in float16: .*values of"):
        results(net(sums("one"), layers.ReLU(), sums("two"), layers.ReLU(), *squashed), target)


@pytest.mark.parametrize("target", TARGETS)
def test_underflow_in_float16_is_refused(results, target):
    model = net(layers.Conv2D(4, 3), layers.Rescaling(1e-10), layers.ReLU(), layers.Rescaling(1e9), layers.ReLU())
    with pytest.raises(export.ProofError, match=r"difference in float16 is .*rounded to float16"):
        results(model, target)


@pytest.mark.parametrize("target", TARGETS)
def test_overflow_without_consequences_is_allowed(results, target):
    image = keras.Input((12, 12, 3))
    clipped = layers.ReLU(max_value=6.0)(sums("two")(layers.ReLU()(sums("one")(image))))
    maps = layers.Conv2D(2, 3, padding="same")(layers.Rescaling(1 / 255)(image))
    x = layers.GlobalAveragePooling2D()(layers.Add()([maps, clipped]))
    check = results(keras.Model(image, layers.Dense(3, activation="softmax")(x), name="net"), target)
    assert check.status == "passed"


@pytest.mark.parametrize("target", TARGETS)
def test_net_with_random_weights_passes_in_float16(results, target):
    stages = [layer for _ in range(6) for layer in (layers.Conv2D(8, 3, padding="same"), layers.BatchNormalization())]
    check = results(net(layers.Rescaling(1 / 255), *stages), target)
    assert {gate.name: gate.status for gate in check.gates} == {
        "finite share": "passed",
        "difference in float16": "passed",
    }


def test_user_threshold_is_applied_in_float16(results, pixels):
    model = net(layers.Rescaling(1 / 255), layers.Conv2D(4, 3))
    images = pixels(60, 12, 12, 3)
    labels = model.predict(images, verbose=0).argmax(-1)
    how = {"evaluation": (images, labels), "thresholds": {"agreement": 0.9, "accuracy_drop": 0.1}}
    gates = {gate.name: gate.bar for gate in results(model, "gpu", **how).gates}
    assert (gates["agreement"], gates["accuracy drop"]) == (0.9, 0.1)


@pytest.mark.parametrize("scale", [1.0, 300.0, 3e4, 1e-9])
def test_float16_rounding_is_that_of_a_float16_evaluator(scale):
    random = np.random.default_rng(0)
    nodes = [
        helper.make_node("Cast", ["x"], ["half"], to=TensorProto.FLOAT16),
        helper.make_node("Conv", ["half", "kernel"], ["maps"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["maps"], ["positive"]),
        helper.make_node("Mul", ["positive", "scale"], ["scaled"]),
        helper.make_node("Shape", ["scaled"], ["shape"]),
        helper.make_node("Reshape", ["scaled", "shape"], ["same"]),
        helper.make_node("Cast", ["same"], ["y"], to=TensorProto.FLOAT),
    ]
    constants = {"kernel": random.normal(size=(2, 3, 3, 3)).astype("float16"), "scale": np.float16(1 / 64)}
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, side, 5, 5)) for name, side in (("x", 3), ("y", 2))
    ]
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], initializers)
    half = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    image = (random.uniform(size=(1, 3, 5, 5)) * scale).astype("float32")
    expected = ReferenceEvaluator(half).run(None, {"x": image})[0]
    rounded = with_float16_rounding(half)
    onnx.checker.check_model(rounded, full_check=True)
    outputs = open_onnx(Path("net.onnx"), rounded.SerializeToString()).invoke(image)
    np.testing.assert_allclose(outputs, expected, rtol=2e-3, atol=1e-7)
    assert np.isinf(expected).any() == (scale == 3e4)


@pytest.fixture
def in_openvino(tmp_path, pixels):
    """The checks of OpenVINO for an export."""

    def checks(model, **options):
        how = {"targets": ["openvino"], "evaluation": pixels(60, 12, 12, 3)} | options
        manifest = export.export_model(model, tmp_path / "out", **how)
        return {check.name: check for check in manifest.artifacts[0].checks}

    return checks


def test_openvino_is_validated_as_it_runs_by_default_and_in_float32(in_openvino):
    checks = in_openvino(net(layers.Rescaling(1 / 255), layers.Conv2D(4, 3)))
    by_default, exact = checks[openvino.TITLE], checks[openvino.FLOAT32_TITLE]
    assert (by_default.status, exact.status) == ("passed", "passed")
    assert by_default.facts["precision"] in ("f32", "bf16", "f16")
    assert "relative difference" in [gate.name for gate in exact.gates]


def test_bfloat16_is_judged_by_its_outputs_and_labels(in_openvino, monkeypatch, pixels):
    monkeypatch.setattr(openvino, "default_precision", lambda: "bf16")
    model = net(layers.Rescaling(1 / 255), layers.Conv2D(4, 3))
    images = pixels(120, 12, 12, 3)
    outputs = model.predict(images, verbose=0)
    check = in_openvino(model, evaluation=(images, outputs.argmax(-1)))[openvino.TITLE]
    assert [gate.name for gate in check.gates] == ["finite share", "difference in bf16", "accuracy drop"]
    assert check.facts["precision"] == "bf16"
    assert check.agreement is not None


def test_wrong_outputs_in_the_default_precision_fail_with_the_setting(bundle, manifest, digits, trained, monkeypatch):
    images, labels = digits.test.arrays()
    outputs = np.roll(trained.predict(images, verbose=0), 1, axis=0)
    reference = Reference(Samples(images, labels), "evaluation images", outputs)
    monkeypatch.setattr(openvino, "default_precision", lambda: "bf16")
    monkeypatch.setattr(openvino, "write_ir", lambda path: path.with_suffix(".xml"))
    subject = Subject(bundle / "lenet5-fp32.onnx", FORMATS["onnx-fp32"], manifest.model, reference)
    failed = [gate for gate in check_registry.run_check("openvino", subject).gates if gate.status == "failed"]
    assert failed[0].name == "difference in bf16"
    assert failed[0].reason == "bf16 is the default of this CPU; INFERENCE_PRECISION_HINT=f32 is float32"


def test_threshold_of_a_loss_applies_to_float_files(tmp_path, pixels):
    model = net(layers.Rescaling(1 / 255), layers.Conv2D(4, 3))
    images = pixels(24, 12, 12, 3)
    labels = model.predict(images, verbose=0).argmax(-1)
    how = {"targets": ["gpu"], "evaluation": (images, labels), "thresholds": {"accuracy_drop": 0}}
    manifest = export.export_model(model, tmp_path / "out", **how)
    for record in manifest.artifacts:
        gates = {gate.name: gate for gate in record.checks[0].gates}
        assert (gates["accuracy drop"].bar, gates["accuracy drop"].status) == (0, "passed")


def test_threshold_that_nothing_measures_is_reported(tmp_path):
    model = net(layers.Rescaling(1 / 255), layers.Conv2D(4, 3))
    how = {"targets": ["gpu"], "thresholds": {"accuracy_drop": 0, "agreement": 0.99}}
    manifest = export.export_model(model, tmp_path / "out", **how)
    begin = "the threshold that was set is not shown to be met: no"
    for record in manifest.artifacts:
        reasons = {gate.name: gate.reason for gate in record.checks[0].gates if gate.status == "skipped"}
        assert reasons == {
            "agreement": f"{begin} real images were given",
            "accuracy drop": f"{begin} labeled evaluation images were given",
        }


def test_threshold_of_a_missing_tool_is_refused(tmp_path, pixels, monkeypatch):
    check = check_registry.CHECKS["tflite-micro"]
    missing = replace(tflite_micro.REQUIREMENT, is_met=lambda: False)
    monkeypatch.setitem(check_registry.CHECKS, "tflite-micro", replace(check, requirements=(missing,)))
    blocks = pixels(12, 3, 3, 3).repeat(4, axis=1).repeat(4, axis=2)
    how = {"targets": ["edge-mcu"], "calibration": blocks, "thresholds": {"arena_bytes": 50_000}}
    with pytest.raises(zoo.InputError, match=r"arena_bytes cannot be measured: tflite-micro is not installed \(pip"):
        export.export_model(net(layers.Rescaling(1 / 255)), tmp_path / "out", **how)


@pytest.mark.parametrize("gain", [50.0, 1000.0, 1e5])
def test_saturated_net_is_exported_without_data(tmp_path, gain):
    model = net(layers.Rescaling(1 / 255), layers.Conv2D(4, 3, activation="relu"))
    dense = model.get_layer("dense")
    dense.kernel.assign(dense.kernel * gain)
    export.export_model(model, tmp_path / "out", targets=["gpu"])
