"""The files of a bundle as programs need to know them, and which program can run which."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_edge_litert import schema_py_generated as tflite

from ...core.errors import InputError
from ...core.outputs import map_outputs
from ...tasks.registry import get_task
from ..artifact.artifact import Artifact
from ..artifact.manifest import ArtifactRecord, Manifest, Tensor
from ..artifact.metadata import Metadata
from ..artifact.tensors import TensorInfo
from ..triton import REPOSITORY
from ..validation.c_source import project_folder
from ..validation.checks import mediapipe
from .snippet_table import SNIPPETS, Snippet

COLORS = {1: ("L", "Grayscale"), 3: ("RGB", "RGB")}
"""Mode of Pillow and colors by number of channels."""
SAFE_NAME = re.compile(r"[\w .,()+=-]+")
"""Names of files that mean nothing else in the text of a program."""
STANDARD_METADATA = b"TFLITE_METADATA"
"""Name of it in a TFLite file."""
MEDIAPIPE_TYPES = ("float32", "uint8")
"""Of inputs and outputs."""


@dataclass(frozen=True)
class RunnableFile:
    """What a snippet needs to know of an artifact."""

    path: Path
    format: str
    input: Any
    """A `TensorInfo`, or a dict of them by name if there are several."""
    output: Any
    """As `input`."""
    metadata: Metadata

    @classmethod
    def from_record(cls, record: ArtifactRecord, manifest: Manifest, folder: Path) -> "RunnableFile":
        """One of the files of the bundle in `folder`."""
        return cls(folder / record.file, record.format, _info(record.input), _info(record.output), manifest.model)

    @classmethod
    def from_artifact(cls, artifact: Artifact) -> "RunnableFile":
        """A file that was opened.

        Raises:
            InputError: Another tool made it.
        """
        metadata = artifact.metadata
        if metadata is None:
            raise InputError(
                f"{artifact.path} says neither what its images nor what its outputs are: another tool made it."
            )
        form = metadata.making.format if metadata.making else ""
        return cls(artifact.path, form, artifact.input, artifact.output, metadata)

    @property
    def file(self) -> str:
        """Name of the file."""
        return self.path.name

    @property
    def figure(self) -> str | None:
        """What the numbers of a prediction are, such as `probability`."""
        return get_task(self.metadata.task).figure_name

    @property
    def has_standard_metadata(self) -> bool:
        """Whether a TFLite file has the metadata that MediaPipe and ML Kit read."""
        model = tflite.Model.GetRootAsModel(self.path.read_bytes(), 0)
        return STANDARD_METADATA in [model.Metadata(index).Name() for index in range(model.MetadataLength())]


def _info(tensors: Tensor | dict[str, Tensor]) -> Any:
    return map_outputs(tensor_info, tensors)


def tensor_info(tensor: Tensor) -> TensorInfo:
    """A tensor of the manifest as one of an artifact."""
    return TensorInfo(**dict(tensor))


def files_of(manifest: Manifest, folder: Path) -> list[RunnableFile]:
    """The files of the bundle in `folder`."""
    return [RunnableFile.from_record(record, manifest, folder) for record in manifest.artifacts]


def refusal(snippet: Snippet, file: RunnableFile) -> str | None:
    """Why the program of a snippet cannot run a file; None if it can."""
    if file.path.suffix != snippet.suffix:
        return f"it is not a {snippet.suffix} file"
    if not file.metadata.is_plain:
        return "it has several inputs or outputs"
    if not SAFE_NAME.fullmatch(file.file):
        return "its name has characters with a meaning in programs; rename it"
    shape = file.input.image_shape
    if shape[0] == 1:
        return "it takes signals, which image files do not have"
    if shape[-1] not in COLORS:
        return f"its images have {shape[-1]} channels, which image files do not have"
    if not snippet.takes_open_sizes and None in shape:
        return "its image size is open"
    for tensor in (file.input, file.output):
        if tensor.dtype not in snippet.dtypes:
            return f"its tensor {tensor.name} is {tensor.dtype}, which the program does not take"
    if snippet.is_beside and not file_beside(snippet, file).exists():
        project = file_beside(snippet, file).relative_to(file.path.parent)
        return f"there is no {project} beside it, which target edge-mcu makes"
    if snippet.needs_repository and not (file.path.parent / REPOSITORY / file.path.stem).exists():
        return f"there is no {REPOSITORY}/{file.path.stem} beside it, which target serving makes"
    return _refusal_of_program(file) if snippet.needs_metadata else None


def file_beside(snippet: Snippet, file: RunnableFile) -> Path:
    """The program of a snippet that is no template."""
    return project_folder(file.path) / snippet.template


def mediapipe_refusal(file: RunnableFile) -> str | None:
    """Why MediaPipe cannot open a file; None if it can."""
    if not file.metadata.is_plain:
        return "it has several inputs or outputs"
    if file.path.suffix != ".tflite" or not file.has_standard_metadata:
        return "it has no TFLITE_METADATA, which MediaPipe reads"
    if file.input.dtype not in MEDIAPIPE_TYPES or file.output.dtype not in MEDIAPIPE_TYPES:
        return f"MediaPipe takes {' and '.join(MEDIAPIPE_TYPES)}"
    reason = mediapipe.refusal(file.metadata)
    return f"MediaPipe refuses it: {reason}" if reason else None


def _refusal_of_program(file: RunnableFile) -> str | None:
    """Why the programs for MediaPipe do not show what a file outputs."""
    return mediapipe_refusal(file) or ("MediaPipe would show its logits" if file.metadata.from_logits else None)


def fitting_snippets(files: list[RunnableFile]) -> Iterator[tuple[Snippet, RunnableFile]]:
    """The snippets for a bundle, each with the file that suits it best."""
    for snippet in SNIPPETS.values():
        able = [file for file in files if refusal(snippet, file) is None]
        if able:
            yield snippet, min(able, key=lambda file: _preference(snippet, file))


def _preference(snippet: Snippet, file: RunnableFile) -> int:
    return (*snippet.formats, file.format).index(file.format)
