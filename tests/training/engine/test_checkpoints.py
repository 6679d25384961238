import json
import os
import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest
from support.small_net import small_net

from pocketzoo import training, zoo
from pocketzoo.training.data.images import ArrayImages
from pocketzoo.training.engine.callbacks.run_recorder import RunRecorder
from pocketzoo.training.engine.run_directory import RunDirectory

SETTINGS = {"of": "a test"}


class StoppedHereError(Exception):
    pass


@pytest.fixture
def stop_at(monkeypatch):
    """Makes training raise after a batch of an epoch, both counted from 1."""

    def stop(epoch: int, step: int) -> None:
        keep = RunRecorder.on_train_batch_end

        def on_train_batch_end(self, batch, logs=None):
            keep(self, batch, logs)
            if (len(self._history) + 1, self._done_before + batch + 1) == (epoch, step):
                monkeypatch.setattr(RunRecorder, "on_train_batch_end", keep)
                raise StoppedHereError

        monkeypatch.setattr(RunRecorder, "on_train_batch_end", on_train_batch_end)

    return stop


def net() -> keras.Model:
    keras.utils.set_random_seed(0)
    return small_net()


@pytest.mark.parametrize(
    "fields",
    [
        {"schedule": {"name": "plateau", "patience": 1, "warmup_epochs": 0}, "precision": "mixed_float16"},
        {"steps_per_execution": 4, "xla": True, "optimizer": "nesterov", "augmentation": ["flip", "mixup"]},
    ],
)
def test_run_interrupted_within_an_epoch_resumes_to_the_same_result(small_digits, tmp_path, stop_at, fields):
    recipe = training.Recipe(epochs=3, batch_size=10, checkpoint_steps=4, **fields)  # 12 steps an epoch
    whole = training.fit(net(), small_digits, recipe, verbose=False)
    stop_at(2, 12)
    with pytest.raises(StoppedHereError):
        training.fit(net(), small_digits, recipe, run_dir=tmp_path, verbose=False)
    assert RunDirectory(tmp_path).last_checkpoint().name == "checkpoint-00001-0000008"
    resumed = training.fit(net(), small_digits, recipe, run_dir=tmp_path, resume=True, verbose=False)
    assert resumed.history == whole.history
    assert resumed.metrics == whole.metrics
    for first, second in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


BRIEF = training.Recipe(epochs=2, batch_size=40)


@pytest.fixture(scope="module")
def finished(small_digits, tmp_path_factory):
    run = tmp_path_factory.mktemp("finished") / "run"
    training.fit(net(), small_digits, BRIEF, run_dir=run, verbose=False)
    return run


