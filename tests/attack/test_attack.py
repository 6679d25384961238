"""A sample of `benchmarks/attack.py`: kills, damaged files, full disks and bad command lines."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

HARNESS = Path(__file__).parents[2] / "benchmarks" / "attack.py"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Results of the sample; all parts in one process, which imports TensorFlow once."""
    folder = tmp_path_factory.mktemp("attack")
    done = subprocess.run([sys.executable, HARNESS, "--sample", "--folder", folder], capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def of(results, part):
    found = [result for result in results if result["case"].startswith(f"{part}-")]
    assert not [(result["case"], result["fault"]) for result in found if result["fault"]]
    return found


def test_killed_training_and_shards_end_as_without_a_kill(results):
    assert Counter(result["kind"] for result in of(results, "kills")) == {"train": 1, "shards": 1}


def test_damaged_files_are_refused_or_run_without_harm(results):
    found = of(results, "mutations")
    outcomes = Counter(result["outcome"] for result in found)
    assert outcomes["refused in words"] > 70
    assert outcomes["answered"] > 40
    answered = {result["kind"] for result in found if result["outcome"] == "answered"}
    assert answered >= {".keras", ".h5 model", "TFRecord shard", "unchanged files"}  # some of each are read to the end
    # Few changes leave a model that can run, and which these are depends on its bytes; all files run as they were.
    assert any(kind.startswith((".tflite", ".onnx")) for kind in answered)
    whole = {result["case"]: result["outcome"] for result in found if result["kind"] == "unchanged files"}
    assert set(whole.values()) == {"answered"}
    assert {".tflite", ".onnx"} <= {Path(name).suffix for name in whole}


def test_limits_on_files_end_in_words_and_lose_nothing(results):
    found = of(results, "disk")
    assert {result["kind"] for result in found} == {f"limit on files, {verb}" for verb in ("train", "shards")}
    assert {result["outcome"] for result in found} == {"refused in words, then completed"}


def test_bad_command_lines_are_refused_in_words(results):
    found = of(results, "commands")
    assert len({result["case"].partition("-")[2].partition("-")[2] for result in found}) > 10  # commands
    assert Counter(result["outcome"] for result in found)["refused in words"] > 40


@pytest.mark.every_card
def test_two_thousand_damaged_files_are_refused_or_answer_and_run_nothing(tmp_path):
    command = [sys.executable, HARNESS, "--only", "mutations", "--count", "2000", "--folder", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
