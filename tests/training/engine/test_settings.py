import json

import keras
import numpy as np
import pytest

from pocketzoo import layers, training, zoo
from pocketzoo.training.engine import step_times
from pocketzoo.training.engine.compilation import engine_callbacks
from pocketzoo.training.engine.fit import compiled_network, with_precision
from pocketzoo.training.engine.history import History
from pocketzoo.training.engine.initializers import draw_kernels
from pocketzoo.training.engine.settings import training_settings


def net(**overrides) -> keras.Model:
    keras.utils.set_random_seed(0)
    return zoo.create_model("lenet5", **overrides)


def tiny() -> keras.Model:
    keras.utils.set_random_seed(0)
    image = keras.Input((32, 32, 1))
    hidden = keras.layers.Dense(4, activation="tanh")(keras.layers.Rescaling(1 / 255)(keras.layers.Flatten()(image)))
    return keras.Model(image, keras.layers.Dense(10, activation="softmax")(hidden))


def policies(model: keras.Model) -> list[str]:
    return [layer.dtype_policy.name for layer in model._flatten_layers(include_self=False)]


@pytest.fixture(scope="module")
def batch(few_digits):
    images, labels = few_digits.validation.arrays()
    return images.astype("float32"), labels


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_model_computes_in_another_precision_while_it_trains_only(precision, batch, tmp_path):
    def two_steps(precision):
        model, recipe = net(), training.Recipe(precision=precision, schedule="constant")
        before = policies(model)
        with training_settings(model, recipe) as as_given:
            network, inside = compiled_network(model, recipe, steps=2), policies(model)
            losses = [float(network.train_on_batch(*batch)[0]) for _ in range(2)]
            with as_given():
                zoo.save_model(model, tmp_path / "kept.keras")
            assert policies(model) == inside
        assert policies(model) == before
        assert policies(zoo.load_model(tmp_path / "kept.keras")) == before
        assert {str(weight.dtype) for weight in model.trainable_weights} == {"float32"}
        assert not model.compiled
        return model, losses, inside

    plain, exact, float32 = two_steps("float32")
    model, losses, inside = two_steps(precision)
    assert set(float32) == {"float32"}
    assert inside.count(precision) > 5
    assert losses == pytest.approx(exact, rel=0.02)
    assert losses != exact
    image = batch[0][:4]
    assert model(image).dtype == "float32"
    assert not np.array_equal(model(image), plain(image))


def test_half_precision_scales_the_loss_and_answers_stay_float32():
    model, recipe = zoo.create_model("resnet20", blocks=1), training.Recipe(precision="mixed_float16")
    with training_settings(model, recipe):
        assert isinstance(compiled_network(model, recipe, 2).optimizer, keras.optimizers.LossScaleOptimizer)
        assert {policies(layer).count("mixed_float16") > 0 for layer in model.layers if "block" in layer.name} == {True}
        (head,) = (layer for layer in model.layers if isinstance(layer, layers.Head))
        assert {part.dtype_policy.name for part in head._flatten_layers()} == {"float32"}
        assert model(keras.ops.zeros((1, 32, 32, 3))).dtype == "float32"
    plain = compiled_network(model, training.Recipe(), 2).optimizer
    assert not isinstance(plain, keras.optimizers.LossScaleOptimizer)


def test_squares_stay_in_float32():
    image = keras.Input((8, 8, 4))
    parts = [layers.L2Pool2D(2), layers.LocalResponseNormalization(1)]
    model = keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(parts[1](parts[0](image)))))
    with training_settings(model, training.Recipe(precision="mixed_float16")):
        assert [part.dtype_policy.name for part in parts] == ["mixed_float16"] * 2
        assert {p.dtype_policy.name for part in parts for p in part._flatten_layers(include_self=False)} == {"float32"}
        large = keras.ops.full((1, 8, 8, 4), 300.0)
        assert np.isfinite(np.array(parts[1](parts[0](large)))).all()


def test_settings_are_put_back_when_training_fails():
    model = net(dropout=0.3)
    with pytest.raises(RuntimeError), training_settings(model, training.Recipe(precision="mixed_bfloat16", dropout=0)):
        raise RuntimeError
    assert set(policies(model)) == {"float32"}
    assert model.layers[-1].drop.rate == 0.3


def test_dropout_of_the_recipe_is_the_models_while_it_trains():
    model = net(dropout=0.3)
    with training_settings(model, training.Recipe(dropout=0.6)) as as_given:
        assert model.layers[-1].drop.rate == 0.6
        with as_given():
            assert model.layers[-1].drop.rate == 0.3
        assert model.layers[-1].drop.rate == 0.6
    assert model.layers[-1].drop.rate == 0.3


