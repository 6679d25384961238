"""Run directories of fine-tuning, and resuming interrupted runs."""

import json

import keras
import numpy as np
import pytest
from support.transfer import BRIEF, MODES, assert_equal, lenet, narrow_resnet

from pocketzoo import training, zoo
from pocketzoo.training.engine.callbacks.run_recorder import RunRecorder

BY_STAGES = BRIEF.changed(mode="gradual", epochs=4, unfreeze_from="stage2", l2_sp=0.01, augmentation="light")
"""Epochs 1 and 2 are the head's, 3 and 4 also the neck's, 5 and 6 also those of stage 2."""


@pytest.fixture(scope="module")
def uninterrupted(small_digits, tmp_path_factory):
    run = tmp_path_factory.mktemp("whole")
    return training.fine_tune(lenet(dropout=0.5), small_digits, BY_STAGES, run_dir=run, verbose=False)


def modes(first: str) -> list:
    """All modes, of which the others, which have the same code but for their phases, are marked `every_card`."""
    return [pytest.param(mode, marks=pytest.mark.every_card if mode != first else ()) for mode in MODES]


class StoppedHereError(Exception):
    pass


@pytest.mark.parametrize(
    "stopped_after", [*(pytest.param(epochs, marks=pytest.mark.every_card) for epochs in (1, 2, 4)), 3]
)
def test_interrupted_run_resumes_in_its_phase_to_identical_weights(
    small_digits, uninterrupted, tmp_path, monkeypatch, stopped_after
):
    keep = RunRecorder.on_epoch_end

    def stop(self, epoch, logs=None):
        keep(self, epoch, logs)
        if len(self._history) == stopped_after:
            raise StoppedHereError

    def run(**options):
        model = lenet(dropout=0.5)
        return training.fine_tune(model, small_digits, BY_STAGES, run_dir=tmp_path, verbose=False, **options)

    monkeypatch.setattr(RunRecorder, "on_epoch_end", stop)
    with pytest.raises(StoppedHereError):
        run()
    monkeypatch.setattr(RunRecorder, "on_epoch_end", keep)
    resumed = run(resume=True)
    assert resumed.history == uninterrupted.history
    assert resumed.metrics == uninterrupted.metrics
    assert_equal(resumed.model, uninterrupted.model)
    names = [sorted(path.name for path in folder.iterdir()) for folder in (tmp_path, uninterrupted.run_dir)]
    assert names[0] == names[1]


def test_run_killed_between_best_model_and_checkpoint_restarts_its_phase_from_the_checkpoint(
    small_digits, tmp_path, monkeypatch
):
    from pocketzoo.training.engine.run_directory import RunDirectory

    whole = training.fine_tune(lenet(), small_digits, BRIEF, run_dir=tmp_path / "whole", verbose=False)
    assert whole.metrics["best_epoch"] > BRIEF.head_epochs  # the phase does find better weights than it started from
    save = RunDirectory.save_checkpoint

    def die(self, model, network, history, **options):
        if len(history) == 3:
            zoo.save_model(model, self.path / "best.keras")
            raise KeyboardInterrupt
        save(self, model, network, history, **options)

    monkeypatch.setattr(RunDirectory, "save_checkpoint", die)
    with pytest.raises(KeyboardInterrupt):
        training.fine_tune(lenet(), small_digits, BRIEF, run_dir=tmp_path / "run", verbose=False)
    monkeypatch.setattr(RunDirectory, "save_checkpoint", save)
    again = training.fine_tune(lenet(), small_digits, BRIEF, run_dir=tmp_path / "run", resume=True, verbose=False)
    assert_equal(again.model, whole.model)


@pytest.mark.parametrize("mode", modes("gradual"))
def test_run_directory_has_the_whole_run_and_an_uncompiled_model(small_digits, tmp_path, mode):
    run = tmp_path / "run"
    model = narrow_resnet()
    model.get_layer("stage3_block2").trainable = False  # somebody's own choice, which stays
    given = [(layer.name, layer.trainable) for layer in model._flatten_layers() if layer.weights]
    recipe = BRIEF.changed(mode=mode, unfreeze_from="stage3")
    result = training.fine_tune(model, small_digits, recipe, run_dir=run, verbose=False)
    assert json.loads((run / "metrics.json").read_text()) == result.metrics
    assert (run / "log.csv").read_text().count("\n") == 1 + len(result.history)
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert training.FineTuneRecipe.load(run / "recipe.yaml") == recipe
    assert sum(phase["epochs"] for phase in result.metrics["phases"]) == len(result.history)
    losses = [epoch["val_loss"] for epoch in result.history]
    assert result.metrics["best_epoch"] == int(np.argmin(losses)) + 1
    assert training.evaluate(model, small_digits.validation).loss == pytest.approx(min(losses), rel=1e-4)
    best = zoo.load_model(run / "best.keras")
    assert_equal(best, model)
    assert not best.compiled
    for tuned in (model, best):
        assert [(layer.name, layer.trainable) for layer in tuned._flatten_layers() if layer.weights] == given
        norms = [layer for layer in tuned._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
        assert {norm.momentum for norm in norms} == {0.9}
    assert not [path for path in run.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("mode", modes("fine_tune"))
def test_resuming_a_finished_run_returns_its_result(small_digits, tmp_path, mode):
    recipe = BRIEF.changed(mode=mode, epochs=3)
    first = training.fine_tune(lenet(), small_digits, recipe, run_dir=tmp_path, verbose=False)
    with pytest.raises(zoo.InputError, match="is not empty; resume the run"):
        training.fine_tune(lenet(), small_digits, recipe, run_dir=tmp_path, verbose=False)
    again = training.fine_tune(lenet(), small_digits, recipe, run_dir=tmp_path, resume=True, verbose=False)
    assert again.history == first.history
    assert again.metrics == first.metrics
    assert_equal(again.model, first.model)


def test_resume_from_different_pretrained_weights_is_rejected(small_digits, tmp_path):
    recipe = BRIEF.changed(mode="feature_extraction")
    training.fine_tune(lenet(), small_digits, recipe, run_dir=tmp_path, verbose=False)
    other = lenet()
    other.get_layer("dense1").kernel.assign_add(other.get_layer("dense1").kernel)
    with pytest.raises(zoo.InputError, match="belongs to another run: the model's weights are different"):
        training.fine_tune(other, small_digits, recipe, run_dir=tmp_path, resume=True, verbose=False)


@pytest.mark.parametrize(
    ("mode", "fields"),
    [
        ("fine_tune", ["epochs"]),
        pytest.param("feature_extraction", ["head_epochs"], marks=pytest.mark.every_card),
    ],
)
def test_run_can_be_extended_to_more_epochs(small_digits, tmp_path, mode, fields):
    shorter = BRIEF.changed(mode=mode, epochs=1, head_epochs=1)
    longer = shorter.changed(**dict.fromkeys(fields, 2))
    training.fine_tune(lenet(), small_digits, shorter, run_dir=tmp_path, verbose=False)
    result = training.fine_tune(lenet(), small_digits, longer, run_dir=tmp_path, extend=True, verbose=False)
    assert [phase["epochs"] for phase in result.metrics["phases"]] == ([1, 2] if mode == "fine_tune" else [2])
    with pytest.raises(zoo.InputError, match="extend: mode 'gradual' has no last phase"):
        training.fine_tune(lenet(), small_digits, longer.changed(mode="gradual"), run_dir=tmp_path, extend=True)