def truncate(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip_bit(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def lost(file):
    file.unlink()


def made_a_pipe(file):
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize("damage", [truncate, flip_bit, lost, made_a_pipe])
@pytest.mark.parametrize(
    "name", ["best.keras", "state.weights.h5", "seeds.npz", "metrics.npz", "history.json", "checksums.json"]
)
def test_damaged_checkpoint_is_replaced_by_the_previous_one(finished, tmp_path, name, damage):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    damage(run / "checkpoint-00002" / name)
    with pytest.warns(UserWarning, match=r"checkpoint-00002 was damaged; the run continues from .*checkpoint-00001"):
        opened = reopened(run)
    assert len(opened.history()) == 1
    assert [path.name for path in run.glob("checkpoint-*")] == ["checkpoint-00001"]


def test_checksums_of_files_elsewhere_are_not_computed(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    (run / "checkpoint-00002" / "checksums.json").write_text('{"/dev/zero": ""}')
    with pytest.warns(UserWarning, match="checkpoint-00002 was damaged"):
        reopened(run)


def test_copies_of_checkpoints_are_neither_continued_nor_removed(small_digits, finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    for name in ("checkpoint-best", "checkpoint-99999-copy"):
        shutil.copytree(run / "checkpoint-00001", run / name)
        truncate(run / name / "state.weights.h5")
    assert reopened(run).last_checkpoint().name == "checkpoint-00002"
    training.fit(net(), small_digits, BRIEF.changed(epochs=3), run_dir=run, extend=True, verbose=False)
    names = {path.name for path in run.glob("checkpoint-*")}
    assert names == {"checkpoint-best", "checkpoint-99999-copy", "checkpoint-00002", "checkpoint-00003"}


def reopened(run) -> RunDirectory:
    """As `fit` opens it."""
    settings = json.loads((run / "pocketzoo-run.json").read_text())
    return RunDirectory.open(run, BRIEF, settings, resume=True, overwrite=False)


def test_resume_without_a_run_warns_that_a_new_one_begins(tmp_path):
    with pytest.warns(UserWarning, match="run has no run to resume; a new one begins"):
        RunDirectory.open(tmp_path / "run", BRIEF, {}, resume=True, overwrite=False)


def test_run_resumed_from_the_previous_checkpoint_ends_with_the_same_weights(small_digits, finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    for file in (run / "checkpoint-00002").iterdir():
        truncate(file)
    with pytest.warns(UserWarning, match="was damaged"):
        again = training.fit(net(), small_digits, BRIEF, run_dir=run, resume=True, verbose=False)
    first = zoo.load_model(finished / "best.keras")
    for before, after in zip(first.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_run_without_an_intact_checkpoint_is_an_error_and_removes_nothing(small_digits, finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    for file in run.glob("checkpoint-*/state.weights.h5"):
        truncate(file)
    before = sorted(run.rglob("*"))
    with pytest.raises(zoo.InputError, match=r"checkpoint-00002 cannot be read: .*overwrite the run"):
        training.fit(net(), small_digits, BRIEF, run_dir=run, resume=True, verbose=False)
    assert sorted(run.rglob("*")) == before


def test_run_directory_of_another_process_is_refused(small_digits, tmp_path):
    with (
        RunDirectory(tmp_path / "run").lock(),
        pytest.raises(zoo.InputError, match=r"run directory .*run is in use by another process"),
    ):
        training.fit(net(), small_digits, BRIEF, run_dir=tmp_path / "run", verbose=False)
    assert list((tmp_path / "run").iterdir()) == []


def test_last_two_checkpoints_are_kept(finished):
    names = sorted(path.name for path in finished.glob("checkpoint-*"))
    assert names == ["checkpoint-00001", "checkpoint-00002"]


def test_resume_with_another_recipe_names_the_fields_that_differ(tmp_path):
    run = tmp_path / "run"
    recipe = training.Recipe(optimizer={"name": "nesterov", "lr": 0.1}, epochs=5)
    RunDirectory.open(run, recipe, SETTINGS, resume=False, overwrite=False)
    other = recipe.changed(optimizer={"lr": 0.2}, epochs=6, augmentation=["flip"])
    with pytest.raises(zoo.InputError) as error:
        RunDirectory.open(run, other, SETTINGS, resume=True, overwrite=False)
    message = str(error.value)
    for fact in ("optimizer.lr was 0.1, is 0.2", "epochs was 5, is 6", "augmentation was 'light', is [{'name': 'flip'"):
        assert fact in message
    assert message.count(" was ") == 3
    with pytest.raises(zoo.InputError, match=r"optimizer.name was 'nesterov', is 'adam';.*optimizer.momentum was 0.9"):
        RunDirectory.open(run, recipe.changed(optimizer="adam"), SETTINGS, resume=True, overwrite=False)


def test_full_disk_within_an_epoch_names_the_step_and_the_last_good_checkpoint(small_digits, tmp_path, monkeypatch):
    recipe = training.Recipe(epochs=2, batch_size=10, checkpoint_steps=5)
    save = RunDirectory.save_checkpoint

    def full(self, model, network, history, **options):
        if len(history) and history.step:
            raise OSError(28, "No space left on device")
        save(self, model, network, history, **options)

    monkeypatch.setattr(RunDirectory, "save_checkpoint", full)
    message = r"step 5 of epoch 2 cannot be saved in .*: No space left on device. Last good checkpoint: .*-00001\."
    with pytest.raises(zoo.InputError, match=message):
        training.fit(net(), small_digits, recipe, run_dir=tmp_path / "run", verbose=False)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"batch_size": 121}, "batch_size is 121, but digits has 120 images to train on"),
        ({"folds": 3}, "folds is 3, but this trains a single model; training.cross_validate and"),
        ({"tensorboard": True}, "tensorboard requires run_dir"),
    ],
)
def test_incompatible_recipe_is_rejected_before_training(small_digits, recipe, message):
    with pytest.raises(zoo.InputError, match=message):
        training.fit(net(), small_digits, training.Recipe(**recipe), verbose=False)


def test_class_without_training_images_is_named(small_digits):
    images, labels = small_digits.train.arrays()
    keep = np.flatnonzero(labels != 3)
    data = replace(small_digits, train=training.ImageSplit(ArrayImages(images[keep]), labels[keep]))
    with pytest.raises(zoo.InputError, match="digits: class '3' has images in validation but none in train"):
        training.fit(net(), data, BRIEF, verbose=False)
