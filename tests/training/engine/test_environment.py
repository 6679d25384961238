import json
import platform
import subprocess
import sys

from pocketzoo import training
from pocketzoo.training.engine.environment import git_commit
from pocketzoo.training.engine.run_directory import RunDirectory


def test_every_start_of_a_run_records_its_environment(tmp_path):
    recipe = training.Recipe(seed=7)
    for resume in (False, True):
        RunDirectory.open(tmp_path / "run", recipe, {}, resume=resume, overwrite=False)
    starts = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert len(starts) == 2
    for start in starts:
        assert start["python"] == platform.python_version()
        assert start["keras"].startswith("3.")
        assert start["command"] == sys.argv
        assert start["seed"] == 7
        assert start["processor"]
    RunDirectory.open(tmp_path / "run", recipe, {}, resume=False, overwrite=True)
    assert len(json.loads((tmp_path / "run" / "environment.json").read_text())) == 1


def test_commit_is_that_of_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_commit() is None

    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
        return subprocess.run(["git", *identity, *arguments], check=True, capture_output=True, text=True).stdout.strip()

    git("init")
    (tmp_path / "train.py").write_text("1")
    git("add", "train.py")
    git("commit", "-m", "first")
    git("tag", "v1")
    assert git_commit() == git("rev-parse", "HEAD")
    (tmp_path / "train.py").write_text("2")
    assert git_commit() == git("rev-parse", "HEAD") + "-dirty"
