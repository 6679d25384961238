"""An integer TFLite file as a project for microcontrollers: templates in `export/microcontroller/project`."""

import re
from pathlib import Path
from zlib import crc32

import numpy as np

from ...tasks.registry import get_task
from ..artifact.artifact import Artifact
from ..artifact.certificate import model_part
from ..artifact.metadata import Metadata
from ..artifact.tensors import RAW
from ..example import Example
from ..program_templates import chosen_lines, output_conditions, threshold
from ..tflite_schema.arena_estimate import estimate_arena
from ..tflite_schema.flatbuffer import pack_model, unpack_model
from ..tflite_schema.nodes import tflite_nodes
from ..tflite_schema.operator_support import operator_list

TEMPLATES = Path(__file__).parents[1] / "microcontroller" / "project"
FIELD = re.compile(r"@(\w+)@")
"""A field of a template, as in CMake's `configure_file`."""
NAME, EXAMPLE = "NAME", "NAME_example.h"
"""In the names of templates, what stands for the name of the project."""
MEASURED = "Measured by TensorFlow Lite Micro with 64-bit pointers; it is less with 32-bit pointers."
ESTIMATED = (
    "Estimated, since TensorFlow Lite Micro was not installed to measure it, or refuses the model: reduce it as far as "
    "the model loads."
)
VALUES_SHOWN = 8
"""Numbers without names of an output that comments show."""
EXAMPLE_BYTES = 2**14
"""Largest image in an example: it takes flash of the board."""


