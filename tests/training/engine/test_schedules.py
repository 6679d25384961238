import json

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketzoo import training
from pocketzoo.training.engine.callbacks.plateau import plateau_factor
from pocketzoo.training.engine.history import History
from pocketzoo.training.engine.optimizers import ParameterGroup, make_optimizer
from pocketzoo.training.engine.schedules import AdjustableRate, make_schedule
from pocketzoo.training.recipe.schedule import Plateau

RUNS = {"epochs": st.integers(1, 50), "steps": st.integers(1, 40), "warmup": st.floats(0, 60)}
QUICKLY = settings(deadline=None, max_examples=30)
NAMES = ("constant", "step", "exponential", "cosine", "one_cycle", "plateau")


def rates(config: dict, epochs: int, steps: int) -> np.ndarray:
    """The learning rate at every step of the run, and after it."""
    schedule = make_schedule(training.Recipe(epochs=epochs, schedule=config), steps, 0.1)
    after = epochs * steps
    return np.broadcast_to(schedule(np.arange(after + 1)), after + 1)


def warmup_steps(warmup: float, epochs: int, steps: int) -> int:
    return round(min(warmup, epochs / 2) * steps)


@pytest.mark.parametrize("name", ["constant", "exponential", "cosine", "plateau"])
@QUICKLY
@given(**RUNS)
def test_warmup_is_linear_and_ends_at_the_peak(name, epochs, steps, warmup):
    measured, rise = (
        rates({"name": name, "warmup_epochs": warmup}, epochs, steps),
        warmup_steps(warmup, epochs, steps),
    )
    np.testing.assert_allclose(measured[:rise], 0.1 * np.arange(rise) / max(rise, 1), rtol=1e-5)
    assert measured[rise] == pytest.approx(0.1)
    assert measured.max() <= 0.1 * (1 + 1e-6)
    assert (np.diff(measured[rise:]) <= 1e-9).all()


@pytest.mark.parametrize("name", ["exponential", "cosine"])
@QUICKLY
@given(**RUNS, final=st.floats(0.001, 0.9))
def test_schedule_ends_at_its_final_share(name, epochs, steps, warmup, final):
    measured = rates({"name": name, "warmup_epochs": warmup, "final": final}, epochs, steps)
    if warmup_steps(warmup, epochs, steps) < epochs * steps:
        assert measured[-1] == pytest.approx(0.1 * final, rel=1e-4)


@QUICKLY
@given(epochs=st.integers(2, 50), steps=st.integers(2, 40), warmup=st.floats(0, 3))
def test_step_schedule_is_reduced_at_the_milestones(epochs, steps, warmup):
    config = {"name": "step", "milestones": [0.6, 0.8], "factor": 0.5, "warmup_epochs": warmup}
    measured, total = rates(config, epochs, steps), epochs * steps
    rise = warmup_steps(warmup, epochs, steps)
    falls = [round(share * total) for share in (0.6, 0.8)]
    fallen = (np.arange(total + 1)[:, None] >= falls).sum(axis=1)
    np.testing.assert_allclose(measured[rise:], 0.1 * 0.5 ** fallen[rise:], rtol=1e-5)


@QUICKLY
@given(
    epochs=st.integers(1, 4),
    steps=st.integers(1, 40),
    warmup=st.floats(0, 4),
    milestones=st.lists(st.floats(0.01, 0.99), min_size=1, max_size=3, unique=True).map(sorted),
)
def test_step_schedule_reaches_its_peak_before_the_first_milestone(epochs, steps, warmup, milestones):
    config = {"name": "step", "milestones": milestones, "factor": 0.5, "warmup_epochs": warmup}
    measured = rates(config, epochs, steps)
    first = max(1, round(milestones[0] * epochs * steps))
    assert measured[:first].max() == pytest.approx(0.1)
    assert measured.max() <= 0.1 * (1 + 1e-6)
    assert (measured[first:] <= 0.05 * (1 + 1e-6)).all()
    assert (np.diff(measured[: measured.argmax() + 1]) >= 0).all()


def test_step_schedule_without_milestones_is_constant():
    assert rates({"name": "step", "milestones": [], "warmup_epochs": 0}, 2, 3) == pytest.approx(0.1)


