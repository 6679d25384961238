"""The validation results of an artifact are embedded in its file."""

import hashlib
import io
import zipfile

import onnx
import pytest

from pocketzoo import export, zoo
from pocketzoo.export.artifact.certificate import ENTRY, PROPERTY, certificate_in_tflite
from pocketzoo.export.conversion.tflite.tflite_files import to_tflite
from pocketzoo.export.tflite_schema.flatbuffer import unpack_model

pytestmark = pytest.mark.fast

FILES = ["lenet5-fp32.tflite", "lenet5-int8.tflite", "lenet5-fp32.onnx", "lenet5-int8.onnx"]
each_file = pytest.mark.parametrize("file", FILES)


@each_file
def test_certificate_equals_the_manifest_record(file, bundle, manifest):
    record = next(record for record in manifest.artifacts if record.file == file)
    certificate = export.load_artifact(bundle / file).certificate
    for name in ("targets", "input", "output", "operators", "gates", "checks"):
        assert getattr(certificate, name) == getattr(record, name), name
    for name, value in certificate.circumstances:
        assert value == getattr(manifest, name), name
    assert certificate.gates
    assert certificate.checks[0].gates


@each_file
def test_validated_model_is_the_beginning_of_the_file(file, bundle):
    content = (bundle / file).read_bytes()
    certificate = export.load_artifact(bundle / file).certificate
    model = content[: certificate.model_bytes]
    assert hashlib.sha256(model).hexdigest() == certificate.model_sha256
    assert certificate.holds(bundle / file)
    bare = bundle.parent / f"bare-{file}"  # it is also a model without the certificate
    bare.write_bytes(model + labels_of(content) if file.endswith("tflite") else model)
    artifact = export.load_artifact(bare)
    assert artifact.certificate is None
    assert artifact.metadata == export.load_artifact(bundle / file).metadata


def labels_of(content):
    """A zip that contains only the labels."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(file, "w") as other:
        other.writestr("labels-0.txt", archive.read("labels-0.txt"))
    return file.getvalue()


@each_file
def test_changed_model_is_detected(file, bundle, tmp_path):
    content = bytearray((bundle / file).read_bytes())
    place = content.index(weights(bundle / file))
    content[place] ^= 1
    (tmp_path / file).write_bytes(content)
    assert not export.load_artifact(tmp_path / file).certificate.holds(tmp_path / file)


def test_fields_appended_to_an_onnx_file_are_detected(bundle, tmp_path):
    """Pieces of a protocol buffer are merged: a further node would be added to the graph."""
    path = tmp_path / "model.onnx"
    content = (bundle / "lenet5-fp32.onnx").read_bytes()
    certificate = export.load_artifact(bundle / "lenet5-fp32.onnx").certificate
    added = [
        onnx.ModelProto(doc_string="x").SerializeToString(),
        onnx.ModelProto(graph=onnx.GraphProto(name="y")).SerializeToString(),
    ]
    for more in (*added, b"\x72", b"\x72\x80"):
        path.write_bytes(content + more)
        assert not certificate.holds(path)
        path.write_bytes(content[: certificate.model_bytes] + more)
        assert not certificate.holds(path)
    path.write_bytes(content)
    assert certificate.holds(path)


def weights(path):
    """Bytes of the largest kernel in the file."""
    if path.suffix == ".onnx":
        tensors = onnx.load(path).graph.initializer
        return max((onnx.numpy_helper.to_array(tensor).tobytes() for tensor in tensors), key=len)
    buffers = unpack_model(path.read_bytes()).buffers
    return max((bytes(buffer.data) for buffer in buffers if buffer.data is not None), key=len)


def test_file_that_was_not_validated_has_no_certificate(trained_file):
    content = to_tflite(export_form(trained_file), "tflite-fp32", None)
    assert certificate_in_tflite(content) is None


def export_form(trained_file):
    from pocketzoo.export.conversion.export_graph import ExportGraph

    return ExportGraph.from_model(zoo.load_model(trained_file))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{}", "model_bytes"),
        ("nonsense", "damaged"),
        ("0" * (2**24 + 1), "has 16,777,217 bytes; the limit is 16,777,216"),
    ],
    ids=["of other fields", "no JSON", "endless"],
)
def test_damaged_certificate_is_refused(text, why, bundle, tmp_path):
    content = (bundle / FILES[0]).read_bytes()
    file = io.BytesIO(content[: export.load_artifact(bundle / FILES[0]).certificate.model_bytes])
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("labels.txt", "\n".join("0123456789"))
        archive.writestr(ENTRY, text, compress_type=zipfile.ZIP_DEFLATED)
    (tmp_path / FILES[0]).write_bytes(file.getvalue())
    with pytest.raises(zoo.InputError, match=rf"cannot be opened as a model: its proof\.json .*{why}"):
        export.load_artifact(tmp_path / FILES[0])


def test_damaged_certificate_in_onnx_is_refused(bundle, tmp_path):
    model = onnx.load(bundle / "lenet5-fp32.onnx")
    next(entry for entry in model.metadata_props if entry.key == PROPERTY).value = "{}"
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(zoo.InputError, match=r"its proof\.json is damaged"):
        export.load_artifact(tmp_path / "model.onnx")
