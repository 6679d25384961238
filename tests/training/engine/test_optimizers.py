import keras
import numpy as np
import pytest

from pocketzoo import training
from pocketzoo.training.engine.callbacks.ema import averaged_weights
from pocketzoo.training.engine.optimizers import (
    OPTIMIZERS,
    ParameterGroup,
    current_learning_rate,
    is_kernel,
    make_optimizer,
    unwrap_optimizer,
)

CONSTANT = {"name": "constant", "warmup_epochs": 0}
KERAS = {
    "sgd": lambda lr: keras.optimizers.SGD(lr),
    "momentum": lambda lr: keras.optimizers.SGD(lr, momentum=0.8),
    "nesterov": lambda lr: keras.optimizers.SGD(lr, momentum=0.8, nesterov=True),
    "adagrad": lambda lr: keras.optimizers.Adagrad(lr),
    "rmsprop": lambda lr: keras.optimizers.RMSprop(lr, rho=0.8),
    "adam": lambda lr: keras.optimizers.Adam(lr, beta_1=0.8),
    "adamw": lambda lr: keras.optimizers.AdamW(lr, beta_1=0.8, weight_decay=0.0),
    "lion": lambda lr: keras.optimizers.Lion(lr, beta_1=0.8),
    "lamb": lambda lr: keras.optimizers.Lamb(lr, beta_1=0.8),
}
OWN = {"momentum": {"momentum": 0.8}, "nesterov": {"momentum": 0.8}, "rmsprop": {"rho": 0.8}}
OWN |= {name: {"beta_1": 0.8} for name in ("adam", "adamw", "lion", "lamb")}


def recipe(**optimizer) -> training.Recipe:
    others = {name: optimizer.pop(name) for name in ("l1", "l2") if name in optimizer}
    return training.Recipe(optimizer={"name": "sgd", "weight_decay": 0.0} | optimizer, schedule=CONSTANT, **others)


def weights(*values: float) -> list[keras.Variable]:
    return [keras.Variable(np.full((2, 2), value, "float32"), name=f"kernel{i}") for i, value in enumerate(values)]


def gradients(variables, *values: float) -> list:
    return [keras.ops.full(v.shape, value) for v, value in zip(variables, values, strict=True)]


def noise(variables, count: int) -> list[list]:
    random = np.random.default_rng(0)
    return [[keras.ops.convert_to_tensor(random.normal(size=v.shape), "float32") for v in variables]] * count


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_updates_equal_those_of_keras(name):
    ours, theirs = weights(1.0, -2.0), weights(1.0, -2.0)
    config = recipe(name=name, **OWN.get(name, {}))
    optimizer, reference = make_optimizer(config, 10, [ParameterGroup(0.01, ours)]), KERAS[name](0.01)
    for step in noise(ours, 4):
        optimizer.apply(step, ours)
        reference.apply(step, theirs)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weight_decay_is_decoupled_and_applies_to_kernels_only(name):
    kernel, bias = keras.Variable(np.full((2, 2), 3.0)), keras.Variable(np.full((2,), 3.0))
    optimizer = make_optimizer(recipe(name=name, weight_decay=0.1), 10, [ParameterGroup(0.5, [kernel, bias])])
    optimizer.apply(gradients([kernel, bias], 0.0, 0.0), [kernel, bias])
    assert kernel.numpy() == pytest.approx(3.0 - 3.0 * 0.1 * 0.5)
    assert bias.numpy() == pytest.approx(3.0)


def test_gradient_is_clipped_by_its_norm_over_all_groups():
    fast, slow = weights(0.0, 0.0)
    optimizer = make_optimizer(recipe(clip_norm=1.0), 10, [ParameterGroup(1.0, [fast]), ParameterGroup(0.1, [slow])])
    optimizer.apply(gradients([fast, slow], 3.0, 4.0), [fast, slow])  # the norm is (4 * 9 + 4 * 16) ** 0.5 = 10
    assert fast.numpy() == pytest.approx(-0.3)
    assert slow.numpy() == pytest.approx(-0.04)


def test_accumulated_gradients_are_averaged_then_clipped():
    fast, slow = weights(0.0, 0.0)
    config = recipe(name="momentum", accumulate=2, clip_norm=1.0)
    optimizer = make_optimizer(config, 10, [ParameterGroup(1.0, [fast]), ParameterGroup(0.1, [slow])])
    optimizer.apply(gradients([fast, slow], 10.0, 10.0), [fast, slow])
    assert not fast.numpy().any()
    optimizer.apply(gradients([fast, slow], -4.0, -2.0), [fast, slow])  # means 3 and 4
    assert fast.numpy() == pytest.approx(-0.3)
    assert slow.numpy() == pytest.approx(-0.04)
    assert int(optimizer.iterations) == 1


