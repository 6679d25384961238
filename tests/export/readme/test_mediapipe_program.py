"""The Python program for MediaPipe, run by MediaPipe in the environment of clients."""

import keras
import numpy as np
import pytest
from PIL import Image
from support.client_programs import rows

from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.conversion.tflite.tflite_files import to_tflite
from pocketzoo.export.loading import load_artifact
from pocketzoo.export.readme.programs import program
from pocketzoo.export.readme.runnable_files import RunnableFile, refusal
from pocketzoo.export.readme.snippet_table import SNIPPETS
from pocketzoo.export.runtimes.client_environment import client_python, run_client
from pocketzoo.export.sample_images import Samples
from pocketzoo.zoo.contract import state_contract
from pocketzoo.zoo.image_files import read_image

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(client_python("mediapipe") is None, reason="mediapipe is not installed"),
]
SIDE = 16
SNIPPET = SNIPPETS["python-mediapipe"]
CASES = {
    "classes": ("classification", 3, "tflite-uint8"),
    "two classes": ("classification", 1, "tflite-fp32"),
    "labels": ("multi_label", 3, "tflite-fp16"),
    "masks": ("segmentation", 3, "tflite-fp16"),
    "two kinds of pixels": ("segmentation", 1, "tflite-fp32"),
}
"""Task, outputs and format."""


def net(task, outputs, channels=3, **stated):
    keras.utils.set_random_seed(3)
    image = keras.Input((SIDE, SIDE, channels))
    x = keras.layers.Rescaling(1 / 127.5, -1.0)(image)
    x = x if task == "segmentation" else keras.layers.Flatten()(x)
    activation = "sigmoid" if outputs == 1 or task == "multi_label" else "softmax"
    x = keras.layers.Dense(outputs, activation)(x)
    model = keras.Model(image, x, name="net")
    state_contract(model, task=task, labels=["ant", "Käse", "cat"][: max(2, outputs)], pixels="0..255", **stated)
    return model


def written(model, kind, folder, *, rgb=False):
    graph = ExportGraph.from_model(model, rgb=rgb)
    images = np.random.default_rng(0).integers(0, 256, (4, *graph.metadata.image_shape), "uint8")
    (folder / "net.tflite").write_bytes(to_tflite(graph, kind, Samples(images, None)))
    return load_artifact(folder / "net.tflite")


def shown(artifact, folder, photo):
    file = RunnableFile.from_artifact(artifact)
    assert refusal(SNIPPET, file) is None
    (folder / "predict_mediapipe.py").write_text(program(SNIPPET, file), encoding="utf-8")
    done = run_client("mediapipe", folder / "predict_mediapipe.py", photo, folder=folder)
    assert done.returncode == 0, done.stderr
    return dict(rows(done.stdout))


@pytest.mark.parametrize("name", CASES)
def test_program_shows_what_the_file_predicts(name, tmp_path):
    """Of photos of another size, in color and in gray; of two classes it shows the second."""
    task, outputs, kind = CASES[name]
    artifact = written(net(task, outputs), kind, tmp_path)
    pixels = np.random.default_rng(1).integers(0, 256, (5, 7, 3), "uint8")
    photos = {"color.png": pixels, "gray.png": pixels[..., 0]} if name == "classes" else {"color.png": pixels}
    for photo, values in photos.items():
        Image.fromarray(values).save(tmp_path / photo)
        read = read_image(tmp_path / photo, height=SIDE, width=SIDE, channels=3)
        decoded = artifact.metadata.decode(artifact.run(read[None]))[0]
        if task == "segmentation":
            decoded = np.bincount(decoded.argmax(-1).ravel(), minlength=decoded.shape[-1]) / SIDE**2
        expected = dict(zip(artifact.metadata.labels, 100 * decoded, strict=True))
        printed = shown(artifact, tmp_path, photo)
        assert outputs > 1 or list(printed) == ["Käse"]
        assert printed == pytest.approx({label: expected[label] for label in printed}, abs=0.5)
        assert {label for label, figure in expected.items() if figure > 0} <= printed.keys() or outputs == 1


def test_gray_model_is_refused_and_runs_when_exported_for_rgb(tmp_path):
    model = net("classification", 3, channels=1)
    artifact = written(model, "tflite-fp32", tmp_path)
    assert "export it with rgb=True, or --rgb" in refusal(SNIPPET, RunnableFile.from_artifact(artifact))
    artifact = written(model, "tflite-fp32", tmp_path, rgb=True)
    pixels = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE), "uint8")
    Image.fromarray(pixels).save(tmp_path / "gray.png")
    expected = 100 * model(pixels[None, ..., None].astype("float32")).numpy()[0]
    assert shown(artifact, tmp_path, "gray.png") == pytest.approx(
        dict(zip(artifact.metadata.labels, expected, strict=True)), abs=0.01
    )
