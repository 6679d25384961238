import keras
import numpy as np
import pytest

from pocketzoo import layers, zoo
from pocketzoo.export.lint import lint, lint_targets
from pocketzoo.export.targets import TARGETS
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
