"""Artifacts in MediaPipe itself, on the bytes of images, as apps run them."""

import re
import subprocess
from dataclasses import replace

import keras
import numpy as np
import pytest
from support.edge import net

from pocketzoo import export, zoo
from pocketzoo.core.errors import InputError
from pocketzoo.export.artifact.manifest import Manifest
from pocketzoo.export.artifact.tensors import to_range
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.conversion.rgb_to_gray import LUMA
from pocketzoo.export.conversion.tflite.byte_images import with_byte_images
from pocketzoo.export.conversion.tflite.tflite_files import to_tflite
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.loading import load_artifact
from pocketzoo.export.runtimes import client_environment
from pocketzoo.export.runtimes.client_environment import client_python
from pocketzoo.export.runtimes.clients import failure, run_in_client
from pocketzoo.export.sample_images import Samples
from pocketzoo.export.validation.checks.artifact_check import Subject
from pocketzoo.export.validation.checks.check_registry import run_check
from pocketzoo.export.validation.checks.mediapipe import run_task
from pocketzoo.export.validation.reference import Reference
from pocketzoo.zoo.contract import state_contract

pytestmark = pytest.mark.clients
SIDE, COUNT = 16, 12
installed = pytest.mark.skipif(client_python("mediapipe") is None, reason="mediapipe is not installed")


