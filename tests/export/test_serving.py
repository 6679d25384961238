"""Bundles for model servers: TensorFlow and ONNX Runtime load them, and protobuf reads Triton's configuration."""

import json
import re
import shutil
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import keras
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from google.protobuf import text_format
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers
from PIL import Image
from support.client_programs import run_python
from support.triton_config import DataType, ModelConfig

from pocketzoo import export, zoo
from pocketzoo.core.errors import InputError
from pocketzoo.export.artifact.artifact import Artifact
from pocketzoo.export.artifact.directories import directory_sha256
from pocketzoo.export.artifact.metadata import Metadata
from pocketzoo.export.artifact.tensors import TensorInfo
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.conversion.saved_model import SavedModelFiles
from pocketzoo.export.readme.programs import snippet_text
from pocketzoo.export.readme.runnable_files import files_of, refusal
from pocketzoo.export.readme.snippet_table import SNIPPETS
from pocketzoo.export.targets import default_batch
from pocketzoo.export.triton import configuration

SIDE, LABELS = 12, ("Käse 猫", 'a "b" \\ c', "tree")
TYPES = {"TYPE_FP32": "float32", "TYPE_INT32": "int32"}


def net(name="net"):
    """Two inputs, one of them a single whole number, and two outputs; images from -1 to 1."""
    keras.utils.set_random_seed(1)
    photo, kind = keras.Input((SIDE, SIDE, 3), name="photo"), keras.Input((), dtype="int32", name="kind")
    maps = layers.Conv2D(6, 3, activation="relu")(photo)
    hidden = layers.Concatenate()([layers.GlobalAveragePooling2D()(maps), layers.Embedding(5, 4)(kind)])
    outputs = {
        "class": layers.Dense(3, "softmax", name="class")(hidden),
        "mask": layers.Conv2D(3, 1, activation="softmax", name="mask")(maps),
    }
    return keras.Model({"photo": photo, "kind": kind}, outputs, name=name)


def inputs(count):
    random = np.random.default_rng(2)
    return {
        "photo": random.integers(0, 256, (count, SIDE, SIDE, 3)).astype("uint8"),
        "kind": random.integers(0, 5, count).astype("int32"),
    }


