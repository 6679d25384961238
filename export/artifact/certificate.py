"""The validation results of an artifact, embedded in its file.

The validated model stays unchanged, byte for byte, at the beginning of the file: a TFLite file ends with a zip of its
labels, to which an entry is added; an ONNX file is a protocol buffer, to which fields can be appended. A directory gets
a file more.
"""

import hashlib
import io
import zipfile
from pathlib import Path

from pydantic import Field, ValidationError

from ...core.atomic_files import atomic_path
from ...core.errors import InputError, describe
from ...core.input_files import read_file
from ...core.limits import TEXT_BYTES
from .directories import LAYOUTS, directory_sha256, model_files
from .manifest import Validation, ValidationContext
from .metadata import KEY

ENTRY = "proof.json"
PROPERTY = f"{KEY}.proof"
PROPERTY_TAG = bytes([14 << 3 | 2])
"""Tag of `metadata_props`, field 14 of ONNX's `ModelProto`, https://protobuf.dev/programming-guides/encoding."""


class Certificate(Validation):
    """Validation results of an artifact; how it was made is in its metadata."""

    model_bytes: int = Field(gt=0)
    """Number of bytes at the beginning of the file that were validated; of a directory, those of all its files."""
    model_sha256: str
    """Hash of these bytes; of a directory, as in `directory_sha256`."""
    circumstances: ValidationContext

    def holds(self, path: str | Path) -> bool:
        """Whether the model in the file at `path` is still the validated one.

        It detects changes, not forgery: whoever rewrites the model can write another certificate.
        """
        if Path(path).is_dir():
            return directory_sha256(Path(path)) == self.model_sha256
        with Path(path).open("rb") as file:
            model, rest = file.read(self.model_bytes), file.read()
        only_certificate = Path(path).suffix != ".onnx" or _is_one_property(rest)
        return only_certificate and hashlib.sha256(model).hexdigest() == self.model_sha256


def embed_certificate(path: Path, validation: Validation, context: ValidationContext) -> None:
    """Add the validation results to an artifact."""
    if path.is_dir():
        size, sha256 = sum(file.stat().st_size for file in model_files(path)), directory_sha256(path)
    else:
        content = path.read_bytes()
        model = model_part(content, path.suffix)
        size, sha256 = len(model), hashlib.sha256(model).hexdigest()
    certificate = Certificate(model_bytes=size, model_sha256=sha256, circumstances=context, **dict(validation))
    if path.is_dir():
        text = certificate.model_dump_json(exclude_defaults=True)
        (path / LAYOUTS[path.suffix].certificate).write_text(text, encoding="utf-8")
        return
    with atomic_path(path) as temporary:
        temporary.write_bytes(_append(content, certificate, path.suffix))


def model_part(content: bytes, suffix: str) -> bytes:
    """The model at the beginning of the file: all of an ONNX file, and a TFLite file up to its zip, if it has one."""
    if suffix == ".onnx" or not zipfile.is_zipfile(io.BytesIO(content)):
        return content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return content[: min(entry.header_offset for entry in archive.infolist())]


def _append(content: bytes, certificate: Certificate, suffix: str) -> bytes:
    text = certificate.model_dump_json(exclude_defaults=True)
    if suffix == ".onnx":
        import onnx

        entry = onnx.StringStringEntryProto(key=PROPERTY, value=text)
        return content + onnx.ModelProto(metadata_props=[entry]).SerializeToString()
    file = io.BytesIO(content)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(zipfile.ZipInfo(ENTRY), text)  # stored: MediaPipe refuses compressed entries
    return file.getvalue()


def _is_one_property(rest: bytes) -> bool:
    """Whether the bytes after the model of an ONNX file are one property: any other field would change the model."""
    if rest[:1] != PROPERTY_TAG:
        return False
    length, position = 0, 1
    while position < len(rest):  # a varint: seven bits per byte, lowest first; the eighth bit means that more follow
        length |= (rest[position] & 127) << 7 * (position - 1)
        position += 1
        if rest[position - 1] < 128:
            return len(rest) == position + length
    return False


def certificate_in_tflite(content: bytes) -> Certificate | None:
    """Read the certificate of a TFLite file; None if it has none."""
    file = io.BytesIO(content)
    if not zipfile.is_zipfile(file):
        return None
    with zipfile.ZipFile(file) as archive:
        if ENTRY not in archive.namelist():
            return None
        TEXT_BYTES.check(archive.getinfo(ENTRY).file_size, f"its {ENTRY}")  # which may be compressed
        return _parse(archive.read(ENTRY))


def certificate_in_onnx(properties: dict[str, str]) -> Certificate | None:
    """Read the certificate from the properties of an ONNX file; None if it has none."""
    return _parse(properties[PROPERTY]) if PROPERTY in properties else None


def certificate_in_directory(path: Path) -> Certificate | None:
    """Read the certificate of a directory; None if it has none."""
    file = path / LAYOUTS[path.suffix].certificate
    return _parse(read_file(file, TEXT_BYTES)) if file.exists() else None


def _parse(text: str | bytes) -> Certificate:
    try:
        return Certificate.model_validate_json(text)
    except ValidationError as error:
        raise InputError(f"its {ENTRY} is damaged: {describe(error)}.") from error
