"""A model repository for NVIDIA's Triton Inference Server: its configuration is written for an ONNX file.

The format is that of https://docs.nvidia.com/deeplearning/triton-inference-server: a folder for each model, which has
`config.pbtxt`, the names of the classes, and a folder for each version of the model.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..core.outputs import by_name
from ..tasks.registry import get_task
from .artifact.artifact import Artifact
from .artifact.metadata import OutputForm, labels_by_file, labels_text
from .artifact.tensors import TensorInfo

REPOSITORY = "triton"
"""Folder of the repository in a bundle."""
MODEL = "1/model.onnx"
CONFIGURATION = "config.pbtxt"
TYPES = {
    "float16": "TYPE_FP16",
    "float32": "TYPE_FP32",
    "int32": "TYPE_INT32",
    "int64": "TYPE_INT64",
    "uint8": "TYPE_UINT8",
    "bool": "TYPE_BOOL",
}
"""Triton's names of types."""


def write_model(artifact: Artifact, max_batch: int) -> list[Path]:
    """Write the folder of an ONNX file of pocketzoo in the repository beside it, and return the paths of its files.

    Args:
        artifact: The file, opened.
        max_batch: Most images at once, where its batch is open.
    """
    folder = artifact.path.parent / REPOSITORY / artifact.path.stem
    (folder / MODEL).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(artifact.path, folder / MODEL)
    files = {CONFIGURATION: configuration(artifact, max_batch)}
    files |= {name: labels_text(labels) for _, name, labels in _label_files(artifact)}
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return [folder / name for name in (*files, MODEL)]


def update_models(bundle: Path) -> None:
    """Copy the ONNX files into the repository again, once they have their certificates."""
    for model in (bundle / REPOSITORY).glob(f"*/{MODEL}"):
        shutil.copyfile(bundle / f"{model.parents[1].name}.onnx", model)


def configuration(artifact: Artifact, max_batch: int) -> str:
    """Return the text of `config.pbtxt`.

    Where the batch is open, Triton adds it to the shapes, which leave it out; else it is part of them, and Triton must
    not batch.
    """
    is_open = all(tensor.shape[0] is None for tensor in (*artifact.inputs.values(), *artifact.outputs.values()))
    labels = {name: file for name, file, _ in _label_files(artifact)}
    lines = [
        f"name: {_quoted(artifact.path.stem)}",
        'backend: "onnxruntime"',
        f"max_batch_size: {max_batch if is_open else 0}",
        *_tensors("input", list(artifact.inputs.values()), is_open, {}),
        *_tensors("output", list(artifact.outputs.values()), is_open, labels),
        *(["dynamic_batching { }"] if is_open else []),  # requests that wait are run together
    ]
    return "\n".join(lines) + "\n"


def _label_files(artifact: Artifact) -> Iterator[tuple[str, str, Sequence[str]]]:
    """The name of each output that classifies, the file of its labels, and these."""
    if artifact.metadata is None:
        return
    forms: dict[str, OutputForm] = by_name(artifact.metadata.output_forms)
    files = labels_by_file(artifact.metadata)
    for tensor, form, (name, labels) in zip(artifact.outputs.values(), forms.values(), files.items(), strict=True):
        if labels and get_task(form.task).figure_name == "probability" and tensor.shape[-1] == len(labels):
            yield tensor.name, name, labels


def _tensors(kind: str, tensors: Sequence[TensorInfo], is_open: bool, labels: dict[str, str]) -> Iterator[str]:
    for tensor in tensors:
        shape = [-1 if side is None else side for side in tensor.shape[is_open:]]
        yield f"{kind} {{"
        yield f"  name: {_quoted(tensor.name)}"
        yield f"  data_type: {TYPES[tensor.dtype]}"
        yield f"  dims: [ {', '.join(map(str, shape or [1]))} ]"
        if not shape:  # a single value for each image, which takes an axis in requests
            yield "  reshape { shape: [ ] }"
        if tensor.name in labels:
            yield f"  label_filename: {_quoted(labels[tensor.name])}"
        yield "}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
