"""Core ML packages: what they say of themselves on any system, and Core ML itself on macOS."""

import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import InputError
from ...core.outputs import by_name
from ..artifact.artifact import Artifact
from ..artifact.certificate import certificate_in_directory
from ..artifact.metadata import KEY, Metadata, parse_metadata
from ..artifact.tensors import RAW, TensorInfo, only_or_named
from .onnx_files import Message, parse_message, text_of, varints

WEIGHTS = "Data/com.apple.CoreML/weights"
"""Folder of the weights in a package."""
DTYPES = {65552: "float16", 65568: "float32", 65600: "float64", 131104: "int32"}
"""Types of arrays, by their numbers in FeatureTypes.proto."""
CLASS_PROBABILITIES = "classLabel_probs"
"""Name of the output of a classifier that has a probability for each label."""
GRAYSCALE = 10
"""A color space there."""


class UnknownOperationError(RuntimeError):
    """An operation of a program, or this form of it, has no evaluation here."""


def describe_package(path: Path, content: bytes) -> tuple[Any, Any, Metadata]:
    """Return the input, the output and the metadata of a package, as its specification describes them.

    Several inputs or outputs are dicts by name. An image holds bytes, as pixel buffers do. The classes of a classifier
    have no shape in the specification; they are as many as its labels.

    Args:
        path: The package.
        content: Its `model.mlmodel`, a protocol buffer by Model.proto of coremltools.

    Raises:
        InputError: Another tool made it, or it is damaged.
    """
    description = _inner(parse_message(memoryview(content)), 2)
    metadata = _metadata(path, description)
    ranges = {name: form.pixel_range for name, form in metadata.input_forms.items()}
    inputs = [parse_message(feature) for feature in description[1]]
    taken = [_input(feature, ranges.get("") or ranges.get(text_of(feature, 1))) for feature in inputs]
    made = [_output(feature, metadata) for feature in map(parse_message, description[10]) if not _is_text(feature)]
    if metadata.outputs is None and len(made) != 1:
        raise InputError(f"it has {len(made)} outputs, and its metadata describes one.")
    return only_or_named(taken, True), only_or_named(made, metadata.outputs is None), metadata


def open_core_ml(path: Path, content: bytes, *, threads: int = 1) -> Artifact:
    """Open a package; elsewhere than on macOS it can be described, but not run.

    Args:
        path: The package.
        content: Its specification.
        threads: Not used: Core ML chooses between CPU, GPU and Neural Engine itself.

    Raises:
        InputError: Another tool made it, or it is damaged.
    """
    image, output, metadata = describe_package(path, content)
    predict = _predictor(path)

    def invoke(tensors: Any) -> Any:
        results = predict(
            {
                tensor.name: _feature(tensor, tensors[name] if name else tensors)
                for name, tensor in by_name(image).items()
            }
        )
        arrays = {name: _array(results[tensor.name], metadata) for name, tensor in by_name(output).items()}
        return arrays.get("", arrays)

    return Artifact(path, image, output, metadata, invoke, certificate=certificate_in_directory(path))


def count_operations(content: bytes) -> dict[str, int]:
    """Count each operation of the program in a specification by its type, constants left out."""
    program = _inner(parse_message(memoryview(content)), 502)
    functions = [_inner(parse_message(entry), 2) for entry in program[2]]
    blocks = [_inner(parse_message(entry), 2) for function in functions for entry in function[3]]
    kinds = Counter(text_of(parse_message(operation), 1) for block in blocks for operation in block[3])
    return {kind: count for kind, count in sorted(kinds.items()) if kind != "const"}


def _predictor(path: Path) -> Any:
    """A function that runs a package in Core ML, which it loads when it is called first."""
    loaded: list[Any] = []

    def predict(features: dict[str, Any]) -> dict[str, Any]:
        if sys.platform != "darwin":
            raise InputError(f"Core ML runs on Macs only, and this is {sys.platform}.")
        if find_spec("coremltools") is None:
            raise InputError("coremltools is not installed: pip install 'pocketzoo[apple]'")
        if not loaded:
            import coremltools

            loaded.append(coremltools.models.MLModel(str(path)))
        results: dict[str, Any] = loaded[0].predict(features)
        return results

    return predict


def _feature(tensor: TensorInfo, values: np.ndarray) -> Any:
    """What Core ML takes: a picture, or an array."""
    if tensor.dtype != "uint8":
        return values
    from PIL import Image

    return Image.fromarray(values[0, ..., 0] if values.shape[-1] == 1 else values[0])


def _array(result: Any, metadata: Metadata) -> np.ndarray:
    """An output of Core ML; the classes of a classifier come in a dict, in any order."""
    if isinstance(result, dict):
        return np.array([[result[label] for label in metadata.labels]], "float32")
    return np.asarray(result)


def _metadata(path: Path, description: Message) -> Metadata:
    entries = [parse_message(entry) for entry in _inner(description, 100)[100]]
    found = {text_of(entry, 1): text_of(entry, 2) for entry in entries}
    if KEY not in found:
        raise InputError(f"another tool made it; {path.suffix} packages of other tools are not supported.")
    return parse_metadata(found[KEY])


def _input(feature: Message, limits: tuple[float, float] | None) -> TensorInfo:
    kind, name = _inner(feature, 3), text_of(feature, 1)
    if kind[4]:
        image = _inner(kind, 4)
        channels = 1 if image[3][-1:] == [GRAYSCALE] else 3
        shape = (1, int(image[2][-1]), int(image[1][-1]), channels)
        low, high = limits or RAW
        step = (high - low) / 255
        return TensorInfo(name, shape, "uint8", step, round(-low / step))  # no byte stands for 0 where it is beyond
    return _array_info(name, kind)


def _output(feature: Message, metadata: Metadata) -> TensorInfo:
    kind, name = _inner(feature, 3), text_of(feature, 1)
    return TensorInfo(name, (1, len(metadata.labels)), "float32") if kind[6] else _array_info(name, kind)


def _array_info(name: str, kind: Message) -> TensorInfo:
    array = _inner(kind, 5)
    sides = [side for part in array[1] for side in ([part] if isinstance(part, int) else varints(part))]
    (number,) = array[2][-1:] or [0]
    if number not in DTYPES:
        raise InputError(f"its {name!r} is neither an image nor an array of {', '.join(DTYPES.values())}.")
    return TensorInfo(name, tuple(sides), DTYPES[number])


def _is_text(feature: Message) -> bool:
    """Whether it is the label of a classifier's best class, of which the probabilities tell more."""
    return bool(_inner(feature, 3)[3])


def _inner(message: Message, number: int) -> Message:
    """A message in another; an empty one where there is none."""
    return parse_message(message[number][-1] if message[number] else memoryview(b""))
