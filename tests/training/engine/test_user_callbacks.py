"""Callbacks that a user passes to a verb."""

from functools import partial

import keras
import numpy as np
import pytest
from support.small_net import small_net
from support.transfer import BRIEF as OF_FINE_TUNING
from support.transfer import narrow_resnet

from pocketzoo import training, zoo
from pocketzoo.training.engine.callbacks.run_recorder import RunRecorder

BRIEF = training.Recipe(epochs=3, batch_size=30, augmentation="none", checkpoint_steps=3)  # 4 steps an epoch


def net(**arguments) -> keras.Model:
    keras.utils.set_random_seed(0)
    return small_net(**arguments)


class Notes(keras.callbacks.Callback):
    """Notes what it is called with, in attributes of every plain kind, and in a list that it shares with others."""

    def __init__(self, name="notes", shared=None):
        super().__init__()
        self.name, self.shared = name, shared
        self.losses, self.by_epoch, self.last, self.pair = [], {}, np.zeros(2, "float32"), (0, "none")
        self.open_file = open  # not plain

    def on_epoch_begin(self, epoch, logs=None):
        self.in_epoch = 0
        if self.shared is not None:
            self.shared.append((self.name, epoch))

    def on_train_batch_end(self, batch, logs=None):
        self.in_epoch += 1
        self.losses.append(float(logs["loss"]))
        self.last = np.float32([logs["loss"], self.in_epoch])

    def on_epoch_end(self, epoch, logs=None):
        self.by_epoch[epoch] = dict(logs)
        self.pair = (epoch, np.float64(logs["val_loss"]))
        self.kernel = np.array(self.model.trainable_variables[0])


class StopAfter(keras.callbacks.Callback):
    def __init__(self, epoch=None, batch=None):
        super().__init__()
        self.epoch, self.batch, self.seen = epoch, batch, 0

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = self.model.stop_training or epoch == self.epoch

    def on_train_batch_end(self, batch, logs=None):
        self.seen += 1
        self.model.stop_training = self.model.stop_training or self.seen == self.batch


@pytest.fixture(scope="module")
def uninterrupted(small_digits):
    notes = Notes()
    return training.fit(net(), small_digits, BRIEF, callbacks=[notes], verbose=False), notes


def test_callbacks_are_called_in_order_with_the_metrics_of_the_run(small_digits):
    called = []
    both = [Notes("first", called), Notes("second", called)]
    model = net()
    result = training.fit(model, small_digits, BRIEF, callbacks=both, verbose=False)
    assert called == [(name, epoch) for epoch in range(3) for name in ("first", "second")]
    for epoch, metrics in enumerate(result.history):
        seen = both[1].by_epoch[epoch]
        assert {"loss", "accuracy", "val_loss", "val_accuracy"} <= seen.keys()
        assert seen == {name: metrics[name] for name in seen}
    assert {id(layer) for layer in model.layers} <= {id(layer) for layer in both[0].model.layers}
    assert both[0].model.optimizer is not None


def test_resumed_run_continues_with_the_states_of_its_callbacks(small_digits, tmp_path, monkeypatch, uninterrupted):
    result, expected = uninterrupted
    keep = RunRecorder.on_train_batch_end

    def fail_in_second_epoch(self, batch, logs=None):
        keep(self, batch, logs)
        if len(self._history) == 1 and batch == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(RunRecorder, "on_train_batch_end", fail_in_second_epoch)
    with pytest.raises(KeyboardInterrupt):
        training.fit(net(), small_digits, BRIEF, run_dir=tmp_path, callbacks=[Notes()], verbose=False)
    monkeypatch.undo()
    notes = Notes("renamed")
    resumed = training.fit(net(), small_digits, BRIEF, run_dir=tmp_path, resume=True, callbacks=[notes], verbose=False)
    assert resumed.history == result.history
    assert notes.name == "renamed"  # training did not change it
    assert (notes.losses, notes.by_epoch, notes.pair) == (expected.losses, expected.by_epoch, expected.pair)
    assert notes.in_epoch == expected.in_epoch == 4
    np.testing.assert_array_equal(notes.last, expected.last)
    np.testing.assert_array_equal(notes.kernel, expected.kernel)


def test_state_of_a_callback_is_what_it_returns(small_digits, tmp_path):
    class Own(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.history = object()
            self.count = 0

        def on_epoch_end(self, epoch, logs=None):
            self.count += 1

        def get_state(self):
            return {"count": self.count, 7: (1, None)}

        def set_state(self, state):
            assert state[7] == (1, None)
            self.count = 10 * state["count"]

    def run(epochs, **arguments):
        own, recipe = Own(), BRIEF.changed(epochs=epochs)
        training.fit(net(), small_digits, recipe, run_dir=tmp_path, callbacks=[own], verbose=False, **arguments)
        return own.count

    assert run(2) == 2
    assert run(3, extend=True) == 21


def test_state_that_is_not_plain_is_refused(small_digits):
    class Own(keras.callbacks.Callback):
        def get_state(self):
            return [object()]

        def set_state(self, state):
            pass

    with pytest.raises(zoo.InputError, match=r"get_state\(\) of Own returned a list with other values than None, num"):
        training.fit(net(), small_digits, BRIEF, callbacks=[Own()], verbose=False)


@pytest.mark.parametrize(
    ("stop", "epochs"), [pytest.param({"epoch": 1}, 2, marks=pytest.mark.every_card), ({"batch": 2}, 1)]
)
def test_callback_can_stop_the_training(small_digits, tmp_path, stop, epochs):
    def run(callback, recipe=BRIEF, **arguments):
        data = small_digits
        return training.fit(
            net(), data, recipe, run_dir=tmp_path, callbacks=[callback], verbose=False, **arguments
        ).history

    stopped = run(StopAfter(**stop))
    assert len(stopped) == epochs
    assert run(StopAfter(), resume=True) == stopped  # it is finished
    assert len(run(StopAfter(), BRIEF.changed(epochs=4), extend=True)) == 4


def test_early_stopping_of_keras_stops_as_that_of_the_recipe(small_digits):
    recipe = training.Recipe(
        epochs=30, batch_size=40, optimizer={"lr": 0.3}, schedule={"warmup_epochs": 0}, augmentation="none"
    )
    own = training.fit(net(), small_digits, recipe.changed(early_stopping=2), verbose=False)
    callback = keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)
    stopped = training.fit(net(), small_digits, recipe, callbacks=[callback], verbose=False)
    assert stopped.history == own.history
    assert len(own.history) < 30


