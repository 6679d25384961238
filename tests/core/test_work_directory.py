"""One protocol for the directories of runs: free, another job's, resumable, or in use by another process."""

import errno
import subprocess
import sys

import pytest

from pocketzoo.core.errors import InputError, WriteError
from pocketzoo.core.work_directory import LOCK, WorkDirectory, lend_directory

pytestmark = pytest.mark.fast

SETTINGS = {"recipe": {"epochs": 3, "layers": [1, 2]}, "images": "a1b2"}


@pytest.fixture
def directory(tmp_path) -> WorkDirectory:
    return WorkDirectory(
        tmp_path / "run", "run", "settings.json", ("step*", "best.keras"), {"images": "the images are different"}
    )


def start(directory: WorkDirectory, settings=SETTINGS, *, resume=False, overwrite=False, restart=False) -> None:
    directory.open(settings, resume=resume, overwrite=overwrite, restart=restart)


def names(directory: WorkDirectory) -> list[str]:
    return sorted(entry.name for entry in directory.path.iterdir())


def test_free_directory_gets_the_settings(directory):
    assert not directory.exists
    assert directory.settings() == {}
    start(directory)
    assert directory.exists
    assert directory.settings() == SETTINGS
    assert names(directory) == ["settings.json"]


def test_job_is_resumed_with_the_same_settings_only(directory):
    start(directory)
    directory.write("step1", "result")
    start(directory, resume=True)
    assert names(directory) == ["settings.json", "step1"]
    with pytest.raises(InputError, match=r"run is not empty; resume the run, overwrite it, or name another directory"):
        start(directory)
    other = {"recipe": {"epochs": 4, "layers": (1, 2)}, "images": "c3d4"}
    with pytest.raises(InputError) as error:
        start(directory, other, resume=True)
    assert str(error.value) == (f"run directory {directory.path} belongs to another run: recipe.epochs was 3, is 4.")
    with pytest.raises(InputError, match="belongs to another run: the images are different"):
        start(directory, SETTINGS | {"images": "c3d4"}, resume=True)
    assert directory.settings() == SETTINGS


def test_long_value_that_differs_is_shortened(directory):
    start(directory, {"plan": list(range(1000))})
    with pytest.raises(InputError, match=r"plan was \[0, 1, .*\.\.\., is 'none'\.$") as error:
        start(directory, {"plan": "none"}, resume=True)
    assert len(str(error.value)) < 400


def test_overwriting_removes_own_files_only(directory):
    start(directory)
    for name in ("step1", "best.keras", "notes.txt"):
        directory.write(name, "")
    (directory.path / "step2").mkdir()
    (directory.path / "step2" / "weights").write_text("")
    with pytest.raises(InputError, match="is not empty"):  # with the notes it is not the job's alone
        start(directory, {"epochs": 4}, overwrite=True)
    assert names(directory) == ["notes.txt"]
    (directory.path / "notes.txt").unlink()
    start(directory, {"epochs": 4}, overwrite=True)
    assert directory.settings() == {"epochs": 4}


def test_directory_of_something_else_is_never_touched(directory):
    directory.path.mkdir()
    for name in ("thesis.txt", "best.keras", ".pocketzoo-of-another-process"):
        (directory.path / name).write_text("precious")
    for options in ({}, {"resume": True}, {"overwrite": True}, {"restart": True}):
        with pytest.raises(InputError, match="is not empty"):
            start(directory, **options)
    directory.remove()
    assert names(directory) == [".pocketzoo-of-another-process", "best.keras", "thesis.txt"]


def test_job_without_results_can_be_replaced(directory):
    start(directory)
    start(directory, {"epochs": 4}, restart=True)
    assert directory.settings() == {"epochs": 4}
    with pytest.raises(InputError, match="epochs was 4, is 5"):
        start(directory, {"epochs": 5}, resume=True, restart=True)


def test_what_a_killed_process_was_writing_is_removed_on_resuming(directory):
    directory.path.mkdir()
    (directory.path / ".pocketzoo-first").write_text("half")  # killed before its settings were complete
    start(directory)
    assert names(directory) == ["settings.json"]
    (directory.path / ".pocketzoo-folder").mkdir()
    start(directory, resume=True)
    assert names(directory) == ["settings.json"]


def test_removing_keeps_the_directory_where_there_is_something_else(directory):
    start(directory)
    directory.write("notes.txt", "")
    directory.remove()
    assert names(directory) == ["notes.txt"]
    (directory.path / "notes.txt").unlink()
    start(directory)
    directory.remove()
    assert not directory.path.exists()