def pictures(channels, count=COUNT, seed=0):
    blocks = np.random.default_rng(seed).integers(0, 256, (count, SIDE // 4, SIDE // 4, channels), "uint8")
    return blocks.repeat(4, axis=1).repeat(4, axis=2)


def classifier(channels, *, limits="0..255"):
    keras.utils.set_random_seed(0)
    image = keras.Input((SIDE, SIDE, channels))
    x = keras.layers.Rescaling(1 / 127.5, -1.0)(image) if limits == "0..255" else image
    x = keras.layers.Conv2D(8, 3, activation="relu")(x)
    x = keras.layers.Dense(4, activation="softmax")(keras.layers.Flatten()(x))
    model = keras.Model(image, x, name="classifier")
    state_contract(model, labels=["ant", "bee", "cat", "dog"], pixels=limits)
    return model


def segmenter(last):
    keras.utils.set_random_seed(0)
    image = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(keras.layers.Rescaling(1 / 255)(image))
    masks = keras.layers.Conv2D(1 if last == "sigmoid" else 3, 1, activation=last)(x)
    model = keras.Model(image, masks, name="segmenter")
    labels = ["ground", "road"] if last == "sigmoid" else ["ground", "road", "sky"]
    state_contract(model, task="segmentation", labels=labels, from_logits=last is None, pixels="0..255")
    return model


MODELS = {
    "classifier": (lambda: classifier(3), False),
    "signed": (lambda: classifier(3, limits="-1..1"), False),
    "gray": (lambda: classifier(1), True),
    "segmenter": (lambda: segmenter("softmax"), False),
    "logits": (lambda: segmenter(None), False),
    "single": (lambda: segmenter("sigmoid"), False),
}
"""Each with whether its grayscale images are given as RGB images."""


CASES = {
    "classifier": "tflite-uint8",
    "signed": "tflite-fp32",
    "gray": "tflite-uint8",
    "segmenter": "tflite-fp16",
    "logits": "tflite-fp32",
    "single": "tflite-uint8",
}
"""One format of each model; the others differ in nothing but numbers."""
FORMAT_NAMES = ("tflite-fp32", "tflite-fp16", "tflite-uint8")


def all_cases():
    for name in MODELS:
        for kind in FORMAT_NAMES:
            yield pytest.param(name, kind, marks=[] if CASES[name] == kind else [pytest.mark.every_card])


@installed
@pytest.mark.parametrize(("name", "kind"), list(all_cases()))
def test_camera_bytes_give_the_outputs_of_keras(name, kind, tmp_path):
    make, rgb = MODELS[name]
    model = make()
    images = pictures(model.input_shape[-1])
    graph, path = ExportGraph.from_model(model, rgb=rgb), tmp_path / "net.tflite"
    samples = Samples(images, None).as_rgb() if rgb else Samples(images, None)
    values = Samples(to_range(samples.images, graph.metadata.pixel_range), None)
    path.write_bytes(to_tflite(graph, kind, values))
    expected = np.asarray(model(to_range(images, graph.metadata.pixel_range)))
    form = graph.metadata.output_forms
    reference = Reference(values, "noise", expected, form.task, form.from_logits)
    check = run_task(Subject(path, FORMATS[kind], graph.metadata, reference))
    gates = {gate.name: gate for gate in check.gates}
    assert (check.status, check.skipped, gates["labels as in the file"].figure) == ("passed", None, 1)
    assert gates["relative difference"].figure < (0.2 if kind == "tflite-uint8" else gates["relative difference"].bar)
    artifact = load_artifact(path)
    assert (artifact.input.dtype, artifact.output.dtype) == (
        "uint8" if kind == "tflite-uint8" else "float32",
        "float32",
    )
    assert kind != "tflite-uint8" or artifact.input.takes_bytes(artifact.pixel_range)


@installed
def test_swapped_labels_and_other_outputs_fail(tmp_path):
    model = classifier(3)
    graph, path = ExportGraph.from_model(model), tmp_path / "net.tflite"
    path.write_bytes(to_tflite(graph, "tflite-fp32", None))
    images = pictures(3)
    outputs = load_artifact(path).run(images)
    subject = Subject(path, FORMATS["tflite-fp32"], graph.metadata, Reference(Samples(images, None), "noise", outputs))
    assert run_task(subject).status == "passed"
    swapped = graph.metadata.model_copy(update={"labels": ("bee", "ant", "cat", "dog")})
    other = replace(subject.reference, outputs=outputs[:, ::-1])
    failed = [run_task(replace(subject, metadata=swapped)), run_task(replace(subject, reference=other))]
    assert [[g.name for g in check.gates if g.status == "failed"] for check in failed] == [
        ["labels as in the file"],
        ["relative difference"],
    ]


@installed
def test_file_that_mediapipe_refuses_fails_with_its_message(tmp_path):
    graph, path = ExportGraph.from_model(classifier(3)), tmp_path / "net.tflite"
    images = pictures(3)
    path.write_bytes(to_tflite(graph, "tflite-int8", Samples(images, None)))
    reference = Reference(Samples(images, None), "noise", load_artifact(path).run(images))
    check = run_check("mediapipe", Subject(path, FORMATS["tflite-int8"], graph.metadata, reference))
    (gate,) = check.gates
    assert (gate.name, gate.status) == ("ran", "failed")
    assert "got INT8" in gate.reason


def skipped_for(model, images, tmp_path):
    graph, path = ExportGraph.from_model(model, open_size=True), tmp_path / "net.tflite"
    path.write_bytes(to_tflite(graph, "tflite-fp32", None))
    reference = Reference(
        Samples(images, None), "noise", load_artifact(path).run(images), graph.metadata.task, graph.metadata.from_logits
    )
    return run_check("mediapipe", Subject(path, FORMATS["tflite-fp32"], graph.metadata, reference)).skipped


def test_reason_of_a_failure_is_not_the_error_of_a_destructor_at_exit():
    error = 'Traceback (most recent call last):\n  File "driver.py", line 1\nValueError: the reason\n'
    ignored = 'Exception ignored in: <function Task.__del__>\nTraceback (most recent call last):\n  File "task.py"\n'
    for text in (error + ignored + "TypeError: 'NoneType' object is not callable\n", error):
        assert failure(subprocess.CompletedProcess([], 1, "", text)) == "ValueError: the reason"


def test_what_mediapipe_has_no_task_for_is_skipped_with_a_reason(tmp_path, monkeypatch):
    regression = net(shape=(SIDE, SIDE, 3))
    state_contract(regression, task="regression")
    fractions = pictures(3).astype("float32") + np.float32(0.25)
    wide = keras.Sequential([keras.Input((None, None, 3)), keras.layers.GlobalAveragePooling2D()], name="wide")
    wide.add(keras.layers.Dense(2, "softmax"))
    with monkeypatch.context() as patched:
        patched.setattr(client_environment, "client_python", lambda module: None)
        patched.setenv(client_environment.VARIABLE, str(tmp_path / "nowhere"))
        client_environment._has_module.cache_clear()
        missing = skipped_for(net(shape=(SIDE, SIDE, 3)), pictures(3), tmp_path)
    assert re.search("mediapipe is not installed: python -m venv .*pip install mediapipe", missing)
    if client_python("mediapipe") is None:
        pytest.skip("mediapipe is not installed")
    assert "export it with rgb=True, or --rgb" in skipped_for(net(shape=(SIDE, SIDE, 1)), pictures(1), tmp_path)
    assert "images with 4 channels" in skipped_for(net(shape=(SIDE, SIDE, 4)), pictures(4), tmp_path)
    assert "the outputs of a regression" in skipped_for(regression, pictures(3), tmp_path)
    assert "not in whole numbers" in skipped_for(net(shape=(SIDE, SIDE, 3)), fractions, tmp_path)
    assert "wide leaves its size open" in skipped_for(wide, pictures(3), tmp_path)


def test_gray_rgb_images_have_exactly_the_outputs_of_the_gray_model(tmp_path):
    model, gray = classifier(1), pictures(1)
    graph = ExportGraph.from_model(model, rgb=True)
    color = pictures(3, seed=1)
    luma = np.float32(color) @ LUMA
    expected = np.asarray(model(np.concatenate([gray, luma[..., None]])))
    images, calibration = np.concatenate([gray.repeat(3, axis=-1), color]), Samples(color, None)
    for kind, tolerance in {"tflite-fp32": 1e-6, "tflite-fp16": 5e-3, "tflite-uint8": 0.08}.items():
        path = tmp_path / f"{kind}.tflite"
        path.write_bytes(to_tflite(graph, kind, calibration))
        artifact = load_artifact(path)
        assert artifact.input.image_shape == (SIDE, SIDE, 3)
        np.testing.assert_allclose(artifact.run(images), expected, atol=tolerance, err_msg=kind)
    levels = np.arange(256, dtype="float32")
    assert (np.stack([levels] * 3, axis=-1) @ LUMA == levels).all()
    assert abs(LUMA - [0.299, 0.587, 0.114]).max() < 0.002  # ITU-R BT.601


def test_rgb_is_refused_where_there_is_no_gray_image(tmp_path):
    with pytest.raises(InputError, match="rgb is True, but net takes images with 3 channels"):
        export.export_model(net(shape=(SIDE, SIDE, 3)), tmp_path / "out", rgb=True)


def test_bytes_reach_a_first_layer_that_stays_in_float(tmp_path):
    """Its input has no rounding that could take bytes in its place."""
    model, images = classifier(3, limits="0..1"), pictures(3)
    path = tmp_path / "net.tflite"
    graph = ExportGraph.from_model(model)
    first = model.layers[1].name
    path.write_bytes(to_tflite(graph, "tflite-uint8", Samples(np.float32(images) / 255, None), keep_float=[first]))
    artifact = load_artifact(path)
    assert (artifact.input.dtype, artifact.input.zero_point) == ("uint8", 0)
    np.testing.assert_allclose(artifact.run(images), model(np.float32(images) / 255), atol=0.02)
    np.testing.assert_allclose(artifact.run(np.float32(images) / 255), artifact.run(images), atol=1e-6)


def test_whole_pixels_reach_a_tensor_of_bytes_as_they_are(tmp_path):
    """In -1..1 each byte lies between two steps, and rounding would make one level of every two."""
    model, images = classifier(3, limits="-1..1"), pictures(3)
    path = tmp_path / "net.tflite"
    path.write_bytes(to_tflite(ExportGraph.from_model(model), "tflite-uint8", Samples(images / 127.5 - 1, None)))
    artifact, fed = load_artifact(path), []
    spied = replace(artifact, invoke=lambda tensor: (fed.append(tensor), artifact.invoke(tensor))[1])
    assert spied.run(images).shape == (COUNT, 4)
    np.testing.assert_array_equal(np.concatenate(fed), images)


def test_only_images_become_bytes():
    image, number = keras.Input((SIDE, SIDE, 3), name="image"), keras.Input((2,), name="number")
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(image))
    x = keras.layers.Dense(2, "softmax")(keras.layers.Concatenate()([features, number]))
    graph = ExportGraph.from_model(keras.Model([image, number], x, name="two"))
    samples = Samples({"image": pictures(3), "number": np.ones((COUNT, 2), "float32")}, None)
    content = to_tflite(graph, "tflite-uint8", samples)
    from ai_edge_litert.interpreter import Interpreter

    details = Interpreter(model_content=content).get_input_details()
    assert {tensor["name"]: tensor["dtype"] for tensor in details} == {"image": np.uint8, "number": np.float32}
    assert with_byte_images(content, [None, None])


@pytest.fixture(scope="module")
def bundle_of_digits(tmp_path_factory, digits):
    folder = tmp_path_factory.mktemp("bundle") / "out"
    model = zoo.create_model("lenet5", weights="digits")
    export.export_model(model, folder, targets="mobile-gpu", evaluation=digits.test, rgb=True)
    return folder


def test_manifest_of_a_bundle_names_the_weights(bundle_of_digits):
    manifest = Manifest.load(bundle_of_digits / "manifest.json")
    assert (manifest.model.origin, manifest.model.license) == ("pocketzoo/lenet5-digits.safetensors", "Apache-2.0")


@installed
def test_file_of_a_bundle_opens_with_its_certificate(bundle_of_digits, digits):
    images, labels = digits.test.arrays()
    (file,) = bundle_of_digits.glob("*.tflite")
    assert load_artifact(file).certificate is not None
    rgb = {"images": np.repeat(images[:20], 3, axis=-1).astype("uint8")}
    run = run_in_client("mediapipe", "mediapipe.py", file, rgb, task="classify", shape=(10,))
    assert np.mean(run.outputs["outputs"].argmax(axis=-1) == labels[:20]) > 0.9
