"""The standard metadata of TFLite files from other tools, which may be damaged: their pixels, labels and names."""

import struct

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as tflite
from hypothesis import given, settings
from hypothesis import strategies as st
from support import foreign_files as files

from pocketzoo import export, zoo
from pocketzoo.export.artifact.tflite_embedding import append_labels
from pocketzoo.export.tflite_schema.flatbuffer import pack_model, unpack_model
from pocketzoo.export.tflite_schema.model_metadata import parse_model_metadata

SIDE = files.SIDE
NAMES = ["cat", "dog", "fox"]
IMAGES = np.random.default_rng(1).integers(0, 256, (5, SIDE, SIDE, 3)).astype("uint8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("foreign")


@pytest.fixture(scope="module")
def softmax_net():
    return files.classifier()


@pytest.fixture(scope="module")
def expected(softmax_net):
    """Probabilities of a model that takes 0..1."""
    return softmax_net.predict(IMAGES / np.float32(255), verbose=0)


@pytest.fixture(scope="module")
def float_file(folder, softmax_net):
    return files.convert_to_tflite(softmax_net, folder / "soft.tflite")


def metadata_of(labels_file: str | None, mean=(), deviation=()) -> bytes:
    """Standard metadata as its schema lays it out: of one image, and one output with labels in a file."""
    builder = flatbuffers.Builder(0)

    def table(fields: dict) -> int:
        made = {slot: value() if callable(value) else value for slot, value in fields.items()}
        builder.StartObject(max(made, default=0) + 1)
        for slot, value in made.items():
            add = builder.PrependInt8Slot if isinstance(value, np.int8) else builder.PrependUOffsetTRelativeSlot
            add(slot, value, 0)
        return builder.EndObject()

    def vector(*offsets: int) -> int:
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()

    def text(value: str):
        return lambda: builder.CreateString(value)

    outputs = {0: text("scores")}
    if labels_file:
        file = table({0: text(labels_file), 2: np.int8(2)})
        outputs[6] = lambda: vector(file)
    inputs = {0: text("image"), 1: text("a photo")}
    if mean:
        floats = [builder.CreateNumpyVector(np.float32(values)) for values in (mean, deviation)]
        unit = table({0: np.int8(1), 1: table(dict(enumerate(floats)))})
        inputs[4] = lambda: vector(unit)
    taken, made = table(inputs), table(outputs)
    graph = table({2: lambda: vector(taken), 3: lambda: vector(made)})
    root = table({0: text("Bird watcher"), 3: lambda: vector(graph), 4: text("A. Author"), 5: text("Apache-2.0")})
    builder.Finish(root, file_identifier=b"M001")
    return bytes(builder.Output())


def with_metadata(source, path, metadata: bytes, labels: dict):
    """Write a TFLite file with standard metadata, and labels in a zip."""
    model = unpack_model(source.read_bytes())
    buffer, entry = tflite.BufferT(), tflite.MetadataT()
    buffer.data, entry.name, entry.buffer = list(metadata), b"TFLITE_METADATA", len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    path.write_bytes(append_labels(pack_model(model), labels) if labels else pack_model(model))
    return path


def test_standard_metadata_says_labels_and_pixels(float_file, folder, expected):
    metadata = metadata_of("birds.txt", mean=[0.0], deviation=[255.0])
    artifact = export.load_artifact(with_metadata(float_file, folder / "birds.tflite", metadata, {"birds.txt": NAMES}))
    prediction = export.predict(artifact, IMAGES)
    np.testing.assert_allclose(prediction.probabilities, expected, atol=1e-5)
    assert prediction.labels == tuple(NAMES)
    assert {
        "name": "Bird watcher",
        "author": "A. Author",
        "license": "Apache-2.0",
    }.items() <= artifact.facts.properties.items()
    assert export.load_artifact(artifact.path, pixels="0..255").pixel_range == (0, 255)  # a statement goes first


def test_normalization_by_channel_is_no_range(float_file, folder):
    metadata = metadata_of(None, mean=[123.7, 116.3, 103.5], deviation=[58.4, 57.1, 57.4])
    artifact = export.load_artifact(with_metadata(float_file, folder / "norm.tflite", metadata, {}))
    assert "photo is normalized by (pixels - [123.7, 116.3, 103.5])" in artifact.facts.remarks[0]
    with pytest.raises(zoo.InputError, match="does not say what its pixels are"):
        export.predict(artifact, IMAGES)


@pytest.mark.parametrize("labels", [{}, {"other.txt": NAMES}])
def test_labels_that_are_missing_are_remarked(float_file, folder, labels):
    path = with_metadata(float_file, folder / "lost.tflite", metadata_of("birds.txt"), labels)
    artifact = export.load_artifact(path)
    assert artifact.facts.remarks == ("its metadata names the labels 'birds.txt', which are not in the file.",)
    assert artifact.contract.forms[""].labels == ("0", "1", "2")


@settings(max_examples=200)
@given(at=st.integers(0, 500), value=st.binary(min_size=1, max_size=8), cut=st.integers(0, 600))
def test_damaged_metadata_is_read_or_refused_in_words(at, value, cut):
    metadata = bytearray(metadata_of("birds.txt", mean=[0.0], deviation=[255.0]))
    metadata[at : at + len(value)] = value
    for content in (bytes(metadata), bytes(metadata[:cut])):
        try:
            parse_model_metadata(content, b"")
        except zoo.InputError as error:
            assert str(error)  # noqa: PT017 (it is not always raised)


def test_metadata_with_a_huge_list_is_refused():
    metadata = bytearray(metadata_of(None, mean=[0.0], deviation=[255.0]))
    at = metadata.index(struct.pack("<If", 1, 255.0))
    metadata[at : at + 4] = struct.pack("<I", 2**31)
    with pytest.raises(zoo.InputError, match="its metadata has 2,147,483,648 parts; the limit is 20,000"):
        parse_model_metadata(bytes(metadata), b"")
