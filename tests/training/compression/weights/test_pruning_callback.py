"""Pruning with every feature that changes how training steps are executed."""

import keras
import numpy as np
import pytest

from pocketzoo import training, zoo
from pocketzoo.training.compression.weights.layer_selection import kernels_of, select_layers
from pocketzoo.training.compression.weights.mask_schedule import MaskSchedule
from pocketzoo.training.compression.weights.pruning_callback import PruningCallback
from pocketzoo.training.data.pipeline import training_batches

BRIEF = training.Recipe(epochs=4, batch_size=10, augmentation="none")  # 12 steps an epoch
RECIPE_CHANGES = {
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


def by_default(cases: dict[str, dict], *names: str) -> list:
    """All cases; marked `every_card` are those whose settings another case or test has, too."""
    marks = {name: () if name in names else pytest.mark.every_card for name in cases}
    return [pytest.param(case, id=name, marks=marks[name]) for name, case in cases.items()]


def net() -> keras.Model:
    keras.utils.set_random_seed(0)
    return zoo.create_model("lenet5", input_shape=(16, 16, 1), dropout=0.3)


def pruned_kernels(model: keras.Model, **settings) -> list[np.ndarray]:
    return [kernel.numpy() for kernel in kernels_of(model, select_layers(model, training.Sparsity(**settings)))]


def zeros(kernels: list[np.ndarray]) -> float:
    return sum(np.count_nonzero(kernel == 0) for kernel in kernels) / sum(kernel.size for kernel in kernels)


@pytest.mark.parametrize("changes", by_default(RECIPE_CHANGES, "XLA", "all at once"))
def test_sparsity_reaches_its_target_however_steps_are_executed(small_digits, changes):
    model = net()
    before = pruned_kernels(model)
    result = training.prune(model, small_digits, BRIEF.changed(**changes), sparsity=0.8, verbose=False)
    kernels = pruned_kernels(model)
    assert zeros(kernels) == result.metrics["sparsity"] == pytest.approx(0.8, abs=1e-3)
    for kernel, old in zip(kernels, before, strict=True):
        assert zeros([kernel]) == pytest.approx(0.8, abs=0.5 / kernel.size + 1e-6)
        assert not np.signbit(kernel[kernel == 0]).any()
        assert np.mean(kernel[kernel != 0] != old[kernel != 0]) > 0.9


@pytest.mark.parametrize("pattern", by_default(PATTERNS, *(PATTERNS.keys() - {"element", "2:4"})))
def test_every_pattern_reaches_its_target(small_digits, pattern):
    model = net()
    settings = training.Sparsity(**pattern)
    result = training.prune(model, small_digits, BRIEF.changed(epochs=1), sparsity=settings, verbose=False)
    # At the edges of small kernels, blocks and groups of four are incomplete.
    bound = 1e-3 if settings.pattern == "element" else 0.04
    assert zeros(pruned_kernels(model)) == result.metrics["sparsity"] == pytest.approx(settings.target, abs=bound)


@pytest.mark.parametrize(
    ("pattern", "stop"),
    [
        *(pytest.param(*each, marks=pytest.mark.every_card) for each in (("element", 5), ("block", 11))),
        ("gradual 2:4", 6),
    ],
)
def test_interrupted_run_resumes_to_the_same_weights(small_digits, tmp_path, monkeypatch, pattern, stop):
    settings = training.Sparsity(**PATTERNS[pattern], frequency=2)  # the sparsity rises over the first 12 of 24 steps
    recipe = BRIEF.changed(epochs=2, checkpoint_steps=4, optimizer={"ema": 0.9})
    whole = training.prune(net(), small_digits, recipe, sparsity=settings, verbose=False)

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
        training.prune(net(), small_digits, recipe, sparsity=settings, **run)
    monkeypatch.setattr(PruningCallback, "on_train_batch_end", keep)
    resumed = training.prune(net(), small_digits, recipe, sparsity=settings, resume=True, **run)
    assert resumed.metrics == whole.metrics
    for one, other in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_float16_steps_that_overflow_do_not_leave_an_epoch_short_of_the_target(small_digits, monkeypatch):
    """The first steps change nothing until the loss scale has decreased, so the schedule is behind."""
    scaled = keras.optimizers.LossScaleOptimizer
    monkeypatch.setattr(
        keras.optimizers, "LossScaleOptimizer", lambda optimizer: scaled(optimizer, initial_scale=2.0**40)
    )
    recipe = BRIEF.changed(epochs=4, precision="mixed_float16")
    result = training.prune(net(), small_digits, recipe, sparsity=training.Sparsity(target=0.8, end=1.0), verbose=False)
    assert result.metrics["best_epoch"] == 4
    assert result.metrics["sparsity"] == pytest.approx(0.8, abs=1e-3)


def test_masked_average_is_validated(small_digits):
    model = net()
    recipe = BRIEF.changed(optimizer={"ema": 0.99})
    result = training.prune(model, small_digits, recipe, sparsity=0.8, verbose=False)
    validated = result.history[result.metrics["best_epoch"] - 1]["val_loss"]
    assert training.evaluate(model, small_digits.validation).loss == pytest.approx(validated, rel=1e-5)


def test_schedule_that_training_does_not_finish_is_an_error(small_digits):
    model, settings = net(), training.Sparsity(target=0.8)
    kernels = kernels_of(model, select_layers(model, settings))
    callback = PruningCallback(kernels, [0.8] * len(kernels), settings, MaskSchedule(begin=0, frequency=5, last=6))
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    batches = training_batches(small_digits.train, BRIEF)
    with pytest.raises(
        zoo.InputError, match="training ended at step 24, but the sparsity reaches its target at step 30"
    ):
        model.fit(batches, steps_per_epoch=12, epochs=2, callbacks=[callback], verbose=0)
    assert all(kernel.constraint is None for kernel in kernels)


def test_optimizer_that_is_past_the_schedule_is_an_error(small_digits):
    """According to its step count, everything would be pruned already."""
    model, settings = net(), training.Sparsity(target=0.8)
    kernels = kernels_of(model, select_layers(model, settings))
    callback = PruningCallback(kernels, [0.8] * len(kernels), settings, MaskSchedule(begin=0, frequency=2, last=3))
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    batches = training_batches(small_digits.train, BRIEF)
    model.fit(batches, steps_per_epoch=12, verbose=0)
    with pytest.raises(zoo.InputError, match="has already made 12 steps, after which the schedule expects zeros"):
        model.fit(batches, steps_per_epoch=12, callbacks=[callback], verbose=0)


def test_plain_fit_with_ema_keeps_the_zeros(small_digits):
    model, settings = net(), training.Sparsity(target=0.8)
    kernels = kernels_of(model, select_layers(model, settings))
    callback = PruningCallback(kernels, [0.8] * len(kernels), settings, MaskSchedule(begin=0, frequency=2, last=3))
    model.compile(keras.optimizers.SGD(use_ema=True), "sparse_categorical_crossentropy", jit_compile=False)
    model.fit(training_batches(small_digits.train, BRIEF), steps_per_epoch=12, callbacks=[callback], verbose=0)
    assert zeros(pruned_kernels(model)) == pytest.approx(0.8, abs=1e-3)


def test_pruning_again_keeps_zeros(small_digits):
    model, recipe = net(), BRIEF.changed(epochs=2)
    training.prune(model, small_digits, recipe, sparsity=0.6, verbose=False)
    before = pruned_kernels(model)
    training.prune(model, small_digits, recipe, sparsity=0.8, verbose=False)
    after = pruned_kernels(model)
    assert zeros(after) == pytest.approx(0.8, abs=1e-3)
    assert all((new[old == 0] == 0).all() for old, new in zip(before, after, strict=True))
