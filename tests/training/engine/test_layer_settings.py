import keras
import numpy as np
import pytest

from pocketzoo import layers, training, zoo
from pocketzoo.training.engine.compilation import compile_for_training
from pocketzoo.training.engine.layer_settings import training_settings


def net(**overrides) -> keras.Model:
    keras.utils.set_random_seed(0)
    return zoo.create_model("lenet5", **overrides)


def policies(model: keras.Model) -> list[str]:
    return [layer.dtype_policy.name for layer in model._flatten_layers(include_self=False)]


@pytest.fixture(scope="module")
def batch(few_digits):
    images, labels = few_digits.validation.arrays()
    return images.astype("float32"), labels


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_precision_is_changed_during_training_only(precision, batch, tmp_path):
    def two_steps(precision):
        model, recipe = net(), training.Recipe(precision=precision, schedule="constant")
        before = policies(model)
        with training_settings(model, recipe) as as_given:
            network, inside = compile_for_training(model, recipe, steps=2), policies(model)
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


def test_float16_scales_the_loss_and_outputs_stay_float32():
    model, recipe = zoo.create_model("resnet20", blocks=1), training.Recipe(precision="mixed_float16")
    with training_settings(model, recipe):
        assert isinstance(compile_for_training(model, recipe, 2).optimizer, keras.optimizers.LossScaleOptimizer)
        assert {policies(layer).count("mixed_float16") > 0 for layer in model.layers if "block" in layer.name} == {True}
        (head,) = (layer for layer in model.layers if isinstance(layer, layers.Head))
        assert {part.dtype_policy.name for part in head._flatten_layers()} == {"float32"}
        assert model(keras.ops.zeros((1, 32, 32, 3))).dtype == "float32"
    plain = compile_for_training(model, training.Recipe(), 2).optimizer
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


def test_settings_are_restored_when_training_fails():
    model = net(dropout=0.3)
    with pytest.raises(RuntimeError), training_settings(model, training.Recipe(precision="mixed_bfloat16", dropout=0)):
        raise RuntimeError
    assert set(policies(model)) == {"float32"}
    assert model.layers[-1].drop.rate == 0.3


def test_dropout_rate_is_changed_during_training_only():
    model = net(dropout=0.3)
    with training_settings(model, training.Recipe(dropout=0.6)) as as_given:
        assert model.layers[-1].drop.rate == 0.6
        with as_given():
            assert model.layers[-1].drop.rate == 0.3
        assert model.layers[-1].drop.rate == 0.6
    assert model.layers[-1].drop.rate == 0.3


def test_dropout_for_a_model_without_dropout_layers_is_rejected():
    with (
        pytest.raises(zoo.InputError, match=r"dropout is 0.5, but lenet5 has no dropout layer"),
        training_settings(net(), training.Recipe(dropout=0.5)),
    ):
        pass
