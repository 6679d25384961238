import keras
import numpy as np
import pytest

from pocketzoo import layers, zoo
from pocketzoo.export import lint as lint_module
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.conversion.tflite.tflite_files import to_tflite
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.least_costs import least_arena, least_flash
from pocketzoo.export.lint import lint, lint_targets
from pocketzoo.export.runtimes.tflite_micro import RefusedError, run_in_micro, smallest_arena
from pocketzoo.export.sample_images import random_samples
from pocketzoo.export.targets import TARGETS
from pocketzoo.export.tflite_schema.operator_support import operator_list
from pocketzoo.export.validation.checks import artifact_check
from pocketzoo.export.validation.checks.tflite_micro import first_refused
from pocketzoo.training.compression.quantization.rewriting import quantized_model


def net(*middle, name="net"):
    image = keras.Input((8, 8, 4))
    x = keras.layers.Conv2D(4, 3, name="first")(image)
    for layer in middle:
        x = layer(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(4, activation="softmax")(x), name=name)


def test_unsupported_layers_are_named_with_the_fix():
    model = net(keras.layers.UpSampling2D(2, name="nearest"), keras.layers.Activation("selu", name="selu"))
    before = model.get_weights()
    report = lint(model, "edge-mcu")
    assert [(one.layers, one.operator) for one in report.objections] == [
        (("nearest",), "TILE"),
        (("nearest",), "TILE"),
        (("selu",), "SELECT"),
    ]
    assert "bilinear" in report.objections[0].fix
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_layers_of_a_loaded_model_have_the_same_names(tmp_path):
    """Keras adds a number to layer names when it traces a model again."""
    model = net(keras.layers.UpSampling2D(2, name="up_1"), name="net_1")
    model.save(tmp_path / "net.keras")
    report = lint(keras.saving.load_model(tmp_path / "net.keras"), "mobile-gpu")
    assert {one.layers for one in report.objections} == {("up_1",)}


def test_inner_softmax_is_named_by_its_layer():
    (objection,) = lint(net(keras.layers.Softmax(name="shares")), "edge-tpu").objections
    assert objection.layers == ("shares",)
    assert "pixels, 1 at most" in objection.reason


def test_operators_that_vela_leaves_to_the_cpu_are_listed():
    report = lint(net(keras.layers.UpSampling2D((4, 8), interpolation="bilinear", name="uneven")), "edge-ethos-u55")
    assert report.asked == "Vela"
    assert [(one.layers, one.operator) for one in report.objections] == [(("uneven",), "RESIZE_BILINEAR")]
    assert report.facts["sram_bytes"] > 0


def test_operator_between_layers_of_a_composite_is_located_by_the_next():
    objections = lint(net(layers.L2Pool2D(name="pool")), "edge-tpu").objections
    assert (objections[0].layers, objections[0].operator) == (("before pool_mean",), "SQUARE")


def test_layers_that_the_export_rewrites_are_accepted():
    grouped = keras.layers.Conv2D(4, 3, groups=2, name="grouped")
    report = lint(net(grouped, keras.layers.Activation("hard_swish", name="swish")), "edge-tpu")
    assert report.objections == ()


@pytest.mark.parametrize(
    ("target", "fact"), [("edge-mcu", "arena_bytes"), ("edge-ethos-u85", "cycles"), ("edge-tpu", "bytes")]
)
def test_plain_model_has_no_objections(target, fact):
    report = lint(net(), target)
    assert report.objections == ()
    assert report.facts[fact] > 0


@pytest.mark.parametrize(
    ("middle", "operator"),
    [
        (keras.layers.Activation("squareplus", name="act"), "SQRT"),
        (keras.layers.ReLU(threshold=1, name="act"), "GREATER"),
    ],
)
def test_listed_operator_that_does_not_run_is_reported(middle, operator):
    keras.utils.set_random_seed(0)  # GREATER runs on some scales of what it compares
    (objection,) = lint(net(middle), "edge-mcu").objections
    assert (objection.layers, objection.operator) == (("act",), operator)


def test_softmax_over_many_classes_is_accepted_before_training():
    image = keras.Input((8, 8, 4))
    answer = keras.layers.Dense(1000, activation="softmax", kernel_initializer="zeros")(keras.layers.Flatten()(image))
    assert lint(keras.Model(image, answer), "edge-mcu").objections == ()


def test_operator_that_crashes_the_converter_is_reported_before():
    (objection,) = lint(net(keras.layers.Activation("mish", name="mish")), "edge-mcu").objections
    assert (objection.layers, objection.operator) == (("mish",), "LOG")


def test_quantization_aware_model_is_linted_in_integers():
    model = quantized_model(zoo.create_model("lenet5"), 8)
    model(np.random.default_rng(0).integers(0, 256, (8, *model.input_shape[1:])).astype("float32"), training=True)
    report = lint(model, "edge-mcu")
    assert report.objections == ()
    assert report.facts["arena_bytes"] > 0


def test_targets_without_operator_list_are_distinguished_from_unknown_ones():
    assert {"edge-mcu", "edge-tpu", "mobile-gpu"} <= set(lint_targets()) < set(TARGETS)
    with pytest.raises(zoo.InputError, match=r"gpu has no operator list; .* mobile-gpu, edge-mcu"):
        lint(net(), "gpu")