def test_checkpoint_of_keras_can_be_loaded(small_digits, tmp_path):
    callback = keras.callbacks.ModelCheckpoint(tmp_path / "last.keras")
    notes = Notes()
    training.fit(net(), small_digits, BRIEF, callbacks=[callback, notes], verbose=False)
    loaded = zoo.load_model(tmp_path / "last.keras")
    np.testing.assert_array_equal(loaded.trainable_variables[0], notes.kernel)


def test_checkpoint_of_keras_has_the_pixels_and_outputs_of_the_model(small_digits, tmp_path):
    keras.utils.set_random_seed(0)
    image = keras.Input(small_digits.image_shape)
    model = keras.Model(image, keras.layers.Dense(10)(keras.layers.Flatten()(image)))
    checkpoint = partial(keras.callbacks.ModelCheckpoint, save_best_only=True)
    callbacks = [checkpoint(tmp_path / "best.keras"), checkpoint(tmp_path / "best.weights.h5", save_weights_only=True)]
    training.fit(model, small_digits, BRIEF, callbacks=callbacks, pixels="0..1", verbose=False)
    trained = model.get_weights()
    saved = zoo.load_model(tmp_path / "best.keras").get_weights()
    model.load_weights(tmp_path / "best.weights.h5")
    for weights in (saved, model.get_weights()):
        for one, other in zip(weights, trained, strict=True):
            np.testing.assert_array_equal(one, other)


def test_least_improvement_of_early_stopping_is_kept_when_a_run_is_extended(small_digits, tmp_path):
    def run(epochs, **arguments):
        callback = keras.callbacks.EarlyStopping(min_delta=100, patience=1)
        recipe = training.Recipe(epochs=epochs, batch_size=60, augmentation="none")
        return training.fit(
            net(), small_digits, recipe, callbacks=[callback], run_dir=tmp_path / "run", verbose=False, **arguments
        ).history

    assert len(run(4)) == 2
    assert len(run(8, extend=True)) == 3


@pytest.mark.parametrize("kind", [keras.callbacks.BackupAndRestore, keras.callbacks.SwapEMAWeights])
def test_callback_that_does_what_a_run_does_is_refused(small_digits, tmp_path, kind):
    callback = kind(tmp_path) if kind is keras.callbacks.BackupAndRestore else kind()
    with pytest.raises(zoo.InputError, match=f"{kind.__name__} does what a run does itself; leave it out, and"):
        training.fit(net(), small_digits, BRIEF, callbacks=[callback], verbose=False)


@pytest.mark.parametrize(
    "callback",
    [keras.callbacks.ReduceLROnPlateau(), keras.callbacks.LearningRateScheduler(lambda epoch: 0.1)],
)
def test_callback_that_sets_the_learning_rate_is_refused(small_digits, callback):
    with pytest.raises(
        zoo.InputError, match=f"{type(callback).__name__} sets the learning rate, as the recipe's sched"
    ):
        training.fit(net(), small_digits, BRIEF, callbacks=[callback], verbose=False)


@pytest.mark.parametrize("verb", ["distill", "prune", "cluster", "quantize_aware"])
def test_every_verb_calls_them(small_digits, verb):
    notes, recipe = Notes(), training.Recipe(epochs=1, batch_size=60)
    models = [net(), net()] if verb == "distill" else [net()]
    options = {"sparsity": training.Sparsity(target=0.5, keep_ends=False)} if verb == "prune" else {}
    result = getattr(training, verb)(*models, small_digits, recipe, callbacks=[notes], verbose=False, **options)
    assert notes.by_epoch[0]["val_loss"] == result.history[0]["val_loss"]
    assert len(notes.losses) == 2


def test_fine_tuning_calls_them_in_every_phase(small_digits):
    notes = Notes(shared=[])
    model = narrow_resnet(blocks=1, labels=small_digits.labels)
    stop = StopAfter(epoch=0)
    result = training.fine_tune(model, small_digits, OF_FINE_TUNING, callbacks=[notes, stop], verbose=False)
    assert notes.shared == [("notes", 0), ("notes", 0)]
    assert [phase["epochs"] for phase in result.metrics["phases"]] == [1, 1]
    with pytest.raises(
        zoo.InputError, match="callbacks, loss and metrics: mode 'linear_probe' is a logistic regression"
    ):
        training.fine_tune(model, small_digits, OF_FINE_TUNING.changed(mode="linear_probe"), callbacks=[notes])