@QUICKLY
@given(
    epochs=st.integers(1, 50),
    steps=st.integers(1, 40),
    rise=st.floats(0.05, 0.95),
    start=st.floats(0.01, 1),
    final=st.floats(0, 0.9),
)
def test_one_cycle_rises_to_the_peak_and_falls(epochs, steps, rise, start, final):
    config = {"name": "one_cycle", "rise": rise, "start": start, "final": final}
    measured, total = rates(config, epochs, steps), epochs * steps
    done = np.arange(total + 1) / total
    part = np.where(done < rise, done / rise, (done - rise) / (1 - rise))
    first, last = np.where(done < rise, start, 1.0), np.where(done < rise, 1.0, final)
    expected = 0.1 * (last + (first - last) * (1 + np.cos(np.pi * part)) / 2)
    np.testing.assert_allclose(measured, expected, rtol=1e-3, atol=1e-6)
    assert measured[0] == pytest.approx(0.1 * start, rel=1e-4)
    assert measured[-1] == pytest.approx(0.1 * final, abs=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_schedule_round_trips_through_its_config(name):
    schedule = make_schedule(training.Recipe(epochs=9, schedule=name), 7, 0.1)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(schedule)))
    again = keras.saving.deserialize_keras_object(config)
    np.testing.assert_array_equal(again(np.arange(64)), schedule(np.arange(64)))


def test_accumulated_updates_have_the_rate_of_their_last_batch():
    """So a run that accumulates ends where the schedule ends."""
    recipe = training.Recipe(
        epochs=2,
        optimizer={"name": "sgd", "weight_decay": 0, "accumulate": 3},
        schedule={"name": "cosine", "warmup_epochs": 0},
    )
    kernel = keras.Variable(np.zeros((2, 2), "float32"))
    made = make_optimizer(recipe, 6, [ParameterGroup(0.1, [kernel])])
    schedule, changes = make_schedule(recipe, 6, 0.1), []
    for _ in range(12):
        before = kernel.numpy()
        made.apply([keras.ops.ones((2, 2))], [kernel])
        changes.append((before - kernel.numpy())[0, 0])
    updates = np.array(changes).reshape(4, 3)
    assert not updates[:, :2].any()
    np.testing.assert_allclose(updates[:, 2], schedule(np.arange(2, 12, 3)), rtol=1e-4)


@QUICKLY
@given(st.lists(st.integers(0, 20), max_size=30), st.integers(1, 5))
def test_plateau_factor_equals_reduce_lr_on_plateau(losses, patience):
    config = Plateau(factor=0.5, patience=patience, lowest=0.1)
    theirs = keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=patience, min_delta=0, min_lr=0.1)
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1.0), "mse")
    theirs.set_model(model)
    theirs.on_train_begin()
    for epoch, loss in enumerate(losses):
        theirs.on_epoch_end(epoch, {"val_loss": loss})
    assert plateau_factor(losses, config) == pytest.approx(float(model.optimizer.learning_rate), rel=1e-5)


def test_plateau_uses_only_the_history_of_the_phase():
    from pocketzoo.training.engine.epoch_loop import recipe_callbacks

    recipe = training.Recipe(schedule={"name": "plateau", "patience": 1, "factor": 0.5, "warmup_epochs": 0})
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(make_optimizer(recipe, 5, [ParameterGroup(1.0, [])]), "mse")
    history = History([{"val_loss": 0.1}, {"val_loss": 0.9}, {"val_loss": 0.9}], phases=[0, 1])
    (callback,) = recipe_callbacks(recipe, history)
    callback.set_model(model)
    callback.on_epoch_begin(3)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.5)
    history.epochs.append({"val_loss": 0.8})
    callback.on_epoch_begin(4)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.5)
    history.epochs.append({"val_loss": 0.8})
    callback.on_epoch_begin(5)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.25)


def test_adjustable_rate_changes_inside_a_compiled_step():
    import tensorflow as tf

    lowered = AdjustableRate(0.1)
    compiled = tf.function(lambda step: lowered(step))
    assert float(compiled(tf.constant(1))) == pytest.approx(0.1)
    lowered.factor.assign(0.5)
    assert float(compiled(tf.constant(1))) == pytest.approx(0.05)
