import time
from collections import Counter
from pathlib import Path
from threading import Event

import pytest

from pocketzoo import export, zoo
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.validation import runner
from pocketzoo.export.validation.checks.artifact_check import Subject
from pocketzoo.export.validation.checks.check_registry import CHECKS
from pocketzoo.export.validation.runner import ConvertedArtifact


@pytest.fixture(scope="module")
def steps_and_manifest(trained_file, digits, tmp_path_factory):
    steps = []
    folder = tmp_path_factory.mktemp("bundle") / "phone"
    how = {"targets": ["mobile-cpu"], "calibration": digits.train, "evaluation": digits.test, "progress": steps.append}
    return steps, export.export_model(zoo.load_model(trained_file), folder, **how)


def test_timed_checks_run_after_all_conversions(steps_and_manifest):
    steps, _ = steps_and_manifest
    made = [step.startswith("Converting") for step in steps]
    assert made == sorted(made, reverse=True)
    names = [step.rpartition(": ")[2] for step in steps]
    timed = [name in CHECKS and CHECKS[name].timed for name in names]
    assert Counter(name for name in names if name in CHECKS and CHECKS[name].timed) == {"litert": 4, "mediapipe": 4}
    assert timed == sorted(timed)


def test_own_runtime_comes_first_and_is_timed_alone(steps_and_manifest):
    _, manifest = steps_and_manifest
    for record in manifest.artifacts:
        timed, untimed = record.checks[:2]
        assert (timed.name, untimed.name) == ("LiteRT", "LiteRT without XNNPACK")
        assert timed.median_ms > 0
        assert untimed.median_ms is None
        assert untimed.gates


def test_pending_checks_are_dropped_where_a_conversion_fails(monkeypatch):
    asked, failed = [], Event()

    def run_check(name, subject):
        asked.append(subject.path.name)
        failed.wait(10)
        time.sleep(0.5)  # so that the others can be dropped

    def artifacts():
        try:
            for name in ("one", "two", "three"):
                yield ConvertedArtifact(Subject(Path(name), FORMATS["tflite-fp32"], None, None), None, None, {}, {})
            raise RuntimeError("no fourth")
        finally:
            failed.set()

    monkeypatch.setattr(runner, "run_check", run_check)
    with pytest.raises(RuntimeError, match="no fourth"):
        runner.run_checks(artifacts(), ["mobile-cpu"], print)
    assert asked == ["one"]
