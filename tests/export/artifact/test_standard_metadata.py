"""TFLite's standard metadata, as Google's own tools read it, and add to it."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from support.edge import net

from pocketzoo import layers, zoo
from pocketzoo.export.artifact.tflite_embedding import append_labels
from pocketzoo.export.conversion.export_graph import ExportGraph
from pocketzoo.export.conversion.tflite.tflite_files import to_tflite
from pocketzoo.export.loading import load_artifact
from pocketzoo.export.runtimes.client_environment import client_python, run_client
from pocketzoo.export.tflite_schema.flatbuffer import unpack_model
from pocketzoo.export.tflite_schema.nodes import count_tflite_operators
from pocketzoo.export.validation.c_source import array_content
from pocketzoo.zoo.contract import state_contract

pytestmark = pytest.mark.clients
PROGRAM = Path(__file__).parents[2] / "support" / "google_metadata.py"
SIDE = 8


def classifier():
    return net(shape=(SIDE, SIDE, 3))


def gray():
    model = net(shape=(SIDE, SIDE, 1))
    state_contract(model, pixels="-1..1", labels=["a", "two\nlines", "c", "d"])
    return model


def segmenter(last="softmax", classes=2):
    image = keras.Input((SIDE, SIDE, 3))
    masks = keras.layers.Conv2D(classes, 1, activation=last)(keras.layers.Rescaling(1 / 255)(image))
    model = keras.Model(image, masks, name="segmenter")
    state_contract(model, task="segmentation", labels=["ground", "road"], from_logits=last is None)
    return model


def several():
    image, number = keras.Input((SIDE, SIDE, 3), name="image"), keras.Input((2,), name="number")
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(image))
    both = keras.layers.Concatenate()([features, number])
    outputs = {
        "kind": keras.layers.Dense(2, "softmax", name="kind")(both),
        "size": keras.layers.Dense(1, name="size")(both),
    }
    model = keras.Model({"image": image, "number": number}, outputs, name="several")
    state_contract(model, task={"kind": "classification", "size": "regression"}, labels={"kind": ["cat", "dog"]})
    return model


def single():
    image = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(image))
    model = keras.Model(image, keras.layers.Dense(1, "sigmoid")(x), name="single")
    state_contract(model, task="classification", labels=["no", "yes"])
    return model


def embedding():
    image = keras.Input((None, None, 3))
    pixels = layers.PixelNormalization(origin={"source": "hf://timm/some", "license": "Apache-2.0"})(image)
    return keras.Model(image, layers.EmbeddingHead()(keras.layers.Conv2D(4, 3)(pixels)), name="embedding")


MODELS = {
    "classifier": classifier,
    "gray": gray,
    "segmenter": segmenter,
    "logits": lambda: segmenter(None),
    "single": lambda: segmenter("sigmoid", 1),
    "several": several,
    "one_of_two": single,
    "open": embedding,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("metadata")
    for name, make in MODELS.items():
        graph = ExportGraph.from_model(make(), open_size=True)
        (folder / f"{name}.tflite").write_bytes(to_tflite(graph, "tflite-fp32", None))
    return folder


@pytest.fixture(scope="module")
def read(folder):
    """The metadata in each file, as Google's tools read it."""
    if client_python("mediapipe") is None:
        pytest.skip("mediapipe is not installed")
    done = run_client("mediapipe", PROGRAM, folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def only(read, name):
    (graph,) = read[name]["subgraph_metadata"]
    (image,), (output,) = graph["input_tensor_metadata"], graph["output_tensor_metadata"]
    return image, output


@pytest.mark.parametrize(
    ("name", "color", "mean", "std"), [("classifier", "RGB", 0, 1), ("gray", "GRAYSCALE", 127.5, 127.5)]
)
def test_apps_make_the_range_of_the_model_from_raw_pixels(name, color, mean, std, read):
    image, _ = only(read, name)
    assert image["name"] == "image"
    properties = image["content"]["content_properties"]
    assert properties == {"color_space": color, "default_size": {"width": SIDE, "height": SIDE}}
    (unit,) = image["process_units"]
    assert unit["options_type"] == "NormalizationOptions"
    assert unit["options"] == {"mean": [mean], "std": [std]}
    low, high = image["stats"]["min"][0], image["stats"]["max"][0]
    assert ((0 - mean) / std, (255 - mean) / std) == (low, high)


def test_labels_are_a_file_of_the_output(read):
    for name, labels in {"gray": ["a", "two lines", "c", "d"], "segmenter": ["ground", "road"]}.items():
        (file,) = only(read, name)[1]["associated_files"]
        assert file["type"] == "TENSOR_AXIS_LABELS"
        assert read[name]["files"][file["name"]].split("\n") == labels


def test_single_probability_has_the_label_of_the_class_that_it_is_of(read):
    for name, label in {"one_of_two": "yes", "single": "road"}.items():
        (file,) = only(read, name)[1]["associated_files"]
        assert read[name]["files"][file["name"]] == label


@pytest.mark.parametrize(("name", "activation"), [("segmenter", None), ("logits", "SOFTMAX"), ("single", None)])
def test_segmenter_states_the_activation_that_is_missing(name, activation, read):
    (custom,) = read[name]["subgraph_metadata"][0]["custom_metadata"]
    assert custom["name"] == "SEGMENTER_METADATA"
    assert custom["data"].get("activation") == activation  # NONE is the default, which is not stored
    content = only(read, name)[1]["content"]
    assert (content["content_properties_type"], content["range"]) == ("ImageProperties", {"min": 1, "max": 2})
    assert read[name]["min_parser_version"] == "1.5.0"


def test_every_input_and_output_has_metadata_in_the_order_of_the_file(read):
    (graph,) = read["several"]["subgraph_metadata"]
    assert [tensor["name"] for tensor in graph["input_tensor_metadata"]] == ["image", "number"]
    assert "process_units" not in graph["input_tensor_metadata"][1]
    kind, size = graph["output_tensor_metadata"]
    assert [tensor["name"] for tensor in (kind, size)] == ["kind", "size"]
    assert [read["several"]["files"][file["name"]] for file in kind["associated_files"]] == ["cat\ndog"]


def test_origin_and_license_of_the_weights_are_in_all_metadata(read, folder):
    assert read["open"]["license"] == "Apache-2.0"
    assert "hf://timm/some" in read["open"]["description"]
    metadata = load_artifact(folder / "open.tflite").metadata
    assert (metadata.origin, metadata.license) == ("hf://timm/some", "Apache-2.0")
    assert "license" not in json.loads(load_artifact(folder / "gray.tflite").metadata.model_dump_json())


def test_packaged_weights_tell_where_they_are_from(tmp_path):
    model = zoo.create_model("lenet5", weights="digits", classes=3)
    zoo.save_model(model, tmp_path / "tuned.keras")
    metadata = ExportGraph.from_model(zoo.load_model(tmp_path / "tuned.keras")).metadata
    assert (metadata.origin, metadata.license) == ("pocketzoo/lenet5-digits.safetensors", "Apache-2.0")
    own = zoo.create_model("lenet5", weights=zoo.save_weights(model, tmp_path / "tuned.safetensors"), classes=3)
    assert ExportGraph.from_model(own).metadata.origin is None  # a file does not tell


def test_image_of_open_size_has_the_same_default_in_graph_and_metadata(read, folder):
    size = only(read, "open")[0]["content"]["content_properties"]["default_size"]
    graph = unpack_model((folder / "open.tflite").read_bytes()).subgraphs[0]
    assert [1, size["height"], size["width"], 3] == list(graph.tensors[graph.inputs[0]].shape)
    artifact = load_artifact(folder / "open.tflite")
    assert artifact.input.image_shape == (None, None, 3)
    assert artifact.run(np.zeros((2, 20, 30, 3), "uint8")).shape == (2, 4)


def test_google_writer_adds_its_labels_to_our_files(read, folder):
    images = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), "uint8")
    for name in ("classifier", "segmenter"):
        path = folder / f"{name}-written.tflite"
        path.write_bytes((folder / f"{name}.written").read_bytes())
        written, ours = load_artifact(path), load_artifact(folder / f"{name}.tflite")
        assert written.metadata == ours.metadata
        np.testing.assert_array_equal(written.run(images), ours.run(images))


def test_flash_holds_the_graph_without_metadata(folder):
    content = (folder / "classifier.tflite").read_bytes()
    bare = array_content(content)
    assert b"TFLITE_METADATA" not in bare
    assert b"weights_sha256" not in bare
    assert len(content) - len(bare) > 1000
    assert count_tflite_operators(bare) == count_tflite_operators(content)
    path = folder / "bare.file.tflite"
    path.write_bytes(append_labels(bare, []))
    images = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), "uint8").astype("float32")
    np.testing.assert_array_equal(
        load_artifact(path).run(images), load_artifact(folder / "classifier.tflite").run(images)
    )
