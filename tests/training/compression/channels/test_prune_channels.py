import json
from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers

from pocketzoo import training, zoo
from pocketzoo.layers import ClassificationHead, ConvNormAct, PixelNormalization
from pocketzoo.layers.fake_quantization import FakeQuantize
from pocketzoo.training.compression.channels.apply.recalibration import recalibrate
from pocketzoo.training.compression.channels.apply.removal import remove_channels
from pocketzoo.training.compression.channels.choose.group_lasso import GroupLasso
from pocketzoo.training.compression.channels.choose.importance import CRITERIA, DATA_CRITERIA, training_images
from pocketzoo.training.compression.channels.files import PruneFiles
from pocketzoo.training.compression.channels.plan import ChannelPlan
from pocketzoo.training.data.images import ArrayImages
from pocketzoo.zoo.layer_table import count_macs

BRIEF = training.Recipe(epochs=1, batch_size=40)


@pytest.fixture(scope="module")
def net():
    keras.utils.set_random_seed(0)
    return zoo.create_model("resnet20", blocks=1, input_shape=(16, 16, 1), classes=10)


@pytest.fixture(scope="module")
def tiny():
    """A model that compiles and trains quickly."""
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 1))
    x = ConvNormAct(16, 3, strides=2, name="stage1_conv")(PixelNormalization(name="pixels")(image))
    x = ConvNormAct(24, 3, strides=2, name="stage2_conv")(x)
    return keras.Model(image, ClassificationHead(10, dropout=0.3, name="head")(x), name="tiny")


def test_half_the_multiply_adds_remain(net):
    result = training.prune_channels(net, budget="macs:0.5")
    assert result.before.multiply_adds == count_macs(net)
    assert count_macs(result.model) == result.after.multiply_adds <= 0.5 * result.before.multiply_adds
    assert result.after.multiply_adds > 0.45 * result.before.multiply_adds


def test_original_model_is_not_changed(net):
    before = net.get_weights()
    result = training.prune_channels(net, budget="macs:0.5")
    assert all(np.array_equal(old, new) for old, new in zip(before, net.get_weights(), strict=True))
    assert not {id(weight) for weight in net.weights} & {id(weight) for weight in result.model.weights}


@pytest.mark.parametrize("scope", ["global", "layer"])
@pytest.mark.parametrize("round_to", [1, 4, 8])
def test_widths_are_multiples(net, scope, round_to):
    result = training.prune_channels(net, budget="params:0.6", criterion="random", scope=scope, round_to=round_to)
    assert any(after < before for before, after in result.widths.values())
    assert all(after % round_to == 0 or after == before for before, after in result.widths.values())


def test_scope_layer_removes_the_same_share_of_every_layer(net):
    result = training.prune_channels(net, budget="macs:0.5", scope="layer", round_to=1)
    shares = [after / before for name, (before, after) in result.widths.items() if name != "head_dense"]
    assert max(shares) - min(shares) < 0.1


def test_budgets_may_be_bytes_or_absolute_numbers(net):
    assert training.prune_channels(net, budget="bytes:2e5").model.count_params() <= 2e5 / 4
    assert training.prune_channels(net, budget="params:5e4").model.count_params() <= 5e4


def test_latency_budget_holds_for_the_measured_model(net):
    measured = []

    def measure(model: keras.Model) -> float:
        measured.append(count_macs(model))
        return measured[-1] / 1e6

    result = training.prune_channels(net, budget="latency_ms:1.2", measure=measure, round_to=1)
    assert result.after.multiply_adds in measured
    assert 1.1 < result.after.multiply_adds / 1e6 <= 1.2


@pytest.mark.parametrize("criterion", CRITERIA)
def test_every_criterion_selects_channels(tiny, small_digits, criterion):
    data = small_digits if criterion in DATA_CRITERIA else None
    plan = training.plan_channels(tiny, data, budget="macs:0.5", criterion=criterion)
    assert remove_channels(tiny, plan).difference < 1e-5


