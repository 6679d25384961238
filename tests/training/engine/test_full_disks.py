"""A full disk, a quota or a limit stops a run with one sentence; nothing that was saved is lost, and it resumes."""

import csv
import resource
import subprocess
import sys

import keras
import numpy as np
import pytest
from support.small_net import small_net

from pocketzoo import training, zoo
from pocketzoo.training.engine.callbacks.tensorboard import TensorBoardLog
from pocketzoo.training.engine.history import History
from pocketzoo.training.engine.run_directory import RunDirectory

BRIEF = training.Recipe(epochs=2, batch_size=40)
UNLIMITED = resource.RLIM_INFINITY


def net() -> keras.Model:
    keras.utils.set_random_seed(0)
    return small_net()


@pytest.fixture
def limit_files():
    """Sets the size in bytes that no file of this process may exceed: the same errors out of the same calls as on a
    full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def contents(folder):
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_checkpoint_without_room_at_any_byte_leaves_the_last_good_one(tmp_path, limit_files):
    model, run = net(), RunDirectory(tmp_path)
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    run.save_checkpoint(model, model, History([]), is_best=True)
    before = contents(tmp_path)
    size = max(map(len, before.values()))
    for limit in [*range(0, size, size // 30), size - 1]:
        limit_files(limit)
        with pytest.raises(OSError, match="File too large"):
            run.save_checkpoint(model, model, History([], step=1), is_best=True)
        limit_files(UNLIMITED)
        assert contents(tmp_path) == before
        assert run.last_checkpoint() == tmp_path / "checkpoint-00000"
    limit_files(size)
    run.save_checkpoint(model, model, History([], step=1), is_best=True)
    run.restore(model)


def test_run_stopped_by_a_full_disk_resumes_to_the_same_result(small_digits, tmp_path, limit_files):
    def run(name, at_epoch=lambda epoch, logs: None, **options):
        callback = keras.callbacks.LambdaCallback(on_epoch_begin=at_epoch)
        options = {"run_dir": tmp_path / name, "callbacks": [callback], "verbose": False} | options
        return training.fit(net(), small_digits, BRIEF, **options)

    whole = run("whole")
    message = r"^epoch 2 .* too large\. Last good .*-00001\. When there is room again, continue with --resume \(resume"
    with pytest.raises(zoo.InputError, match=message):
        run("stopped", lambda epoch, logs: limit_files(3000 if epoch else UNLIMITED))
    limit_files(UNLIMITED)
    resumed = run("stopped", resume=True)
    assert resumed.history == whole.history
    for one, other in zip(resumed.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("name", "callback"),
    [
        ("last.weights.h5", lambda file: keras.callbacks.ModelCheckpoint(file, save_weights_only=True)),
        ("last.keras", keras.callbacks.ModelCheckpoint),
        ("log.csv", keras.callbacks.CSVLogger),
    ],
)
def test_callback_of_keras_without_room_is_an_input_error(small_digits, tmp_path, limit_files, name, callback):
    callback = callback(tmp_path / name)
    limit = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: limit_files(20))
    with pytest.raises(zoo.InputError, match=r" cannot be written: File too large\. When .*--resume"):
        training.fit(net(), small_digits, BRIEF, run_dir=tmp_path / "run", callbacks=[limit, callback], verbose=False)
    limit_files(UNLIMITED)
    assert not (tmp_path / name).exists() or len(list(csv.reader((tmp_path / name).open()))) < 2


def test_curves_without_room_are_an_input_error(tmp_path, limit_files):
    log = TensorBoardLog(tmp_path / "tensorboard", History([{"loss": 1.0, "val_loss": 2.0}] * 200))
    limit_files(1000)
    with pytest.raises(zoo.InputError, match=r"tensorboard cannot be written: File too large\.$"):
        log.on_train_begin()


def test_saved_files_without_room_are_input_errors_and_the_old_ones_stay(tmp_path, limit_files):
    model = net()
    for name, save in (("a.keras", zoo.save_model), ("a.safetensors", zoo.save_weights)):
        before = save(model, tmp_path / name).read_bytes()
        for limit in (0, len(before) // 2, len(before) - 1):
            limit_files(limit)
            with pytest.raises(zoo.InputError, match=rf"{name} cannot be written: File too large"):
                save(model, tmp_path / name)
            limit_files(UNLIMITED)
            assert (tmp_path / name).read_bytes() == before
    assert len(contents(tmp_path)) == 2


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a file system of 1.2 MB: room for one checkpoint of LeNet-5 and its best model."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1200k", "tmpfs", folder]
    try:
        subprocess.run(mount, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small disk cannot be mounted here: {getattr(error, 'stderr', error)}")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.every_card  # tests/attack has a sample of such commands
def test_command_on_a_full_disk_ends_with_one_sentence(small_disk):
    command = ["train", "lenet5", "--data", "digits", "--set", "epochs=1", "--set", "checkpoint_steps=2", "--run-dir"]
    run = [sys.executable, "-m", "pocketzoo", *command, small_disk / "run"]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if "Training" not in line and line.strip()]
    assert len(lines) == 1
    assert lines[0].startswith("Error: step 4 of epoch 1 cannot be saved in ")
    assert "No space left on device. Last good checkpoint: " in lines[0]
    assert "When there is room again, continue with --resume" in lines[0]
    assert RunDirectory(small_disk / "run").last_checkpoint().name == "checkpoint-00000-0000002"
    assert not list((small_disk / "run").glob(".pocketzoo-*"))
