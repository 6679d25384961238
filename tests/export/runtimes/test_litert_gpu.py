import keras
import numpy as np
import pytest

from pocketzoo import export
from pocketzoo.export.conversion.artifact_files import write_artifacts
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.runtimes.litert_gpu import GpuError, run_on_gpu
from pocketzoo.export.sample_images import Samples
from pocketzoo.export.validation.checks.artifact_check import Subject
from pocketzoo.export.validation.checks.litert_gpu import REFUSED, validate_on_gpu
from pocketzoo.export.validation.reference import Reference

FP16 = FORMATS["tflite-fp16"]


def subject_of(model, folder, images):
    ((path, _),) = write_artifacts(ExportGraph.from_model(model), [FP16], None, folder)
    reference = Reference(Samples(images, None), "noise", model.predict(images, verbose=0))
    return Subject(path, FP16, export.load_artifact(path).metadata, reference)


def gates_of(check):
    return {gate.name: gate for gate in check.gates}


def test_float16_artifact_runs_wholly_on_the_gpu(manifest):
    record = next(record for record in manifest.artifacts if "mobile-gpu" in record.targets)
    check = next(check for check in record.checks if check.name == "LiteRT on the GPU")
    gates = gates_of(check)
    assert (gates[REFUSED].figure, gates[REFUSED].status) == (0, "passed")
    if check.skipped:
        pytest.skip(check.skipped)
    assert check.status == "passed"
    assert gates["fully accelerated"].figure == 1
    assert 0 < gates["relative difference"].figure <= 0.02
    assert check.facts["device"] != "unknown"


def test_operator_that_the_gpu_delegate_refuses_is_named(tmp_path, pixels):
    """Keras' nearest-neighbor upsampling becomes a tile of five axes."""
    image = keras.Input((8, 8, 3))
    halves = keras.layers.UpSampling2D(2, name="enlarge")(keras.layers.Conv2D(4, 3, strides=2)(image))
    answer = keras.layers.Dense(2, activation="softmax")(keras.layers.GlobalAveragePooling2D()(halves))
    check = validate_on_gpu(subject_of(keras.Model(image, answer), tmp_path, pixels(4, 8, 8, 3)))
    gate = gates_of(check)[REFUSED]
    assert check.status == "failed"
    assert gate.figure >= 1
    assert "axes, 4 at most" in gate.reason
    if not check.skipped:
        assert "TILE: Tensor dimensions must be less than 5" in gates_of(check)["fully accelerated"].reason


def test_without_a_gpu_the_operator_list_is_still_checked(trained, tmp_path, pixels, monkeypatch):
    monkeypatch.setattr("pocketzoo.export.runtimes.litert_gpu.SWIFTSHADER", ())
    for name in ("VK_ICD_FILENAMES", "VK_DRIVER_FILES"):  # so that Vulkan finds no real one either
        monkeypatch.setenv(name, str(tmp_path / "none.json"))
    check = validate_on_gpu(subject_of(trained, tmp_path, pixels(4, 32, 32, 1)))
    assert check.status == "skipped"
    assert "apt install chromium" in check.skipped
    assert list(gates_of(check)) == [REFUSED]


def test_model_that_crashes_the_subprocess_raises(tmp_path, pixels):
    (tmp_path / "broken.tflite").write_bytes(b"    TFL3" + bytes(100))
    with pytest.raises(GpuError, match="Failed to build flatbuffer model"):
        run_on_gpu(tmp_path / "broken.tflite", pixels(2, 8, 8, 3))


def test_driver_that_hangs_is_stopped(tmp_path, pixels, monkeypatch):
    monkeypatch.setattr("pocketzoo.export.runtimes.litert_gpu.MAX_SECONDS", 0.01)
    with pytest.raises(GpuError, match=r"it did not finish within 0\.01 s"):
        run_on_gpu(tmp_path / "net.tflite", pixels(2, 8, 8, 3))


def test_nothing_is_imported_from_the_current_folder(tmp_path, pixels, monkeypatch):
    (tmp_path / "numpy.py").write_text("open('harm', 'w')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GpuError):
        run_on_gpu(tmp_path / "none.tflite", pixels(2, 8, 8, 3))
    assert not (tmp_path / "harm").exists()


def test_selected_images_keep_their_labels_and_outputs(pixels):
    images, labels, outputs = pixels(5, 2, 2, 1), np.arange(5), np.eye(5, dtype="float32")
    few = Reference(Samples(images, labels), "evaluation images", outputs).first(3)
    assert np.array_equal(few.samples.images, images[:3])
    assert (np.asarray(few.samples.labels).tolist(), np.asarray(few.outputs).tolist()) == (
        [0, 1, 2],
        outputs[:3].tolist(),
    )
    assert few.score.accuracy == 1
