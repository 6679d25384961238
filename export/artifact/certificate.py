"""What was proven of an artifact, behind what was proven in the artifact's own file. Imports no TensorFlow.

The model in the file stays as it was proven, byte for byte, and is the beginning of the file: a TFLite file ends with a
zip of labels, which takes another entry; an ONNX file is a protocol buffer, whose fields may come in several pieces.
"""

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from ...core.atomic_files import atomic_path
from ...core.errors import InputError, describe
from .manifest import Check, Gate, Tensor
from .metadata import KEY, ImagesRecord, Record

ENTRY = "proof.json"
PROPERTY = f"{KEY}.proof"
PROPERTY_TAG = bytes([14 << 3 | 2])
"""Of `metadata_props`, field 14 of ONNX's `ModelProto`, https://protobuf.dev/programming-guides/encoding."""
MOST_BYTES = 2**24
"""Of a certificate that is read: a zip may hold a thousand times of what it is long."""


class Circumstances(Record):
    """How all artifacts of a bundle were proven."""

    skipped: dict[str, str]
    """Formats of the targets that were not made, and why."""
    evaluation: ImagesRecord | None
    proven_on: Literal["evaluation images", "calibration images", "noise"]
    """Which images the artifacts were held against Keras on."""
    host: str
    created: str
    """UTC, ISO 8601."""


class Certificate(Record):
    """What was proven of an artifact; what it says of how it was made is in its metadata."""

    model_bytes: int = Field(gt=0)
    """The first so many bytes of the file are what was proven."""
    model_sha256: str
    """Of these."""
    targets: tuple[str, ...]
    input: Tensor
    output: Tensor
    operators: dict[str, int]
    """How often each operator is there, by its name and version, such as `CONV_2D v3` or `Conv 17`."""
    gates: tuple[Gate, ...]
    """Of the file itself."""
    checks: tuple[Check, ...]
    """Of what it was put to, its own runtime first."""
    circumstances: Circumstances

    def holds(self, path: str | Path) -> bool:
        """Whether the model in the file at `path` is still the one that was proven.

        It tells of changes, not of forgery: who rewrites the model can write another certificate.
        """
        with Path(path).open("rb") as file:
            model, rest = file.read(self.model_bytes), file.read()
        alone = Path(path).suffix != ".onnx" or _is_one_property(rest)
        return alone and hashlib.sha256(model).hexdigest() == self.model_sha256


def certify(path: Path, **proven: Any) -> bytes:
    """Puts into an artifact's file what was proven of it.

    Args:
        path: The file.
        proven: The fields of the certificate that are not on the model's bytes.

    Returns:
        What is in the file now.
    """
    content = path.read_bytes()
    model = _model_part(content, path.suffix)
    digest = hashlib.sha256(model).hexdigest()
    content = _enclosed(content, Certificate(model_bytes=len(model), model_sha256=digest, **proven), path.suffix)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return content


def _model_part(content: bytes, suffix: str) -> bytes:
    """The beginning of the file that is the model: all of an ONNX file, and a TFLite file up to its zip."""
    if suffix == ".onnx":
        return content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return content[: min(entry.header_offset for entry in archive.infolist())]


def _enclosed(content: bytes, certificate: Certificate, suffix: str) -> bytes:
    text = certificate.model_dump_json(exclude_defaults=True)
    if suffix == ".onnx":
        import onnx

        entry = onnx.StringStringEntryProto(key=PROPERTY, value=text)
        return content + onnx.ModelProto(metadata_props=[entry]).SerializeToString()
    file = io.BytesIO(content)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(zipfile.ZipInfo(ENTRY), text, compress_type=zipfile.ZIP_DEFLATED)
    return file.getvalue()


def _is_one_property(rest: bytes) -> bool:
    """Whether what follows the model of an ONNX file is one property: any other field would change the model."""
    if rest[:1] != PROPERTY_TAG:
        return False
    length, place = 0, 1
    while place < len(rest):  # seven bits a byte, the lowest first, until one has no eighth
        length |= (rest[place] & 127) << 7 * (place - 1)
        place += 1
        if rest[place - 1] < 128:
            return len(rest) == place + length
    return False


def certificate_in_tflite(content: bytes) -> Certificate | None:
    """The certificate in a TFLite file, or None if it has none."""
    file = io.BytesIO(content)
    if not zipfile.is_zipfile(file):
        return None
    with zipfile.ZipFile(file) as archive:
        if ENTRY not in archive.namelist():
            return None
        if archive.getinfo(ENTRY).file_size > MOST_BYTES:
            raise InputError(f"its {ENTRY} is larger than {MOST_BYTES:,} bytes.")
        return _parse(archive.read(ENTRY))


def certificate_in_onnx(properties: dict[str, str]) -> Certificate | None:
    """The certificate among the properties of an ONNX file, or None if it has none."""
    return _parse(properties[PROPERTY]) if PROPERTY in properties else None


def _parse(text: str | bytes) -> Certificate:
    try:
        return Certificate.model_validate_json(text)
    except ValidationError as error:
        raise InputError(f"its {ENTRY} is damaged: {describe(error)}.") from error
