"""Programs that run an artifact on an image file, in the languages of its clients, from templates.

A template (see `program_templates`) has `{{name}}` for a value.
"""

import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from urllib.parse import quote

import numpy as np

from ...core.errors import InputError, unknown
from ..artifact.directories import SAVED_MODEL
from ..artifact.metadata import labels_by_file
from ..artifact.tensors import RAW, TensorInfo
from ..program_templates import chosen_lines, output_conditions, threshold
from ..runtimes.core_ml import CLASS_PROBABILITIES
from ..triton import TYPES
from .packages import PACKAGES
from .runnable_files import COLORS, RunnableFile, file_beside, fitting_snippets, refusal
from .snippet_table import SNIPPETS, Snippet

TEMPLATES = Path(__file__).with_name("templates")
MANY_CLASSES = 256
"""More class indices than a pixel of a grayscale PNG has values."""
CPP_TYPES = {"float32": "float"} | {name: f"std::{name}_t" for name in ("int8", "uint8", "int16")}
SWIFT_TYPES = {"float32": "Float", "int8": "Int8", "uint8": "UInt8", "int16": "Int16"}
CSHARP_TYPES = {"float32": "float", "int8": "sbyte", "uint8": "byte"}
TYPED_ARRAYS = {"float32": "Float32Array", "int8": "Int8Array", "uint8": "Uint8Array"}


def snippet_text(name: str, files: list[RunnableFile], what: str) -> str:
    """The program in a language for a file, or for the file of a bundle that suits it best.

    Args:
        name: Name of the snippet.
        files: The files that it may run.
        what: What messages call them.

    Raises:
        InputError: There is no such snippet, or it cannot run any of the files.
    """
    if name not in SNIPPETS:
        raise unknown("snippet", name, SNIPPETS)
    for snippet, file in fitting_snippets(files):
        if snippet.name == name:
            return program(snippet, file)
    refusals = {file.file: refusal(SNIPPETS[name], file) for file in files}
    closest = [why for file, why in refusals.items() if file.endswith(SNIPPETS[name].suffix)] or list(refusals.values())
    able = ", ".join(snippet.name for snippet, _ in fitting_snippets(files))
    raise InputError(
        f"snippet {name} cannot run {what}: {'; '.join(dict.fromkeys(map(str, closest)))}. "
        + (
            f"It takes {' and '.join(SNIPPETS[name].dtypes)} files of target edge-mcu. "
            if SNIPPETS[name].is_beside
            else ""
        )
        + (f"Those that can are {able}." if able else "No other can.")
    )


def program(snippet: Snippet, file: RunnableFile) -> str:
    """The program for a file that `snippet` does not refuse."""
    if snippet.is_beside:
        return file_beside(snippet, file).read_text(encoding="utf-8")
    values = _values(file) | PACKAGES | {"name": snippet.stem}
    lines = chosen_lines(TEMPLATES / snippet.template, _conditions(file))
    return "".join(f"{_substitute(line, values).rstrip()}\n" for line in lines)


def _substitute(line: str, values: Mapping[str, object]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda match: str(values[match[1]]), line)


def _conditions(file: RunnableFile) -> dict[str, bool]:
    """What lines of templates depend on."""
    metadata, image, output = file.metadata, file.input, file.output
    offset = image.byte_offset(metadata.pixel_range)
    return output_conditions(metadata, output) | {
        "tflite": file.file.endswith(".tflite"),
        "saved_model": file.path.suffix == SAVED_MODEL,
        "labels": bool(metadata.labels),
        "open": None in image.image_shape,
        "classifier": output.name == CLASS_PROBABILITIES,
        "gray": image.image_shape[-1] == 1,
        "nchw": image.layout == "NCHW",
        "raw_pixels": metadata.pixel_range == RAW,
        "float_input": image.scale is None,
        "plain_bytes": offset == 0,
        "shifted": offset == -128,
        "scaled": image.scale is not None and offset is None,
        "quantized_output": output.scale is not None,
        "int8_output": output.dtype == "int8",
        "uint8_output": output.dtype == "uint8",
        "map_first": output.is_image and output.layout == "NCHW",
        "rounded": image.image_shape[-1] == 1 or (image.scale is not None and offset is None),
        "few": len(metadata.labels) <= MANY_CLASSES,
    }


def _values(file: RunnableFile) -> dict[str, object]:
    """What placeholders of templates stand for."""
    metadata, image, output = file.metadata, file.input, file.output
    height, width, channels = image.image_shape
    low, high = metadata.pixel_range
    mode, colors = COLORS[channels]
    names = list(labels_by_file(metadata)) if metadata.labels else [""]
    rows, columns = output.value_shape[:2] if output.is_image else (1, 1)
    limits = np.iinfo("int8" if image.scale is None else image.dtype)
    return {
        "model": re.sub(r"[^\w .-]", "_", metadata.model),
        "file": file.file,
        "stem": PurePath(file.file).stem,
        "url_stem": quote(PurePath(file.file).stem),
        "triton_type": TYPES.get(image.dtype, "").removeprefix("TYPE_"),
        "labels": names[0],
        "labels_stem": PurePath(names[0]).stem,
        "and_labels": f" and {names[0]}" if metadata.labels else "",
        "and_labels_file": f" and {names[0]}" if metadata.labels and output.name != CLASS_PROBABILITIES else "",
        "output_shape": " x ".join(map(str, output.shape)),
        "label_count": len(metadata.labels),
        "height": height,
        "width": width,
        "channels": channels,
        "mode": mode,
        "colors": colors,
        "low": _number(low),
        "high": _number(high),
        "step": _number((high - low) / 255),
        "input_name": image.name,
        "input_type": image.dtype,
        "input_scale": _number(image.scale),
        "plus_input_zero_point": _term(image.zero_point or 0),
        "input_min": limits.min,
        "input_max": limits.max,
        "array": TYPED_ARRAYS.get(image.dtype),
        "input_cpp": CPP_TYPES[image.dtype],
        "input_swift": SWIFT_TYPES[image.dtype],
        "input_cs": CSHARP_TYPES.get(image.dtype),
        "output_scale": _number(output.scale),
        "minus_output_zero_point": _term(-(output.zero_point or 0)),
        "output_cpp": CPP_TYPES[output.dtype],
        "output_swift": SWIFT_TYPES[output.dtype],
        "output_cs": CSHARP_TYPES.get(output.dtype),
        "outputs": _channels(output),
        "output_height": rows,
        "output_width": columns,
        "output_elements": int(np.prod([side or 1 for side in output.shape])),
        "half": threshold(metadata),
    }


def _channels(output: TensorInfo) -> int | None:
    """Number of classes, labels or values."""
    return output.value_shape[-1]


def _number(value: float | None) -> str:
    """The shortest decimal number that is `value` in float32."""
    return "" if value is None else str(np.float32(value))


def _term(value: int) -> str:
    """What is added, such as `+ 128`."""
    return f"- {-value}" if value < 0 else f"+ {value}"