@pytest.mark.parametrize("criterion", [name for name in CRITERIA if name not in ("random", "bn_gamma")])
def test_channel_with_zero_weights_is_removed_first(small_digits, criterion):
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 1))
    x = layers.Conv2D(8, 3, name="one", activation="relu", kernel_initializer="he_uniform")(image)
    x = layers.Conv2D(8, 3, name="two", activation="relu")(x)
    model = keras.Model(image, ClassificationHead(10)(layers.Flatten()(x)))
    kernel = model.get_layer("one").kernel
    # A zero filter is near the geometric median if it is as far from the origin as from the others.
    away = kernel.numpy() * ([0] * 2 + [1] * 6)
    kernel.assign(away)
    plan = training.plan_channels(model, small_digits, budget="params:0.99", criterion=criterion, round_to=1)
    gone = {name: sorted(set(range(8)) - set(plan.kept[name])) for name in ("one", "two")}
    assert gone["one"] in ([0], [1], [0, 1])


def test_steps_shrink_by_the_same_factor_and_are_trained(tiny, small_digits, tmp_path):
    result = training.prune_channels(
        tiny,
        small_digits,
        budget="macs:0.25",
        steps=2,
        recipe=BRIEF,
        round_to=1,
        run_dir=tmp_path / "run",
        verbose=False,
    )
    full, half, quarter = (size.multiply_adds for size in (result.before, *(step.size for step in result.history)))
    assert half <= full / 2
    assert quarter == result.after.multiply_adds <= full / 4
    assert all(step.metrics["val_loss"] > 0 for step in result.history)
    # The complete plan, applied to the original, gives a model of the same shapes.
    again = remove_channels(tiny, ChannelPlan.load(tmp_path / "run" / "plan.json")).model
    assert [weight.shape for weight in again.weights] == [weight.shape for weight in result.model.weights]
    loaded = zoo.load_model(tmp_path / "run" / "best.keras")
    assert all(np.array_equal(a, b) for a, b in zip(loaded.get_weights(), result.model.get_weights(), strict=True))
    facts = json.loads((tmp_path / "run" / "result.json").read_text())
    assert facts["after"]["multiply_adds"] == quarter
    assert (tmp_path / "run" / "widths.png").read_bytes().startswith(b"\x89PNG")


