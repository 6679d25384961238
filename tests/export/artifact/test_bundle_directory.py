"""The directory of a bundle is complete or absent, and other files are never touched."""

import os
import subprocess
import sys

import pytest

from pocketzoo import export, zoo
from pocketzoo.export.artifact.bundle_directory import finished_directory

EXPORT_WITH_LITTLE_ROOM = """
import resource, sys
from pocketzoo import export, zoo
model = zoo.load_model(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    export.export_model(model, sys.argv[2], targets=["mobile"])
except zoo.InputError as error:
    print(error)
"""


def test_directory_that_is_not_empty_needs_overwrite(trained, tmp_path):
    out = tmp_path / "out"
    first = export.export_model(trained, out, targets=["gpu"])
    with pytest.raises(zoo.InputError, match="out is not empty; overwrite it or name another directory"):
        export.export_model(trained, out, targets=["mobile"])
    assert export.Manifest.load(out / "manifest.json") == first
    export.export_model(trained, out, targets=["mobile"], overwrite=True)
    assert not (out / "lenet5-fp32.onnx").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_current_directory_can_be_the_bundle(trained, tmp_path, monkeypatch):
    out = tmp_path / "out"
    out.mkdir()
    monkeypatch.chdir(out)
    export.export_model(trained, ".", targets=["gpu"])
    export.export_model(trained, out, targets=["mobile"], overwrite=True)
    assert export.Manifest.load(out / "manifest.json").targets == ("mobile-cpu", "mobile-gpu")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_directory_that_is_not_a_bundle_is_never_overwritten(trained, tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(zoo.InputError, match="it is no bundle, so it is not overwritten"):
        export.export_model(trained, tmp_path, overwrite=True)
    (tmp_path / "manifest.json").write_text('{"name": "a browser extension"}')
    with pytest.raises(zoo.InputError, match="it is no bundle, so it is not overwritten"):
        export.export_model(trained, tmp_path, overwrite=True)
    (tmp_path / "out.failed").mkdir()
    with pytest.raises(zoo.InputError, match=r"out\.failed is not a bundle"):
        export.export_model(trained, tmp_path / "out")
    (tmp_path / "file").write_text("")
    for out, message in (("file", "is a file"), ("file/out", "cannot be written: File exists")):
        with pytest.raises(zoo.InputError, match=message):
            export.export_model(trained, tmp_path / out)
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_directory_of_another_running_export_is_refused(trained, digits, tmp_path):
    with finished_directory(tmp_path / "out", overwrite=False) as folder:
        (folder / "file").write_text("")
        with pytest.raises(zoo.InputError, match="out is being written by another export"):
            export.export_model(trained, tmp_path / "out", targets=["int16x8"], calibration=digits.train)
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "file"]


def test_failed_converter_leaves_its_output(trained, tmp_path, monkeypatch):
    def failing(self):
        os.write(2, b"loc(fused): 'tfl.conv_2d' op is beyond me\n")
        raise RuntimeError("Could not translate MLIR to FlatBuffer.")

    monkeypatch.setattr("tensorflow.lite.TFLiteConverter.convert", failing)
    message = r"lenet5 as tflite-fp32 could not be made: the converter reports 'Could .* is in .*out\.failed\.log"
    with pytest.raises(export.ConversionError, match=message):
        export.export_model(trained, tmp_path / "out", targets=["mobile"])
    assert [path.name for path in tmp_path.iterdir()] == ["out.failed.log"]
    log = (tmp_path / "out.failed.log").read_text()
    assert "op is beyond me" in log
    assert "tflite_files" in log
    monkeypatch.undo()
    export.export_model(trained, tmp_path / "out", targets=["mobile-gpu"])  # a later success removes it
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_full_disk_leaves_nothing_behind(trained_file, tmp_path):
    """A limit on file sizes simulates a full disk: the same error from the same call."""
    out = tmp_path / "out"
    command = [sys.executable, "-c", EXPORT_WITH_LITTLE_ROOM, str(trained_file), str(out)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | {"TMPDIR": "/tmp"})
    assert "out cannot be written: File too large" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_next_export_removes_what_a_killed_one_left_and_not_what_is_in_use(tmp_path):
    killed = tmp_path / ".pocketzoo-0123456789abcdef"
    killed.mkdir()
    (killed / "half.tflite").write_text("")
    (tmp_path / ".pocketzoo-killed.lock").write_text("{}")
    replaced = tmp_path / ".pocketzoo-replaced.old"
    replaced.mkdir()
    (replaced / "manifest.json").write_text("")
    with finished_directory(tmp_path / "first", overwrite=False) as first:
        assert not any(entry.exists() for entry in (killed, replaced, tmp_path / ".pocketzoo-killed.lock"))
        with finished_directory(tmp_path / "second", overwrite=False):
            assert first.is_dir()
            with pytest.raises(zoo.InputError, match=rf"being written by another export: process {os.getpid()} on "):
                finished_directory(tmp_path / "first", overwrite=True).__enter__()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "replaced", "second"]