def write_c_source(
    artifact: Artifact, metadata: Metadata, arena_bytes: int | None = None, example: Example | None = None
) -> tuple[Path, ...]:
    """Write a project with the model's bytes and an example beside the TFLite file.

    The folder, whose name is `c_name` of the file's stem, is a CMake project, an Arduino sketch and a Zephyr module.

    Args:
        artifact: The integer TFLite file, opened.
        metadata: Its metadata.
        arena_bytes: Size of the arena; estimated if None.
        example: An image that the example runs, unless it is too large; an even gray if None.

    Returns:
        The files, the folder's README first.
    """
    folder = project_folder(artifact.path)
    example = example if example is not None and example.pixels.size <= EXAMPLE_BYTES else None
    values = values_of(artifact, metadata, arena_bytes)
    values |= {} if example is None else _example_values(artifact, metadata, example)
    conditions = _conditions(artifact, metadata) | {"example": example is not None}
    files = []
    for template in sorted(TEMPLATES.rglob("*"), key=lambda path: (path.name != "README.md", path)):
        if template.is_file() and (example is not None or template.name != EXAMPLE):
            path = folder / str(template.relative_to(TEMPLATES)).replace(NAME, folder.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = (f"{line}\n" for line in chosen_lines(template, conditions))
            path.write_text(fill("".join(lines), values), encoding="ascii")
            files.append(path)
    return tuple(files)


def _example_values(artifact: Artifact, metadata: Metadata, example: Example) -> dict[str, object]:
    """The fields of templates on an example, among them what the program prints for it in LiteRT."""
    lines = _printed(artifact, metadata, example)
    return {
        "example_file": example.file,
        "example_pixels": _array_rows(example.pixels.tobytes()),
        "prints": "\n".join(f"    {line}" for line in lines),
        "comment": "\n".join(f"//   {line}" for line in lines),
    }


def _printed(artifact: Artifact, metadata: Metadata, example: Example) -> list[str]:
    """The lines of `app/main.cpp` for an image; labels as in a string of C++."""
    task, labels = get_task(metadata.task), metadata.labels
    output = metadata.decode(artifact.run(example.pixels[None]))[0]
    if task.figure_name in ("value", "count"):
        rows = task.predictions(output, labels, None)
        return [f"{c_string(label)[1:-1]}: {int(1000 * value)} / 1000" for label, value in rows]
    if output_conditions(metadata, artifact.output)["vector"]:
        values = output.ravel()
        first = [f"{index}: {int(1000 * value)} / 1000" for index, value in enumerate(values[:VALUES_SHOWN])]
        return first + (["..."] if values.size > VALUES_SHOWN else [])
    if task.figure_name == "share":
        classes = output.argmax(axis=-1)
        output = np.bincount(classes.ravel(), minlength=len(labels)) / classes.size
    shown = [int(output.argmax())] if task.one_decision_per_image else range(len(labels))
    return [f"{c_string(labels[index])[1:-1]}: {int(100 * output[index])} %" for index in shown]


def array_content(content: bytes) -> bytes:
    """Return the model of a TFLite file as it goes into the array, without what costs flash and does not run.

    These are the labels and the validation results behind the model, and the metadata in it.
    """
    model = unpack_model(model_part(content, ".tflite"))
    used = {tensor.buffer for graph in model.subgraphs for tensor in graph.tensors}
    for entry in model.metadata or ():
        if entry.buffer not in used:
            model.buffers[entry.buffer].data = None
    model.metadata = None
    return pack_model(model)


def project_folder(path: Path) -> Path:
    """The folder of the project for the TFLite file at `path`."""
    return path.with_name(c_name(path.stem))


def _conditions(artifact: Artifact, metadata: Metadata) -> dict[str, bool]:
    """What lines of the templates depend on."""
    return output_conditions(metadata, artifact.output) | {
        "raw_pixels": metadata.pixel_range == RAW,
        "shifted": artifact.input.byte_offset(metadata.pixel_range) == -128,
        "likeliest": get_task(metadata.task).one_decision_per_image,
        "counts": get_task(metadata.task).figure_name == "count",
    }


def fill(template: str, values: dict[str, object]) -> str:
    """Replace the fields of a template."""
    return FIELD.sub(lambda field: str(values[field[1]]), template)


def values_of(artifact: Artifact, metadata: Metadata, arena_bytes: int | None = None) -> dict[str, object]:
    """The fields of the templates."""
    content = array_content(artifact.path.read_bytes())
    name = c_name(artifact.path.stem)
    accepted = operator_list("tflite_micro").operators
    added = sorted({accepted[node.operator].added_by or "" for node in tflite_nodes(content)})
    height, width, channels = metadata.image_shape
    outputs = 1
    for side in artifact.output.shape:
        outputs *= side
    low, high = metadata.pixel_range
    top = 2 ** (int(artifact.input.dtype.removeprefix("int")) - 1)
    return {
        "model": c_name(metadata.model),
        "weights": metadata.weights_sha256,
        "file": artifact.path.name if artifact.path.name.isascii() else "the TFLite file",
        "guard": name.upper() if name.islower() else name,  # different for Net and net
        "kconfig": name.upper() if name.islower() else name,
        "name": name,
        "bytes": len(content),
        "arena_bytes": estimate_arena(content) if arena_bytes is None else arena_bytes,
        "arena_basis": ESTIMATED if arena_bytes is None else MEASURED,
        "value": artifact.input.dtype,
        "field": {"int8": "int8", "int16": "i16"}[artifact.input.dtype],
        "lowest": -top,
        "highest": top - 1,
        "height": height,
        "width": width,
        "channels": channels,
        "low": c_float(low),
        "step": c_float((high - low) / 255),
        "range": f"{low:g} to {high:g}",
        "input_scale": c_float(artifact.input.scale),
        "input_zero_point": artifact.input.zero_point,
        "outputs": outputs,
        "scores": artifact.output.shape[-1],
        "threshold": threshold(metadata),
        "output_scale": c_float(artifact.output.scale),
        "output_zero_point": artifact.output.zero_point,
        "label_count": len(metadata.labels),
        "labels": "\n".join(f"    {c_string(label)}," for label in metadata.labels),
        "operators": len(added),
        "add_operators": "\n".join(f"  resolver.{method}();" for method in added),
        "array": _array_rows(content),
    }


def _array_rows(content: bytes) -> str:
    rows = (content[start : start + 16] for start in range(0, len(content), 16))
    return "\n".join(f"    {', '.join(f'0x{byte:02x}' for byte in row)}," for row in rows)


def c_name(text: str) -> str:
    """Convert `text` to an identifier; the stem of a file, such as `net-int8`, to one that no other stem has."""
    name = re.sub(r"[^0-9A-Za-z]+", "_", text).strip("_")
    name = name if name[:1].isalpha() else f"model_{name}"
    model = text.rpartition("-")[0] or text
    is_plain = re.fullmatch("[A-Za-z][0-9A-Za-z]*(_[0-9A-Za-z]+)*", model)
    return name if is_plain else f"{name}_{crc32(text.encode()):08x}"


def c_float(value: float) -> str:
    """Write the float32 nearest to `value` as an exact literal."""
    return f"{value:.9e}f"


def c_string(text: str) -> str:
    """Write `text` in UTF-8 as a string literal; quotes and all but printable ASCII are escaped."""
    plain = (chr(byte) if 32 <= byte < 127 and byte not in b'"\\?' else f"\\{byte:03o}" for byte in text.encode())
    return f'"{"".join(plain)}"'
