"""Pruning under everything that changes how training steps are made."""

import keras
import numpy as np
import pytest

from pocketzoo import training, zoo
from pocketzoo.training.compression.weights.layer_selection import kernels_of, select_layers
from pocketzoo.training.compression.weights.mask_schedule import Timetable
from pocketzoo.training.compression.weights.pruning_callback import PruningCallback
from pocketzoo.training.data.pipeline import training_batches

BRIEF = training.Recipe(epochs=4, batch_size=10)  # 12 steps an epoch
WAYS = {
    "steps per execution": {"steps_per_execution": 6},
    "XLA": {"xla": True},
    "bfloat16": {"precision": "mixed_bfloat16"},
    "float16": {"precision": "mixed_float16"},
    "accumulation": {"optimizer": {"accumulate": 3}},
    "average": {"optimizer": {"ema": 0.9}},
    "all at once": {
        "steps_per_execution": 6,
        "precision": "mixed_float16",
        "optimizer": {"name": "nesterov", "accumulate": 2, "ema": 0.9, "clip_norm": 1.0},
    },
}
PATTERNS = {
    "element": {"target": 0.8},
    "global": {"target": 0.8, "scope": "global"},
    "block": {"target": 0.7, "pattern": "block:4x1"},
    "2:4": {"pattern": "2:4"},
    "gradual 2:4": {"pattern": "2:4", "schedule": "polynomial"},
    "at once, later": {"target": 0.6, "schedule": "constant", "begin": 0.2},
}


def net() -> keras.Model:
    keras.utils.set_random_seed(0)
    return zoo.create_model("lenet5", input_shape=(16, 16, 1), dropout=0.3)


def pruned_kernels(model: keras.Model, **how) -> list[np.ndarray]:
    return [kernel.numpy() for kernel in kernels_of(model, select_layers(model, training.Sparsity(**how)))]


def zeros(kernels: list[np.ndarray]) -> float:
    return sum(np.count_nonzero(kernel == 0) for kernel in kernels) / sum(kernel.size for kernel in kernels)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_sparsity_comes_to_its_target_however_the_steps_are_made(small_digits, way):
    model = net()
    before = pruned_kernels(model)
    result = training.prune(model, small_digits, BRIEF.changed(**way), sparsity=0.8, verbose=False)
    kernels = pruned_kernels(model)
    assert zeros(kernels) == result.metrics["sparsity"] == pytest.approx(0.8, abs=1e-3)
    for kernel, old in zip(kernels, before, strict=True):
        assert zeros([kernel]) == pytest.approx(0.8, abs=0.5 / kernel.size + 1e-6)
        assert not np.signbit(kernel[kernel == 0]).any()
        assert np.mean(kernel[kernel != 0] != old[kernel != 0]) > 0.9


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)
def test_every_pattern_comes_to_its_target(small_digits, pattern):
    model = net()
    how = training.Sparsity(**pattern)
    result = training.prune(model, small_digits, BRIEF.changed(epochs=1), sparsity=how, verbose=False)
    # Blocks and groups of four at the sides of small kernels are smaller.
    bound = 1e-3 if how.pattern == "element" else 0.04
    assert zeros(pruned_kernels(model)) == result.metrics["sparsity"] == pytest.approx(how.target, abs=bound)