@pytest.mark.parametrize("accumulate", [1, 3])
def test_moving_average_decays_once_per_update(accumulate):
    (kernel,) = weights(0.0)
    optimizer = make_optimizer(recipe(ema=0.8, accumulate=accumulate), 10, [ParameterGroup(1.0, [kernel])])
    for _ in range(3 * accumulate):
        optimizer.apply(gradients([kernel], -1.0), [kernel])
    assert kernel.numpy() == pytest.approx(3.0)
    for _ in range(accumulate - 1):  # batches between two updates, in which the last one's share comes in
        optimizer.apply(gradients([kernel], 0.0), [kernel])
    expected = 0.8 * (0.8 * 1.0 + 0.2 * 2.0) + 0.2 * 3.0
    assert optimizer._model_variables_moving_average[0].numpy() == pytest.approx(expected, abs=1e-5)


def test_penalties_apply_to_kernels_before_clipping():
    kernel, bias = keras.Variable(np.full((2, 2), -3.0, "float32")), keras.Variable(np.full((2,), -3.0, "float32"))
    optimizer = make_optimizer(recipe(l1=0.5, l2=0.1), 10, [ParameterGroup(1.0, [kernel, bias])])
    optimizer.apply(gradients([kernel, bias], 1.0, 1.0), [kernel, bias])
    assert kernel.numpy() == pytest.approx(-3.0 - (1.0 - 0.5 - 2 * 0.1 * 3.0))
    assert bias.numpy() == pytest.approx(-4.0)
    (clipped,) = weights(-3.0)
    optimizer = make_optimizer(recipe(l1=100.0, clip_norm=1.0), 10, [ParameterGroup(1.0, [clipped])])
    optimizer.apply(gradients([clipped], 0.0), [clipped])
    assert clipped.numpy() == pytest.approx(-3.0 + 0.5)


def test_current_learning_rate_is_that_of_the_group_with_loss_scaling_too():
    fast, slow = weights(0.0, 0.0)
    optimizer = make_optimizer(recipe(), 10, [ParameterGroup(1.0, [fast]), ParameterGroup(0.1, [slow])])
    scaled = keras.optimizers.LossScaleOptimizer(optimizer)
    assert unwrap_optimizer(scaled) is unwrap_optimizer(optimizer) is optimizer
    assert [current_learning_rate(scaled, v) for v in (fast, slow)] == pytest.approx([1.0, 0.1])
    assert current_learning_rate(keras.optimizers.SGD(0.3), fast) == pytest.approx(0.3)


def small_net(**optimizer) -> keras.Model:
    keras.utils.set_random_seed(0)
    image = keras.Input((4,))
    net = keras.Model(image, keras.layers.Dense(2)(keras.layers.Dense(3, activation="relu")(image)))
    groups = [
        ParameterGroup(0.1, net.layers[2].trainable_variables),
        ParameterGroup(0.05, net.layers[1].trainable_variables),
    ]
    net.compile(make_optimizer(recipe(**optimizer), 10, groups), "mse")
    return net


BATCHES = [(np.random.default_rng(i).normal(size=(5, 4)), np.ones((5, 2))) for i in range(7)]


@pytest.mark.parametrize("name", ["nesterov", "adamw"])
def test_optimizer_state_restored_between_two_updates_continues_bit_by_bit(name, tmp_path):
    config = {"name": name, "accumulate": 2, "ema": 0.9, "weight_decay": 0.01}
    whole, interrupted, resumed = small_net(**config), small_net(**config), small_net(**config)
    for batch in BATCHES:
        whole.train_on_batch(*batch)
    for batch in BATCHES[:3]:
        interrupted.train_on_batch(*batch)
    interrupted.save_weights(tmp_path / "state.weights.h5")
    resumed.optimizer.build(resumed.trainable_variables)
    resumed.load_weights(tmp_path / "state.weights.h5")
    for batch in BATCHES[3:]:
        resumed.train_on_batch(*batch)
    for one, other in zip(whole.optimizer.variables, resumed.optimizer.variables, strict=True):
        assert np.array_equal(one.numpy(), other.numpy())
    assert all(np.array_equal(a, b) for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True))


def test_averaged_weights_are_assigned_and_the_weights_restored():
    net = small_net(ema=0.9)
    start = net.get_weights()
    with averaged_weights(net):
        assert all(np.array_equal(a, b) for a, b in zip(net.get_weights(), start, strict=True))
    for batch in BATCHES:
        net.train_on_batch(*batch)
    weights_now = net.get_weights()
    averages = [average.numpy() for average in net.optimizer._model_variables_moving_average]
    with averaged_weights(net):
        assert all(np.array_equal(a, b) for a, b in zip(net.get_weights(), averages, strict=True))
        assert not np.array_equal(net.get_weights()[0], weights_now[0])
    assert all(np.array_equal(a, b) for a, b in zip(net.get_weights(), weights_now, strict=True))
    with pytest.raises(OSError, match="disk"), averaged_weights(net):
        raise OSError("disk full")
    assert all(np.array_equal(a, b) for a, b in zip(net.get_weights(), weights_now, strict=True))


def test_prelu_slopes_are_not_kernels():
    model = keras.Sequential(
        [keras.Input((4, 4, 3)), keras.layers.Conv2D(2, 1), keras.layers.PReLU(shared_axes=[1, 2])]
    )
    assert [weight.name for weight in model.trainable_variables if is_kernel(weight)] == ["kernel"]
