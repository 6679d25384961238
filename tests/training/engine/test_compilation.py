import keras
import numpy as np
import pytest

from pocketzoo import training, zoo
from pocketzoo.training.engine.compilation import compile_for_training, reinitialize_kernels
from pocketzoo.training.engine.epoch_loop import recipe_callbacks
from pocketzoo.training.engine.history import History


def net(**overrides) -> keras.Model:
    keras.utils.set_random_seed(0)
    return zoo.create_model("lenet5", **overrides)


def tiny() -> keras.Model:
    keras.utils.set_random_seed(0)
    image = keras.Input((32, 32, 1))
    hidden = keras.layers.Dense(4, activation="tanh")(keras.layers.Rescaling(1 / 255)(keras.layers.Flatten()(image)))
    return keras.Model(image, keras.layers.Dense(10, activation="softmax")(hidden))


@pytest.fixture(scope="module")
def batch(few_digits):
    images, labels = few_digits.validation.arrays()
    return images.astype("float32"), labels


def test_recipe_sets_the_compilation_options():
    network = compile_for_training(net(), training.Recipe(steps_per_execution=3, xla=True), steps=6)
    assert (network.steps_per_execution, network.jit_compile) == (3, True)
    assert not compile_for_training(net(), training.Recipe(xla=False), steps=6).jit_compile


def test_xla_step_equals_the_plain_step(batch):
    losses = []
    for xla in (False, True):
        recipe = training.Recipe(xla=xla, schedule="constant", optimizer={"accumulate": 2, "ema": 0.9})
        network = compile_for_training(tiny(), recipe, steps=2)
        losses.append([float(network.train_on_batch(*batch)[0]) for _ in range(4)])
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_initializer_redraws_every_kernel_with_the_seed_of_the_recipe():
    def drawn(seed):
        model = net()
        reinitialize_kernels(model, training.Recipe(initializer="he_normal", seed=seed))
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
    reinitialize_kernels(model, training.Recipe())
    assert all(np.array_equal(v.numpy(), before[v.path]) for v in model.trainable_variables)


@pytest.mark.parametrize("initializer", ["he_normal", "glorot_uniform", "orthogonal"])
def test_initializer_draws_each_filter_of_a_depthwise_kernel_for_its_own_input(initializer):
    channels, multiplier = 300, 2
    image = keras.Input((8, 8, channels))
    x = keras.layers.DepthwiseConv2D(3, depth_multiplier=multiplier)(image)
    x = keras.layers.SeparableConv2D(4, 3)(x)
    model = keras.Model(image, x)
    reinitialize_kernels(model, training.Recipe(initializer=initializer))
    variance = {"he_normal": 2 / 9, "glorot_uniform": 2 / (9 + 9 * multiplier), "orthogonal": 1 / 9}[initializer]
    assert np.std(model.layers[1].kernel) == pytest.approx(np.sqrt(variance), rel=0.05)
    variance = {"he_normal": 2 / 9, "glorot_uniform": 2 / (9 + 9), "orthogonal": 1 / 9}[initializer]
    assert np.std(model.layers[2].depthwise_kernel) == pytest.approx(np.sqrt(variance), rel=0.05)


def test_validation_uses_the_averaged_weights(batch):
    recipe = training.Recipe(optimizer={"ema": 0.99}, schedule="constant")
    network = compile_for_training(tiny(), recipe, steps=2)
    callbacks = recipe_callbacks(recipe, History([]))
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