@pytest.mark.parametrize(("pattern", "stop"), [("element", 5), ("block", 11), ("gradual 2:4", 6)])
def test_interrupted_run_resumes_to_the_very_same_weights(small_digits, tmp_path, monkeypatch, pattern, stop):
    how = training.Sparsity(**PATTERNS[pattern], frequency=2)  # it rises over the first 12 of 24 steps
    recipe = BRIEF.changed(epochs=2, checkpoint_steps=4, optimizer={"ema": 0.9})
    whole = training.prune(net(), small_digits, recipe, sparsity=how, verbose=False)

    class StoppedHereError(Exception):
        pass

    keep = PruningCallback.on_train_batch_end

    def stopping(self, batch, logs=None):
        keep(self, batch, logs)
        if self._step() == stop:
            raise StoppedHereError

    run = {"run_dir": tmp_path, "verbose": False}
    monkeypatch.setattr(PruningCallback, "on_train_batch_end", stopping)
    with pytest.raises(StoppedHereError):
        training.prune(net(), small_digits, recipe, sparsity=how, **run)
    monkeypatch.setattr(PruningCallback, "on_train_batch_end", keep)
    resumed = training.prune(net(), small_digits, recipe, sparsity=how, resume=True, **run)
    assert resumed.metrics == whole.metrics
    for one, other in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_float16_steps_that_overflow_do_not_leave_an_epoch_short_of_the_target(small_digits, monkeypatch):
    """The first steps change nothing, until the scale of the loss has come down; the schedule is that much behind."""
    scaled = keras.optimizers.LossScaleOptimizer
    monkeypatch.setattr(
        keras.optimizers, "LossScaleOptimizer", lambda optimizer: scaled(optimizer, initial_scale=2.0**40)
    )
    recipe = BRIEF.changed(epochs=4, precision="mixed_float16")
    result = training.prune(net(), small_digits, recipe, sparsity=training.Sparsity(target=0.8, end=1.0), verbose=False)
    assert result.metrics["best_epoch"] == 4
    assert result.metrics["sparsity"] == pytest.approx(0.8, abs=1e-3)


def test_what_is_validated_is_the_average_under_the_mask(small_digits):
    model = net()
    recipe = BRIEF.changed(optimizer={"ema": 0.99})
    result = training.prune(model, small_digits, recipe, sparsity=0.8, verbose=False)
    validated = result.history[result.metrics["best_epoch"] - 1]["val_loss"]
    assert training.evaluate(model, small_digits.validation).loss == pytest.approx(validated, rel=1e-5)


def test_schedule_that_training_does_not_finish_is_an_error(small_digits):
    model, how = net(), training.Sparsity(target=0.8)
    kernels = kernels_of(model, select_layers(model, how))
    callback = PruningCallback(kernels, [0.8] * len(kernels), how, Timetable(begin=0, frequency=5, last=6))
    model.compile("sgd", "sparse_categorical_crossentropy")
    batches = training_batches(small_digits.train, BRIEF)
    with pytest.raises(
        zoo.InputError, match="training ended at step 24, but the sparsity comes to its target at step 30"
    ):
        model.fit(batches, steps_per_epoch=12, epochs=2, callbacks=[callback], verbose=0)
    assert all(kernel.constraint is None for kernel in kernels)


def test_optimizer_that_is_beyond_the_schedule_is_an_error(small_digits):
    """By its count of steps everything would be pruned already."""
    model, how = net(), training.Sparsity(target=0.8)
    kernels = kernels_of(model, select_layers(model, how))
    callback = PruningCallback(kernels, [0.8] * len(kernels), how, Timetable(begin=0, frequency=2, last=3))
    model.compile("sgd", "sparse_categorical_crossentropy")
    batches = training_batches(small_digits.train, BRIEF)
    model.fit(batches, steps_per_epoch=12, verbose=0)
    with pytest.raises(zoo.InputError, match="has made 12 steps already, after which there should be zeros"):
        model.fit(batches, steps_per_epoch=12, callbacks=[callback], verbose=0)


def test_plain_fit_with_an_average_in_the_place_of_the_weights_leaves_the_zeros(small_digits):
    model, how = net(), training.Sparsity(target=0.8)
    kernels = kernels_of(model, select_layers(model, how))
    callback = PruningCallback(kernels, [0.8] * len(kernels), how, Timetable(begin=0, frequency=2, last=3))
    model.compile(keras.optimizers.SGD(use_ema=True), "sparse_categorical_crossentropy")
    model.fit(training_batches(small_digits.train, BRIEF), steps_per_epoch=12, callbacks=[callback], verbose=0)
    assert zeros(pruned_kernels(model)) == pytest.approx(0.8, abs=1e-3)


def test_pruning_again_keeps_what_is_zero(small_digits):
    model, recipe = net(), BRIEF.changed(epochs=2)
    training.prune(model, small_digits, recipe, sparsity=0.6, verbose=False)
    before = pruned_kernels(model)
    training.prune(model, small_digits, recipe, sparsity=0.8, verbose=False)
    after = pruned_kernels(model)
    assert zeros(after) == pytest.approx(0.8, abs=1e-3)
    assert all((new[old == 0] == 0).all() for old, new in zip(before, after, strict=True))