def as_floats(values):
    return values | {"photo": (values["photo"].astype("float32") * (2 / 255) - 1)}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A bundle for servers alone, so its ONNX files take any number of images."""
    model, folder = net(), tmp_path_factory.mktemp("served") / "bundle"
    export.export_model(
        model,
        folder,
        targets="serving",
        evaluation=inputs(16),
        pixels={"photo": (-1, 1)},
        task={"class": "classification", "mask": "segmentation"},
        labels={"class": LABELS, "mask": LABELS},
    )
    return model, folder


@pytest.mark.parametrize(("signature", "prepare"), [("serving_default", as_floats), ("serving_uint8", dict)])
def test_saved_model_computes_any_number_of_images_from_floats_and_from_bytes(served, signature, prepare):
    model, folder = served
    loaded = tf.saved_model.load(str(folder / "net-fp32.savedmodel"))
    function = loaded.signatures[signature]
    types = {name: spec.dtype.name for name, spec in function.structured_input_signature[1].items()}
    assert types == {"photo": "float32" if signature == "serving_default" else "uint8", "kind": "int32"}
    for count in (1, 5):
        values = inputs(count)
        outputs = function(**{name: tf.constant(rows) for name, rows in prepare(values).items()})
        for name, expected in model.predict(as_floats(values), verbose=0).items():
            assert outputs[name].numpy() == pytest.approx(expected, abs=1e-5)


def requested(config, values):
    """The tensors that Triton gives the model for a request: by its rule for batches, and in its types and shapes."""
    feeds = {}
    for tensor in config.input:
        rows = values[tensor.name].transpose(0, 3, 1, 2) if values[tensor.name].ndim == 4 else values[tensor.name]
        shape = list(tensor.reshape.shape) if tensor.HasField("reshape") else list(tensor.dims)
        full = [len(rows), *shape] if config.max_batch_size else shape
        assert [-1, *rows.shape[1:]] == [-1, *full[1:]]
        feeds[tensor.name] = rows.astype(TYPES[DataType.values_by_number[tensor.data_type].name]).reshape(full)
    return feeds


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_configuration_of_triton_fits_the_file_whose_batch_is_open(served, precision):
    model, folder = served
    home = folder / "triton" / f"net-{precision}"
    config = text_format.Parse((home / "config.pbtxt").read_text(encoding="utf-8"), ModelConfig())
    assert (config.name, config.backend, config.max_batch_size) == (home.name, "onnxruntime", 8)
    assert config.HasField("dynamic_batching")
    assert [list(tensor.dims) for tensor in config.input] == [[3, SIDE, SIDE], [1]]
    assert [list(tensor.dims) for tensor in config.output] == [[3], [3, SIDE - 2, SIDE - 2]]
    assert config.input[1].HasField("reshape")
    session, values = onnxruntime.InferenceSession(home / "1" / "model.onnx"), as_floats(inputs(8))
    outputs = session.run([tensor.name for tensor in config.output], requested(config, values))
    expected = model.predict(values, verbose=0)
    assert outputs[0] == pytest.approx(expected["class"], abs=1e-2 if precision == "fp16" else 1e-5)
    assert config.output[1].label_filename == ""  # Triton names classes of an image, not of pixels
    labels = (home / config.output[0].label_filename).read_text(encoding="utf-8")
    assert labels.split("\n") == list(LABELS)


def test_configuration_of_triton_has_the_batch_among_the_sizes_where_it_is_one(bundle):
    home = bundle / "triton" / "lenet5-fp32"
    config = text_format.Parse((home / "config.pbtxt").read_text(encoding="utf-8"), ModelConfig())
    assert config.max_batch_size == 0
    assert not config.HasField("dynamic_batching")
    assert [list(tensor.dims) for tensor in (*config.input, *config.output)] == [[1, 1, 32, 32], [1, 10]]
    (shape,) = {tuple(node.shape) for node in onnxruntime.InferenceSession(home / "1" / "model.onnx").get_inputs()}
    assert shape == (1, 1, 32, 32)
    assert (home / "1" / "model.onnx").read_bytes() == (bundle / "lenet5-fp32.onnx").read_bytes()


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), st.sampled_from([None, 1]))
def test_any_name_stays_what_it_is_in_the_configuration(name, batch):
    metadata = Metadata(model="net", labels=("a", "b"), image_shape=(4, 4, 3), mean=None, scale=None, weights_sha256="")
    image, output = (
        TensorInfo(name, (batch, 3, None, 4), "float32", layout="NCHW"),
        TensorInfo("o", (batch, 2), "int64"),
    )
    artifact = Artifact(Path("net-fp32.onnx"), image, output, metadata, invoke=None)
    config = text_format.Parse(configuration(artifact, 4), ModelConfig())
    assert config.input[0].name == name
    assert list(config.input[0].dims) == ([3, -1, 4] if batch is None else [1, 3, -1, 4])
    assert config.output[0].label_filename == "labels.txt"


def test_certificate_of_a_directory_tells_whether_a_file_was_changed_or_added(served, tmp_path):
    original = served[1] / "net-fp32.savedmodel"
    record = next(each for each in export.Manifest.load(served[1] / "manifest.json").artifacts if "saved" in each.file)
    assert record.sha256 == directory_sha256(original)
    assert record.bytes == sum(file.stat().st_size for file in original.rglob("*") if file.is_file())
    copy = shutil.copytree(original, tmp_path / original.name)
    certificate = export.load_artifact(copy).certificate
    assert certificate.holds(copy)
    assert certificate.model_bytes < record.bytes
    graph = (copy / "saved_model.pb").read_bytes()
    (copy / "saved_model.pb").write_bytes(graph.replace(b"photo", b"qhoto"))
    assert not certificate.holds(copy)
    (copy / "saved_model.pb").write_bytes(graph)
    (copy / "variables" / "more").write_bytes(b"")
    assert not certificate.holds(copy)
    (copy / "variables" / "more").unlink()
    (copy / "assets.extra" / "proof.json").unlink()
    assert export.load_artifact(copy).certificate is None


def test_saved_model_runs_like_a_file(bundle, digits, trained_file):
    artifact = export.load_artifact(bundle / "lenet5-fp32.savedmodel")
    assert artifact.input == TensorInfo("image", (None, 32, 32, 1), "float32")
    images = digits.test.images.take(np.arange(3))
    expected = zoo.load_model(trained_file).predict(images.astype("float32"), verbose=0)
    assert export.predict(artifact, images).probabilities == pytest.approx(expected, abs=1e-5)


def test_saved_model_of_another_tool_stays_a_keras_model_whatever_its_name(bundle, tmp_path):
    copy = shutil.copytree(bundle / "lenet5-fp32.savedmodel", tmp_path / "model.savedmodel")
    shutil.rmtree(copy / "assets.extra")
    assert export.load_artifact(copy).metadata.model == "model.savedmodel"


def test_saved_model_that_could_write_files_is_refused_although_it_has_our_metadata(bundle, tmp_path):
    @tf.function(input_signature=[tf.TensorSpec((None, 32, 32, 1), name="image")])
    def serve(image):
        tf.io.write_file(str(tmp_path / "written"), "x")
        return {"probabilities": tf.reduce_mean(image, (1, 2)) * tf.ones((1, 10))}

    path = tmp_path / "net.savedmodel"
    tf.saved_model.save(tf.Module(), str(path), signatures=serve)
    shutil.copytree(bundle / "lenet5-fp32.savedmodel" / "assets.extra", path / "assets.extra")
    with pytest.raises(InputError, match="could read or write files"):
        export.load_artifact(path)


def test_input_name_that_tensorflow_would_change_is_refused(tmp_path):
    photo = keras.Input((4, 4, 3), name="my photo")
    features = [layers.GlobalAveragePooling2D()(photo), keras.Input((3,), name="more")]
    model = keras.Model([photo, features[1]], layers.Concatenate()(features), name="net")
    files = SavedModelFiles(ExportGraph.from_model(model))
    with pytest.raises(InputError, match=r"net has the input 'my photo', and TensorFlow takes .* rename it"):
        files.write("savedmodel-fp32", tmp_path / "net.savedmodel")


def test_batch_is_open_by_default_for_servers_alone():
    assert default_batch(["serving"]) == "N"
    assert default_batch(["serving", "gpu"]) == 1
    assert default_batch(["mobile-cpu"]) == 1


def test_readme_tells_how_servers_start_and_what_they_take(served, bundle):
    text = (served[1] / "README.md").read_text(encoding="utf-8")
    assert '-v "$PWD/net-fp32.savedmodel:/models/model/1" tensorflow/serving' in text
    assert '{"signature_name": "serving_uint8", "instances": [{"photo": VALUE, "kind": VALUE}]}' in text
    assert '{"name": "kind", "shape": [1, 1], "datatype": "INT32", "data": [VALUES]}' in text
    assert '{"name": "image", "shape": [1, 1, 32, 32], "datatype": "FP32"' in (bundle / "README.md").read_text()


@contextmanager
def stub_of_servers(folder, requests):
    """Answers requests to TensorFlow Serving and to Triton with what TensorFlow and ONNX Runtime compute."""

    class Stub(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append(self.path)
            answer = json.dumps(of_triton(body) if self.path.endswith("/infer") else of_tensorflow(body)).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    def of_tensorflow(body):
        function = tf.saved_model.load(str(folder / "lenet5-fp32.savedmodel")).signatures[body["signature_name"]]
        outputs = function(image=tf.constant(body["instances"], "uint8"))
        return {"predictions": next(iter(outputs.values())).numpy().tolist()}

    def of_triton(body):
        (given,) = body["inputs"]
        config = text_format.Parse((folder / "triton/lenet5-fp32/config.pbtxt").read_text(), ModelConfig())
        assert given["datatype"] == DataType.values_by_number[config.input[0].data_type].name.removeprefix("TYPE_")
        session = onnxruntime.InferenceSession(folder / "triton/lenet5-fp32/1/model.onnx")
        tensor = np.asarray(given["data"], "float32").reshape(given["shape"])
        outputs = session.run(None, {given["name"]: tensor})
        return {"outputs": [{"data": each.ravel().tolist(), "shape": each.shape} for each in outputs]}

    with HTTPServer(("127.0.0.1", 0), Stub) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("name", "path"), [
    ("python-tf-serving", "/v1/models/model:predict"), ("python-triton", "/v2/models/lenet5-fp32/infer"),
])  # fmt: skip
def test_program_sends_a_photo_to_a_server_and_shows_the_answer(name, path, bundle, tmp_path):
    files = files_of(export.Manifest.load(bundle / "manifest.json"), bundle)
    Image.fromarray(np.random.default_rng(5).integers(0, 256, (20, 24, 3), "uint8")).save(tmp_path / "photo.png")
    (tmp_path / "labels.txt").write_bytes((bundle / "labels.txt").read_bytes())
    requests = []
    with stub_of_servers(bundle, requests) as port:
        text, replaced = re.subn(r"localhost:8\d+", f"127.0.0.1:{port}", snippet_text(name, files, "the bundle"))
        (shown,) = run_python([text], tmp_path)
    assert (requests, replaced) == ([path], 1)
    prediction = export.predict(export.load_artifact(bundle / "lenet5-fp32.onnx"), tmp_path / "photo.png")
    assert dict(shown) == pytest.approx({label: 100 * share for label, share in prediction.top(5)[0]}, abs=0.01)


def test_program_for_triton_needs_its_repository(bundle, tmp_path):
    file = next(
        file
        for file in files_of(export.Manifest.load(bundle / "manifest.json"), bundle)
        if file.file.endswith("fp32.onnx")
    )
    assert refusal(SNIPPETS["python-triton"], file) is None
    alone = replace(file, path=tmp_path / file.file)
    assert refusal(SNIPPETS["python-triton"], alone) == (
        "there is no triton/lenet5-fp32 beside it, which target serving makes"
    )