def test_dropout_for_a_model_that_has_none_is_told():
    with (
        pytest.raises(zoo.InputError, match=r"dropout is 0.5, but lenet5 has no dropout layer"),
        training_settings(net(), training.Recipe(dropout=0.5)),
    ):
        pass


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("POCKETZOO_CACHE", str(tmp_path))
    return tmp_path / "precision"


def test_fastest_precision_is_measured_once_and_told(cache, monkeypatch, capsys):
    model, recipe = net(), training.Recipe(precision="auto", batch_size=4)
    before = model.get_weights()
    chosen = with_precision(recipe, model, verbose=True).precision
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))
    (file,) = cache.iterdir()
    kept = json.loads(file.read_text())
    assert {"float32", "mixed_bfloat16"} <= kept["seconds"].keys()
    assert all(seconds > 0 for seconds in kept["seconds"].values())
    assert (kept["model"], kept["image"], kept["batch_size"]) == ("lenet5", [32, 32, 1], 4)
    assert f"Precision auto: {chosen} for lenet5, a step of 4 images takes float32" in capsys.readouterr().err

    def measured_again(*_):
        raise AssertionError

    monkeypatch.setattr(step_times, "_measure", measured_again)
    assert step_times.fastest_precision(model, 4) == chosen
    with pytest.raises(AssertionError):
        step_times.fastest_precision(model, 5)


@pytest.mark.parametrize(("bfloat16", "chosen"), [(0.5, "mixed_bfloat16"), (0.98, "float32"), (2.0, "float32")])
def test_precision_is_left_only_for_what_is_clearly_faster(bfloat16, chosen, cache, monkeypatch):
    monkeypatch.setattr(step_times, "_measure", lambda *_: {"float32": 1.0, "mixed_bfloat16": bfloat16})
    assert step_times.fastest_precision(net(), 4) == chosen


def test_damaged_figures_are_named(cache):
    model = net()
    step_times.fastest_precision(model, 2)
    (file,) = cache.iterdir()
    file.write_text("{")
    with pytest.raises(zoo.InputError, match=f"{file.name} cannot be read: .*Remove it to measure again"):
        step_times.fastest_precision(model, 2)


def test_recipe_says_how_the_step_is_compiled():
    network = compiled_network(net(), training.Recipe(steps_per_execution=3, xla=True), steps=6)
    assert (network.steps_per_execution, network.jit_compile) == (3, True)
    assert not compiled_network(net(), training.Recipe(xla=False), steps=6).jit_compile


def test_compiled_with_xla_a_step_does_the_same(batch):
    losses = []
    for xla in (False, True):
        recipe = training.Recipe(xla=xla, schedule="constant", optimizer={"accumulate": 2, "ema": 0.9})
        network = compiled_network(tiny(), recipe, steps=2)
        losses.append([float(network.train_on_batch(*batch)[0]) for _ in range(4)])
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_validation_measures_the_averages(batch):
    recipe = training.Recipe(optimizer={"ema": 0.99}, schedule="constant")
    network = compiled_network(tiny(), recipe, steps=2)
    callbacks = engine_callbacks(recipe, History([]))
    measured = []

    class Peek(keras.callbacks.Callback):
        def on_test_begin(self, logs=None):
            measured.append(network.get_weights())

        def on_epoch_end(self, epoch, logs=None):
            measured.append(network.get_weights())

    network.fit(*batch, epochs=1, verbose=0, validation_data=batch, callbacks=[*callbacks, Peek()])
    averages = [average.numpy() for average in network.optimizer._model_variables_moving_average]
    trained = [v.path for v in network.trainable_variables]
    in_validation, after = ({v.path: w for v, w in zip(network.weights, seen, strict=True)} for seen in measured)
    assert all(np.array_equal(in_validation[path], average) for path, average in zip(trained, averages, strict=True))
    assert not any(np.array_equal(after[p], a) for p, a in zip(trained, averages, strict=True) if "kernel" in p)


def test_initializer_draws_every_kernel_by_the_seed_of_the_recipe():
    def drawn(seed):
        model = net()
        draw_kernels(model, training.Recipe(initializer="he_normal", seed=seed))
        return {v.path: v.numpy() for v in model.trainable_variables}

    before = {v.path: v.numpy() for v in net().trainable_variables}
    first, again, other = drawn(1), drawn(1), drawn(2)
    for path, value in before.items():
        is_kernel = value.ndim > 1
        assert np.array_equal(first[path], again[path])
        assert np.array_equal(first[path], value) != is_kernel
        assert np.array_equal(first[path], other[path]) != is_kernel
        if value.size > 2000:
            expected = np.sqrt(2 / np.prod(value.shape[:-1]))  # He et al.: variance of 2 / fan-in
            assert first[path].std() == pytest.approx(expected, rel=0.1)
    model = net()
    draw_kernels(model, training.Recipe())
    assert all(np.array_equal(v.numpy(), before[v.path]) for v in model.trainable_variables)