@pytest.mark.parametrize("target", ["edge-mcu", "edge-ethos-u55"])
def test_operator_that_the_converter_leaves_in_floats_is_an_objection(target):
    elu = next(one for one in lint(net(keras.layers.ELU(name="elu")), target).objections if one.operator == "ELU")
    assert (elu.layers, elu.reason) == (("elu",), "TFLite's converter leaves it in floating point")
    assert elu.fix == "activation='relu' or 'relu6'"


def statuses(report):
    return {gate.name: gate.status for gate in report.budgets}


def test_budgets_that_the_layers_alone_exceed_are_refused_before_conversion(monkeypatch):
    monkeypatch.setattr(lint_module, "_convert", lambda *_: pytest.fail("it was converted"))
    model = net(keras.layers.Conv2D(400, 3, name="wide"))
    report = lint(model, "edge-mcu", budget="flash=10KiB,ram=64KiB,latency_ms=20")
    assert statuses(report) == {"flash_bytes": "failed"}
    (gate,) = report.budgets
    assert gate.figure == sum(weight.size for weight in model.get_weights() if weight.ndim > 1)
    assert "wide (14,400)" in gate.reason
    assert not report.passed
    assert not report.layers_examined


@pytest.mark.parametrize("bits", [8, 16])
def test_estimates_before_conversion_are_lower_bounds_of_what_is_measured(bits):
    middle = (keras.layers.ZeroPadding2D(2), keras.layers.SeparableConv2D(8, 3), keras.layers.Conv2D(12, 3))
    graph = ExportGraph.from_model(net(*middle, keras.layers.MaxPooling2D(1)))
    integers = next(fmt for fmt in FORMATS.values() if fmt.activation_bits == bits)
    content = to_tflite(graph, integers.name, random_samples(graph.metadata, 2))
    arena, least = smallest_arena(content), least_arena(graph, integers).bytes
    assert bits / 8 * (8 * 8 * 8 + 6 * 6 * 12) == least  # of the last convolution, without its padding
    assert arena / 20 < least < arena
    assert len(content) / 20 < least_flash(graph).bytes < len(content)


def test_budgets_are_measured_after_conversion():
    report = lint(net(), "edge-mcu", budget={"flash": 10_000, "ram": 500, "latency_ms": 1})
    assert statuses(report) == {"flash_bytes": "passed", "arena_bytes": "failed", "latency_ms": "skipped"}
    assert report.objections == ()
    assert not report.passed
    report = lint(net(), "edge-ethos-u55", budget="flash=1KB,ram=64KB,latency_ms=20")
    assert statuses(report) == {"flash_bytes": "failed", "sram_bytes": "passed", "latency_ms": "passed"}
    assert {gate.reason for gate in report.budgets if gate.name != "flash_bytes"} == {"Vela's estimate"}
    assert report.budgets[2].figure == pytest.approx(1000 / report.facts["inferences_per_second"], rel=1e-3)


@pytest.mark.parametrize("target", ["edge-mcu", "edge-ethos-u55"])
def test_budget_without_the_tool_that_measures_it_is_not_passed(target, monkeypatch):
    monkeypatch.setattr(artifact_check, "find_spec", lambda _: None)
    report = lint(net(), target, budget="ram=64KB")
    (gate,) = report.budgets
    assert (gate.status, gate.figure) == ("skipped", None)
    assert "pip install 'pocketzoo[edge]'" in gate.reason


def test_budget_without_effect_on_the_target_is_refused():
    with pytest.raises(zoo.InputError, match=r"budget flash is for edge-mcu .* no effect on edge-tpu"):
        lint(net(), "edge-tpu", budget="flash=256KB")


def test_operators_without_kernels_for_16_bit_activations_are_refused_where_tensorflow_lite_micro_refuses_them():
    (objection,) = lint(net(keras.layers.GlobalMaxPooling2D(keepdims=True, name="most")), "edge-mcu-16x8").objections
    assert (objection.layers, objection.reason) == (("most",), "no kernel for 16-bit activations")
    report = lint(net(keras.layers.LeakyReLU(name="leaky")), "edge-mcu-16x8", budget="ram=64KB")
    assert report.passed
    assert report.facts["arena_bytes"] > 0


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.GlobalMaxPooling2D(keepdims=True),
        keras.layers.UpSampling2D(2, interpolation="bilinear"),
        keras.layers.Conv2DTranspose(4, 3, strides=2),
        keras.layers.Activation("swish"),
        keras.layers.Permute((2, 1, 3)),
        keras.layers.Cropping2D(1),
    ],
    ids=lambda layer: layer.name,
)
def test_list_of_16_bit_kernels_is_that_of_tensorflow_lite_micro(layer):
    graph = ExportGraph.from_model(net(layer))
    content = to_tflite(graph, "tflite-int16x8", random_samples(graph.metadata, 2))
    tensor = np.random.default_rng(0).integers(-(2**15), 2**15, (1, 8, 8, 4), "int16")
    listed = [refusal.node.operator for refusal in operator_list("tflite_micro").refused(content)]
    try:
        run_in_micro(content, tensor)
    except RefusedError:
        assert listed == [first_refused(content, tensor).node.operator]
    else:
        assert listed == []


def test_recurrent_layers_are_to_become_convolutions():
    rows = keras.Input((8, 8, 3))
    x = keras.layers.Bidirectional(keras.layers.GRU(3, name="cell"), name="both")(keras.layers.Reshape((8, 24))(rows))
    report = lint(keras.Model(rows, keras.layers.Dense(2)(x)), "edge-tpu")
    assert {one.layers for one in report.objections} == {("both",)}
    assert {one.fix for one in report.objections} == {"convolutions along the steps (of crnn: recurrence='conv')"}