def test_damaged_settings_are_named(directory):
    start(directory)
    directory.write("settings.json", "{")
    with pytest.raises(InputError, match=r"settings\.json cannot be read: Expecting property name"):
        start(directory, resume=True)


def test_directory_that_cannot_be_written_is_named(directory):
    directory.path.parent.joinpath("run").write_text("")
    for attempt in (lambda: start(directory), lambda: directory.lock().__enter__()):
        with pytest.raises(InputError, match=r"run directory .*run cannot be written: File exists"):
            attempt()


def test_locked_directory_is_refused_to_others(directory):
    with directory.lock():
        start(directory)
        start(directory, resume=True)  # which removes unfinished files, but not the lock
        assert names(directory) == [LOCK, "settings.json"]
        with pytest.raises(InputError, match="run is in use by another process"), directory.lock():
            pass
    assert names(directory) == ["settings.json"]
    with directory.lock():
        pass


def test_lock_of_a_killed_process_is_free(directory):
    script = """
import os, signal, sys
from pathlib import Path
from pocketzoo.core.work_directory import WorkDirectory
with WorkDirectory(Path(sys.argv[1]), "run", "settings.json", ()).lock():
    print("locked", flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, directory.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"locked\n"
        with pytest.raises(InputError, match="in use by another process"), directory.lock():
            pass
        process.kill()
    assert names(directory) == [LOCK]
    with directory.lock():
        start(directory)
    assert names(directory) == ["settings.json"]


def test_lent_directory_is_open_to_the_jobs_of_its_block_alone(directory):
    with lend_directory(directory.path):
        for _ in range(2):
            with directory.lock():
                start(directory, restart=True)
        script = "from pathlib import Path; from pocketzoo.core.work_directory import *; import sys\n"
        script += "with WorkDirectory(Path(sys.argv[1]), 'run', 's', ()).lock(): pass"
        other = subprocess.run(
            [sys.executable, "-c", script, str(directory.path)], capture_output=True, text=True, check=False
        )
        assert "in use by another process: process" in other.stderr
    assert names(directory) == ["settings.json"]
    with directory.lock(), pytest.raises(InputError, match="in use by"), lend_directory(directory.path):
        pass


def test_lent_directory_that_stays_empty_is_not_left(directory):
    with lend_directory(directory.path):
        assert directory.path.is_dir()
    assert not directory.path.exists()
    directory.path.mkdir()
    with lend_directory(directory.path):
        pass
    assert directory.path.is_dir()


def test_lender_says_how_its_jobs_go_on(directory):
    def fail(path) -> None:
        with WorkDirectory(path, "run", "settings.json", ()).lock():
            raise WriteError("best.keras cannot be written: full.", errno.ENOSPC)

    message = r"^best\.keras cannot be written: full\. When there is room again, start over\.$"
    with pytest.raises(WriteError, match=message), lend_directory(directory.path, remedy="start over"):
        fail(directory.path / "job")
    with pytest.raises(WriteError, match="--resume"):
        fail(directory.path)


def test_job_in_use_is_not_removed(directory):
    start(directory)
    with directory.lock(), pytest.raises(InputError, match="in use by another process"):
        directory.remove()
    assert names(directory) == ["settings.json"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            WriteError("best.keras cannot be written: full.", errno.ENOSPC),
            r"^best.keras cannot be written: full\. When",
        ),
        (
            OSError(errno.EDQUOT, "full", "mine.csv"),
            r"^mine\.csv cannot be written: Disk quota exceeded\. When there is",
        ),
        (
            OSError(errno.EFBIG, "full"),
            r"^run directory .* cannot be written: File too large\. When there is room again",
        ),
        (
            OSError(errno.EROFS, "full"),
            r"^run directory .* cannot be written: Read-only .*\. When it can be written again",
        ),
    ],
)
def test_job_that_cannot_be_written_tells_once_how_it_continues(directory, error, message):
    inner = WorkDirectory(directory.path / "stage", "run", "settings.json", ())
    with pytest.raises(InputError, match=message) as raised, directory.lock(), inner.lock():
        raise error
    assert str(raised.value).count("continue with --resume (resume=True); what was saved before is intact.") == 1


def test_other_errors_of_a_job_stay_as_they_are(directory):
    with pytest.raises(FileNotFoundError), directory.lock():
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "photo.png")
