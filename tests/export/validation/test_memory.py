"""Validation keeps neither images nor outputs in memory."""

import subprocess
import sys
import tracemalloc
from pathlib import Path

import keras
import numpy as np
import pytest

from pocketzoo.export.artifact.artifact import Artifact
from pocketzoo.export.artifact.tensors import TensorInfo
from pocketzoo.export.conversion.export_graph import model_metadata
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.large_arrays import RowView, store_rows
from pocketzoo.export.sample_images import evaluation_samples
from pocketzoo.export.validation import keras_reference, reference
from pocketzoo.export.validation.comparison import compare_artifact
from pocketzoo.export.validation.keras_reference import KerasReference
from pocketzoo.layers import SegmentationHead
from pocketzoo.training import ImageSplit

COUNT, SIDE, CLASSES = 120, 64, 32
OUTPUT_BYTES = COUNT * SIDE**2 * CLASSES * 4


class LazyImages:
    """Images that are computed when they are read."""

    shape = (SIDE, SIDE, 3)

    def __len__(self) -> int:
        return COUNT

    def take(self, rows: np.ndarray) -> np.ndarray:
        return np.stack([np.random.default_rng(row).integers(0, 256, self.shape).astype("uint8") for row in rows])


class LazyMasks:
    """Masks that are computed when they are read."""

    shape = (COUNT, SIDE, SIDE)

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return np.stack([np.random.default_rng(row).integers(0, CLASSES, self.shape[1:], "int32") for row in rows])


def test_segmentation_is_validated_in_a_fraction_of_the_memory_of_its_outputs(monkeypatch):
    """A fifth here; a 512x512 U-Net with 21 classes has 22 GB of outputs for 1,000 images."""
    monkeypatch.setattr(keras_reference, "MAX_CHUNK_BYTES", 2**21)
    monkeypatch.setattr(reference, "BATCH_BYTES", 2**20)
    image = keras.Input((SIDE, SIDE, 3))
    model = keras.Model(image, SegmentationHead(CLASSES)(keras.layers.Rescaling(1 / 255)(image)))
    metadata = model_metadata(model)
    run = model.predict_on_batch
    artifact = Artifact(
        path=Path("net.tflite"),
        input=TensorInfo("image", (1, SIDE, SIDE, 3), "float32"),
        output=TensorInfo("mask", (1, SIDE, SIDE, CLASSES), "float32"),
        metadata=metadata,
        invoke=lambda pixels: np.asarray(run(pixels)) * np.float32(1 + 1e-6),
    )
    tracemalloc.start()
    try:
        samples = evaluation_samples(ImageSplit(LazyImages(), LazyMasks(), "made up, test"), metadata)
        expected = KerasReference(model).evaluate(metadata, samples, None)
        check = compare_artifact(artifact, expected.mixed()).check("made up", "1", FORMATS["tflite-fp32"])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(expected) == COUNT
    assert expected.score.figures["mean IoU"] == pytest.approx(check.facts["mean IoU"])
    assert check.status == "passed"
    assert peak < OUTPUT_BYTES / 5


def test_stored_rows_are_those_that_were_written():
    batches = [np.arange(6, dtype="int32").reshape(2, 3), np.arange(6, 9, dtype="int32").reshape(1, 3)]
    stored = store_rows(batches)
    assert np.array_equal(stored, np.arange(9).reshape(3, 3))
    view = RowView(stored, np.array([2, 0]))
    assert (view.shape, view.dtype, len(view)) == ((2, 3), "int32", 2)
    assert np.array_equal(view, [[6, 7, 8], [0, 1, 2]])
    assert [row.tolist() for row in view] == [[6, 7, 8], [0, 1, 2]]


@pytest.mark.parametrize("columns", [3, 10_000], ids=["within a buffer", "beyond a buffer"])
def test_full_disk_is_an_input_error_whatever_the_size_of_a_row(columns):
    check = f"""
import resource, signal
import numpy as np
from pocketzoo import zoo
from pocketzoo.export.large_arrays import store_rows
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    store_rows(np.ones((1, {columns}), "float32") for _ in range(10_000))
except zoo.InputError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert "cannot hold temporary files: File too large" in done.stdout
