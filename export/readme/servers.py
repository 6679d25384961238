"""How model servers start with the files of a bundle, and what a request to them is."""

import json
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from ...core.outputs import by_name
from ..artifact.directories import SAVED_MODEL
from ..artifact.manifest import ArtifactRecord, Manifest
from ..triton import REPOSITORY, TYPES
from .runnable_files import SAFE_NAME

NOT_RUN = "Neither server was run here: TensorFlow and ONNX Runtime, which they call, were."


def server_lines(manifest: Manifest) -> Iterator[str]:
    """The section on servers; nothing for a bundle without files for them."""
    saved = [record for record in manifest.artifacts if PurePath(record.file).suffix == SAVED_MODEL]
    served = [
        record
        for record in manifest.artifacts
        if any(file.startswith(f"{REPOSITORY}/") for check in record.checks for file in check.files)
    ]
    if not saved and not served:
        return
    yield from ("## Servers", "", f"Run the commands in this folder. {NOT_RUN}", "")
    if manifest.model.is_plain:
        yield from ("A program below makes a request of a photo, sends it, and shows the answer.", "")
    for record in saved[:1]:
        yield from _tensorflow_serving(record)
    for record in served[:1]:
        yield from _triton(record)


def _tensorflow_serving(record: ArtifactRecord) -> Iterator[str]:
    if not SAFE_NAME.fullmatch(record.file):
        yield (
            "There is no command for TensorFlow Serving: the name of the folder has characters with a meaning in "
            "commands; rename it."
        )
        yield ""
        return
    yield (
        f"TensorFlow Serving, with `{record.file}`: the signature `serving_default` takes float32, `serving_uint8` "
        "takes images in bytes from 0 to 255; each takes any number of images, and answers as many outputs."
    )
    yield ""
    yield "```sh"
    yield f'docker run -p 8501:8501 -v "$PWD/{record.file}:/models/model/1" tensorflow/serving'
    yield "```"
    yield ""
    names = [tensor.name for tensor in by_name(record.input).values()]
    instance = "IMAGE" if len(names) == 1 else dict.fromkeys(names, "VALUE")
    request = {"signature_name": "serving_uint8", "instances": [instance]}
    yield (
        f"A request to http://localhost:8501/v1/models/model:predict is `{_shown(request)}`, where an image is a list "
        "of rows of pixels of channels."
    )
    yield ""


def _triton(record: ArtifactRecord) -> Iterator[str]:
    model = PurePath(record.file).stem
    yield (
        f"Triton Inference Server, with the model repository `{REPOSITORY}/`, in which a model has the name of its "
        "file: set RELEASE to one of https://catalog.ngc.nvidia.com/orgs/nvidia/containers/tritonserver."
    )
    yield ""
    yield "```sh"
    yield (
        f'docker run -p 8000:8000 -v "$PWD/{REPOSITORY}:/models" nvcr.io/nvidia/tritonserver:RELEASE-py3 '
        "tritonserver --model-repository=/models"
    )
    yield "```"
    yield ""
    yield "It runs on the CPU then; with an NVIDIA GPU and its container toolkit, add `--gpus all` behind `docker run`."
    yield ""
    inputs: list[dict[str, Any]] = [
        {
            "name": tensor.name,
            "shape": _example(tensor.shape),
            "datatype": TYPES[tensor.dtype].removeprefix("TYPE_"),
            "data": ["VALUES"],
        }
        for tensor in by_name(record.input).values()
    ]
    yield (
        f"A request to http://localhost:8000/v2/models/{quote(model)}/infer is `{_shown({'inputs': inputs})}`, with "
        "the values in one list, channels before rows."
    )
    yield ""


def _example(shape: Sequence[int | None]) -> list[int | str]:
    """A shape for one image; a single value for each image takes an axis in requests."""
    batch, *sides = [
        1 if not axis and side is None else "SIZE" if side is None else side for axis, side in enumerate(shape)
    ]
    return [batch, *(sides or [1])]


def _shown(request: Any) -> str:
    """JSON in which names in capitals stand for values."""
    text = json.dumps(request, ensure_ascii=False)
    for name in ("IMAGE", "VALUES", "VALUE", "SIZE"):
        text = text.replace(f'"{name}"', name)
    return text