def test_interrupted_run_resumes_to_the_same_result(tiny, small_digits, tmp_path, monkeypatch):
    how = {"budget": "macs:0.4", "steps": 2, "recipe": BRIEF, "criterion": "taylor", "round_to": 4, "verbose": False}
    whole = training.prune_channels(tiny, small_digits, run_dir=tmp_path / "whole", **how)

    def killed(*arguments, **keywords):
        if keywords["run_dir"].name == "step2":
            raise KeyboardInterrupt
        return training.distill(*arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr("pocketzoo.training.compression.channels.prune_channels.distill", killed)
        with pytest.raises(KeyboardInterrupt):
            training.prune_channels(tiny, small_digits, run_dir=tmp_path / "run", **how)
    with pytest.raises(zoo.InputError, match="belongs to another run: criterion was 'taylor', is 'l1'"):
        training.prune_channels(tiny, small_digits, run_dir=tmp_path / "run", resume=True, **how | {"criterion": "l1"})
    resumed = training.prune_channels(tiny, small_digits, run_dir=tmp_path / "run", resume=True, **how)
    assert resumed.plan == whole.plan
    assert all(
        np.array_equal(a, b) for a, b in zip(resumed.model.get_weights(), whole.model.get_weights(), strict=True)
    )


def test_run_directory_of_another_process_is_refused(tiny, tmp_path):
    run = tmp_path / "run"
    with (
        PruneFiles.open(run, tiny, None, training.Recipe(), {}, resume=False, overwrite=False),
        pytest.raises(zoo.InputError, match="run is in use by another process"),
    ):
        training.prune_channels(tiny, run_dir=run)


def test_recalibrated_statistics_are_those_of_the_training_images(tiny, small_digits):
    model = keras.models.clone_model(tiny)
    recalibrate(model, small_digits)
    stem = model.get_layer("stage1_conv")
    images, _ = small_digits.train.drawn(320).arrays()
    maps = stem.conv(model.get_layer("pixels")(images[:120].astype("float32")))
    # Batches of 32, 32, 32 and 24, whose means count alike.
    means = [np.mean(part, axis=(0, 1, 2)) for part in np.split(maps, [32, 64, 96])]
    np.testing.assert_allclose(stem.normalization.moving_mean, np.mean(means, axis=0), rtol=1e-4, atol=1e-5)
    assert stem.normalization.momentum == tiny.get_layer("stage1_conv").normalization.momentum


@pytest.mark.parametrize(
    "noise",
    [
        layers.Dropout(0.5),
        layers.SpatialDropout2D(0.5),
        layers.GaussianDropout(0.5),
        layers.GaussianNoise(1.0),
        layers.AlphaDropout(0.5),
        layers.RandomBrightness(0.5),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_statistics_are_recalibrated_without_noise(noise, small_digits):
    def recalibrated(*before):
        keras.utils.set_random_seed(0)
        stack = [keras.Input((16, 16, 1)), *before, layers.Conv2D(2, 3, name="conv"), layers.BatchNormalization()]
        model = keras.Sequential([*stack, layers.GlobalAveragePooling2D(), ClassificationHead(10)])
        model.get_layer("conv").set_weights([np.full((3, 3, 1, 2), 0.1), np.zeros(2)])
        recalibrate(model, small_digits)
        return model.layers[len(before) + 1]

    quiet, noisy = recalibrated(), recalibrated(noise)
    np.testing.assert_allclose(noisy.moving_mean, quiet.moving_mean, rtol=1e-5)
    np.testing.assert_allclose(noisy.moving_variance, quiet.moving_variance, rtol=1e-4)
    assert noisy.momentum == quiet.momentum == 0.99
    before = np.array(noisy.moving_mean)
    noisy(np.ones((1, 2, 2, 2), "float32"), training=False)  # as before, it only learns in training
    assert np.array_equal(before, noisy.moving_mean)


def test_group_lasso_makes_channels_small(tiny, small_digits):
    plain, shrunk = (keras.models.clone_model(tiny) for _ in range(2))
    for model in (plain, shrunk):
        model.set_weights(tiny.get_weights())
    recipe = training.Recipe(epochs=2, batch_size=20, optimizer={"lr": 2e-2})
    training.fit(plain, small_digits, recipe, verbose=False)
    result = training.shrink_channels(shrunk, small_digits, recipe, strength=3e-2, verbose=False)
    assert result.model is shrunk
    assert float(GroupLasso(shrunk)()) < 0.8 * float(GroupLasso(plain)())


def test_group_lasso_is_the_sum_of_the_units_norms():
    image = keras.Input((8, 8, 1))
    total = layers.Add()(
        [layers.Conv2D(3, 1, name="one")(image), layers.Conv2D(3, 3, padding="same", name="other")(image)]
    )
    model = keras.Model(image, ClassificationHead(2)(total))
    one, other = (model.get_layer(name).kernel for name in ("one", "other"))
    both = np.concatenate([np.reshape(one, (-1, 3)), np.reshape(other, (-1, 3))])
    expected = np.sqrt(10) * np.linalg.norm(both, axis=0).sum()  # a unit has 1 + 9 weights
    np.testing.assert_allclose(float(GroupLasso(model)()), expected, rtol=1e-5)


def test_quantized_model_is_refused(tiny):
    quantized = keras.Model(tiny.input, FakeQuantize(name="grid")(tiny.output), name="quantized")
    with pytest.raises(zoo.InputError, match="quantized is already quantized, first in layer grid"):
        training.prune_channels(quantized)


MISTAKES = {
    "budget": ({"budget": "macs:0.001"}, r"what cannot be removed takes \d+: that is the least that can be reached"),
    "kind of budget": ({"budget": "flops:0.5"}, "unknown budget 'flops'"),
    "number of a budget": ({"budget": "macs:half"}, "takes a number above 0 after a colon, such as macs:0.5"),
    "no budget": ({"budget": "macs:-1"}, "takes a number above 0"),
    "milliseconds": ({"budget": "latency_ms:5"}, "milliseconds take a measure"),
    "criterion": ({"criterion": "tailor"}, "unknown criterion 'tailor': did you mean taylor"),
    "criterion of data": ({"criterion": "taylor"}, "uses images; pass data"),
    "scope": ({"scope": "stage"}, "unknown scope 'stage'"),
    "round_to": ({"round_to": 0}, "round_to is 0; it must be 1 or more"),
    "steps": ({"steps": 0}, "steps is 0; it must be 1 or more"),
    "recipe": ({"recipe": BRIEF}, "needs data to train on; pass data"),
    "resume": ({"resume": True}, "needs the run_dir"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_invalid_argument_is_refused_with_what_is_allowed(net, mistake):
    arguments, message = MISTAKES[mistake]
    with pytest.raises(zoo.InputError, match=message):
        training.prune_channels(net, **arguments)


def test_criterion_that_does_not_apply_is_refused():
    with pytest.raises(zoo.InputError, match="bn_gamma does not apply to lenet5"):
        training.prune_channels(zoo.create_model("lenet5"), criterion="bn_gamma")


def test_model_of_open_size_needs_a_budget_of_parameters():
    model = zoo.create_model("resnet20", blocks=1, input_shape=(None, None, 3))
    with pytest.raises(zoo.InputError, match="leaves height or width open"):
        training.prune_channels(model)
    assert training.prune_channels(model, budget="params:0.5").after.multiply_adds is None


def test_smallest_reachable_cost_is_a_valid_budget():
    net = zoo.create_model("resnet20", blocks=1, input_shape=(64, 64, 3))  # it takes more than six digits
    with pytest.raises(zoo.InputError) as refused:
        training.prune_channels(net, budget="macs:1000")
    least = str(refused.value).split("takes ")[1].split(":")[0]
    assert int(least) > 1_000_000
    assert training.prune_channels(net, budget=f"macs:{least}").after.multiply_adds == int(least)


def test_model_within_its_latency_budget_loses_nothing_despite_noise(net):
    noisy = iter([3.0, 3.06, 3.03, 3.05, 3.04, 3.06, 3.05, 3.06])
    result = training.prune_channels(net, budget="latency_ms:50", measure=lambda model: next(noisy), steps=2)
    assert result.after == result.before


def test_images_for_criteria_are_of_all_classes_in_any_order(small_digits):
    order = np.argsort(small_digits.train.labels, kind="stable")
    split = training.ImageSplit(ArrayImages(small_digits.train.images.take(order)), small_digits.train.labels[order])
    assert len(set(split.labels[:12])) < 10
    assert len(set(split.drawn(60).labels)) == 10
    labels = [targets for _, targets in training_images(replace(small_digits, train=split))]
    assert len(set(np.concatenate(labels))) == 10
    assert len(set(np.asarray(labels[0]))) > 5


def test_per_channel_scale_keeps_all_channels(pixels):
    image = keras.Input((8, 8, 3))
    x = layers.Rescaling(list(range(1, 17)), name="gains")(layers.Conv2D(16, 3)(image))
    model = keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(layers.Conv2D(16, 3)(x))))
    result = training.prune_channels(model, budget="params:0.9", round_to=1)
    assert "a number for each channel" in result.frozen["gains"]
    assert result.model(pixels(1, 8, 8, 3)).shape == (1, 2)


def test_plan_records_the_difference(net, tmp_path):
    result = training.prune_channels(net, budget="macs:0.7", run_dir=tmp_path / "run")
    assert 0 < ChannelPlan.load(tmp_path / "run" / "plan.json").difference == result.plan.difference < 1e-5


def test_invalid_teacher_is_refused(net):
    with pytest.raises(zoo.InputError, match=r"teacher is 'none'; .* requires a keras.Model, 'parent' or None"):
        training.prune_channels(net, teacher="none")
