import json

import keras
import numpy as np
import pytest

from pocketzoo import layers, training, zoo
from pocketzoo.core.keras_private import without_values
from pocketzoo.training.transfer.freezing import momentum_for
from pocketzoo.training.transfer.model_stages import stages_of

NARROW = {"widths": (4, 8, 8), "input_shape": (16, 16, 1)}


def narrow_resnet(**arguments) -> keras.Model:
    keras.utils.set_random_seed(0)
    return zoo.create_model("resnet20", **NARROW, **arguments)


def small_unet() -> keras.Model:
    return zoo.create_model("unet_mobilenet_v2", input_shape=(32, 32, 3), classes=3)


@pytest.mark.parametrize(
    ("up_to", "frozen"),
    [("stem", ["stem"]), ("stage2", ["stem", *(f"stage{s}_block{b}" for s in (1, 2) for b in (1, 2, 3))])],
)
def test_freeze_includes_the_endpoint_and_unfreezes_the_rest(up_to, frozen):
    model = narrow_resnet()
    model.trainable = False
    training.freeze(model, up_to=up_to)
    with_weights = [layer for layer in model.layers if layer.weights and layer.name != "pixels"]
    assert [layer.name for layer in with_weights if not layer.trainable] == frozen
    for layer in with_weights:
        assert bool(layer.trainable_variables) == (layer.name not in frozen)


def test_frozen_layers_do_not_change_by_one_bit_and_others_do(small_digits):
    model = narrow_resnet()
    training.freeze(model, up_to="stage2")
    before = {weight.path: weight.numpy() for weight in model.weights}
    training.fit(model, small_digits, training.Recipe(epochs=2, batch_size=40), verbose=False)
    moved = {weight.path.split("/")[0] for weight in model.weights if np.any(weight.numpy() != before[weight.path])}
    assert moved == {"stage3_block1", "stage3_block2", "stage3_block3", "head"}
    statistics = [weight for weight in model.weights if "moving" in weight.path]
    assert {np.any(weight.numpy() != before[weight.path]) for weight in statistics} == {False, True}


def test_frozen_layers_stay_frozen_in_a_saved_model(tmp_path):
    model = narrow_resnet()
    training.freeze(model, up_to="stage1")
    loaded = zoo.load_model(zoo.save_model(model, tmp_path / "frozen.keras"))
    assert [v.path for v in loaded.trainable_variables] == [v.path for v in model.trainable_variables]


def test_unknown_endpoint_names_the_nearest():
    with pytest.raises(zoo.InputError, match="unknown endpoint of resnet20 'stage_2': did you mean stage2"):
        training.freeze(narrow_resnet(), up_to="stage_2")


def test_report_counts_every_parameter_once_and_what_is_trainable():
    model = zoo.create_model("resnet20")
    training.freeze(model, up_to="stage2")
    report = training.trainable_report(model)
    card = zoo.model_card("resnet20")
    assert [stage.stage for stage in report.stages] == ["stem", "stage1", "stage2", "stage3", "heads"]
    assert sum(stage.parameters for stage in report.stages) == card.parameters
    assert sum(stage.trainable for stage in report.stages) == sum(np.prod(v.shape) for v in model.trainable_variables)
    assert [stage.trainable > 0 for stage in report.stages] == [False, False, False, True, True]
    assert [(stage.batch_norms, stage.updating) for stage in report.stages] == [(1, 0), (6, 0), (6, 0), (6, 6), (0, 0)]
    assert {stage.learning_rate for stage in report.stages} == {None}


def test_report_has_the_learning_rate_of_a_compiled_model():
    model = narrow_resnet()
    training.freeze(model, up_to="stage3")
    model.compile(keras.optimizers.SGD(0.25), "sparse_categorical_crossentropy")
    report = training.trainable_report(model)
    assert [stage.learning_rate for stage in report.stages] == [None, None, None, None, 0.25]
    assert json.loads(json.dumps(report.to_dict()))["stages"][-1]["learning_rate"] == 0.25


def test_report_is_printed_as_a_table_by_rich(capsys):
    import rich

    rich.print(training.trainable_report(zoo.create_model("resnet20")))
    assert "204,288" in capsys.readouterr().out


def test_dense_layers_after_the_last_endpoint_are_a_neck_in_the_backbone():
    stages = stages_of(zoo.create_model("lenet5"))
    assert [(stage.name, stage.in_backbone) for stage in stages] == [
        ("stage1", True),
        ("stage2", True),
        ("neck", True),
        ("heads", False),
    ]


@pytest.mark.parametrize("backbone", [None, "resnet18"])
def test_decoders_are_not_part_of_their_backbone(backbone):
    arguments = {} if backbone is None else {"backbone": backbone}
    model = zoo.create_model("unet_mobilenet_v2", input_shape=(32, 32, 3), classes=3, **arguments)
    stages = stages_of(model)
    encoder = [stage for stage in stages if stage.in_backbone]
    own = zoo.model_card(backbone or "unet_mobilenet_v2").endpoints
    assert [stage.name for stage in encoder] == [name for name in own if not name.startswith("decoder")]
    assert [stage.name for stage in stages[len(encoder) :]] == [*(f"decoder{n}" for n in range(1, 6)), "heads"]


@pytest.mark.parametrize(
    "name", ["vgg11_bn", "densenet121", "mobilenet_v3_small", "efficientnet_b0", "inception_v3", "spp_zf5"]
)
def test_stages_contain_every_layer_once(name):
    with without_values():
        model = zoo.create_model(name, classes=3)
    names = [layer.name for stage in stages_of(model) for layer in stage.layers]
    assert sorted(names) == sorted(layer.name for layer in model.layers)


def test_report_of_a_model_that_is_not_from_the_zoo_has_a_stage_for_each_size_of_its_maps():
    image = keras.Input((8, 8, 1))
    maps = keras.layers.Conv2D(2, 3, strides=2, padding="same")(keras.layers.Conv2D(2, 3, padding="same")(image))
    model = keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(maps)), name="resnet20")
    assert [row.stage for row in training.trainable_report(model).stages] == ["8x8", "4x4", "heads"]


def test_momentum_leaves_one_percent_of_the_initial_statistics_or_is_kept_if_lower():
    norm = keras.layers.BatchNormalization(momentum=0.99)
    assert momentum_for(norm, 50) ** 50 == pytest.approx(0.01)
    assert momentum_for(norm, 10_000) == 0.99
    steps = 7
    norm.build((None, 1))
    norm.moving_mean.assign([100.0])
    norm.momentum = momentum_for(norm, steps)
    for _ in range(steps):
        norm(np.zeros((4, 1), "float32"), training=True)
    assert norm.moving_mean.numpy() == pytest.approx(1.0, rel=1e-3)


def test_inference_mode_holds_inside_a_model_in_training():
    from pocketzoo.training.transfer.frozen_trunk import InferenceMode

    image = keras.Input((8, 8, 3))
    x = layers.ConvNormAct(4, 3)(image)
    network = keras.Model(image, keras.layers.Dropout(0.5)(x))
    outer = keras.Model(image, InferenceMode(network)(image))
    pixels = np.random.default_rng(0).uniform(size=(4, 8, 8, 3)).astype("float32")
    before = network.get_weights()
    expected = network(pixels, training=False)
    np.testing.assert_array_equal(outer(pixels, training=True), expected)
    assert all(np.array_equal(a, b) for a, b in zip(before, network.get_weights(), strict=True))
    assert not outer.weights
    idiom = keras.Model(image, network(image, training=False))
    assert np.any(idiom(pixels, training=True) != expected)  # what Keras' own guide says, and does not hold
