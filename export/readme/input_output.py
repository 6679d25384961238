"""The sections of a bundle's README on inputs and outputs: how to make an input of an image, and what outputs mean."""

from collections.abc import Iterator, Sequence

from ...core.outputs import by_name
from ...tasks.registry import get_task
from ..artifact.directories import CORE_ML
from ..artifact.manifest import Manifest, Tensor
from ..artifact.metadata import InputForm, OutputForm, labels_by_file
from ..artifact.report import escape, markdown_table
from ..artifact.tensors import RAW
from ..runtimes.core_ml import CLASS_PROBABILITIES
from .runnable_files import COLORS, tensor_info

LABELS_SHOWN, FIRST_LABELS = 12, 10
"""All labels up to so many, and how many of more."""
UNLIKE = (
    "The model knows images like those of its training only: one of another framing, background or color gets a wrong "
    "prediction, however sure."
)
ORDERS = {"NHWC": "rows, columns, channels", "NCHW": "channels, rows, columns"}


def input_lines(manifest: Manifest) -> Iterator[str]:
    """Lines on how to make the inputs of an image file, and on the input tensors of each file."""
    yield from ("## Input", "")
    yield from _input_rules(manifest)
    if any(form.pixel_range is not None for form in manifest.model.input_forms.values()):
        yield from (UNLIKE, "")
    yield from markdown_table(("file", "input", "shape", "type", "order", "value"), list(_input_rows(manifest)))
    yield ""


def output_lines(manifest: Manifest) -> Iterator[str]:
    """Lines on what the outputs mean, and on the output tensors of each file."""
    yield from ("## Output", "")
    yield from _output_rules(manifest)
    yield from markdown_table(("file", "output", "shape", "type", "real value"), list(_output_rows(manifest)))
    yield ""


def _input_rules(manifest: Manifest) -> Iterator[str]:
    """How to make an input of an image file."""
    for name, form in manifest.model.input_forms.items():
        what = f"`{escape(name)}`" if name else "The input"
        if form.pixel_range is None:
            yield f"{what} is no image but values of type {form.dtype}, as the model was trained with."
        else:
            yield from _image_rules(what, form)
        yield ""


def _image_rules(what: str, form: InputForm) -> Iterator[str]:
    height, width, channels = form.shape
    size = "any size" if height is None or width is None else f"{height} rows and {width} columns"
    colors = {1: "grayscale", 3: "RGB"}.get(channels, f"{channels} channels")
    low, high = form.pixel_range or RAW
    if height == 1:
        yield (
            f"{what} is one signal of {width} samples with {channels} channel{'s' if channels > 1 else ''}, as an "
            f"image of one row: the samples in their order, of each its channels. Its values go from {low:g} to "
            f"{high:g}; where the table says pixel, these are 0 to 255."
        )
        return
    if channels not in COLORS:
        yield (
            f"{what} is one image of {size}, {colors}, which image files do not have. Its values go from {low:g} to "
            f"{high:g}; where the table says pixel, these are 0 to 255."
        )
        return
    yield f"{what} is one image of {size}, {colors}. To make it of an image file:"
    yield ""
    yield "1. Turn it upright by its EXIF tag, and put it on white where it is transparent."
    if channels == 1:
        yield "1. Convert it to grayscale: 0.299 red + 0.587 green + 0.114 blue."
    if height and width:
        yield (
            f"1. Resize it to {height} rows and {width} columns without keeping its proportions, bilinearly with "
            "averaging where it shrinks (Pillow's `BILINEAR`, a triangle filter, `antialias=True`). Another filter "
            "changes the output a little; one that skips pixels changes it a lot."
        )
    if (low, high) == RAW:
        yield (
            "1. Write the pixels, 0 to 255, as the table says. The model normalizes them itself: subtract no mean, and "
            "divide by no standard deviation."
        )
    else:
        step = f"{(high - low) / 255:.6g}"
        yield (
            f"1. Make values from {low:g} to {high:g} of pixels from 0 to 255: {low:g} + {step} pixel. Write what "
            "the table says: these values, or the pixels."
        )


def _input_rows(manifest: Manifest) -> Iterator[tuple[str, ...]]:
    forms = manifest.model.input_forms
    for record in manifest.artifacts:
        for name, tensor in by_name(record.input).items():
            if record.file.endswith(CORE_ML) and tensor.dtype == "uint8":
                yield (
                    record.file,
                    tensor.name,
                    _shape(tensor.shape[1:3]),
                    "image",
                    "-",
                    "a CVPixelBuffer or CGImage",
                )
                continue
            order = f"{tensor.layout}: {ORDERS[tensor.layout]}" if len(tensor.shape) == 4 else "-"
            yield (
                record.file,
                tensor.name,
                _shape(tensor.shape),
                tensor.dtype,
                order,
                written(tensor, forms[name].pixel_range),
            )


def written(tensor: Tensor, limits: tuple[float, float] | None) -> str:
    """What a tensor holds for a value, or for a pixel of images of a range."""
    value = "pixel" if limits == RAW else "value"
    if tensor.scale is None:
        return value
    zero_point = shift = tensor.zero_point or 0
    offset = None if limits is None else tensor_info(tensor).byte_offset(limits)
    if offset is not None:
        value, shift = "pixel", offset
    elif tensor.scale != 1:
        value = f"round({value} / {tensor.scale:.9g})"
    shifted = f"{value} {'-' if shift < 0 else '+'} {abs(shift)}" if shift else value
    return f"{shifted} (scale {tensor.scale:.9g}, zero point {zero_point})"


def _output_rules(manifest: Manifest) -> Iterator[str]:
    """What the outputs mean."""
    names = iter(labels_by_file(manifest.model))
    for name, form in by_name(manifest.model.output_forms).items():
        what, file = f"`{escape(name)}`" if name else "The output", next(names)
        single = any(
            tensor_info(by_name(record.output)[name]).value_shape[-1:] == (1,) for record in manifest.artifacts
        )
        yield f"{what} is {_meaning(form, single)}{_labels(form, file)}"
        yield ""


def _meaning(form: OutputForm, single: bool) -> str:
    """What the numbers of an output are, of which there may be a single one."""
    task = get_task(form.task)
    place = "for each pixel " if task.figure_name == "share" else ""
    if task.output_meaning:
        return task.output_meaning
    if task.figure_name is None:
        return f"a vector or map of numbers without names ({form.task})"
    if single and task.activation == "softmax" and len(form.labels) == 2:
        first, second = map(escape, form.labels)
        kind = "a logit, whose sigmoid is the probability" if form.from_logits else "the probability"
        threshold = "0" if form.from_logits else "0.5"
        return f"{place}{kind} of the second of two classes: above {threshold} {second} is the prediction, else {first}"
    if form.from_logits:
        function = "sigmoid" if task.activation == "sigmoid" else "softmax"
        return f"{place}logits: their {function} are the probabilities of {_things(form)}"
    return f"{place}the probability of each of {_things(form)}"


def _things(form: OutputForm) -> str:
    if get_task(form.task).activation == "sigmoid":
        return f"{len(form.labels)} labels, of which any number may apply: each does where its probability is above 0.5"
    return f"{len(form.labels)} classes, which add up to 1: the largest is the prediction"


def _labels(form: OutputForm, file: str) -> str:
    if not form.labels:
        return "."
    count = len(form.labels)
    first = form.labels if count <= LABELS_SHOWN else form.labels[:FIRST_LABELS]
    shown = ", ".join(map(escape, first))
    more = f" and {count - len(first)} more" if count > len(first) else ""
    return f". In the order of `{file}`: {shown}{more}."


def _output_rows(manifest: Manifest) -> Iterator[tuple[str, ...]]:
    for record in manifest.artifacts:
        for tensor in by_name(record.output).values():
            if tensor.name == CLASS_PROBABILITIES:
                label = "classLabel is the best one"
                yield record.file, tensor.name, "-", "dictionary", f"probability by label; {label}"
            else:
                yield record.file, tensor.name, _shape(tensor.shape), tensor.dtype, _real(tensor)


def _real(tensor: Tensor) -> str:
    """How to compute the real value of what a tensor holds."""
    if tensor.scale is None:
        return "as it is"
    zero_point = tensor.zero_point or 0
    shifted = f"(value {'+' if zero_point < 0 else '-'} {abs(zero_point)})" if zero_point else "value"
    return f"{shifted} * {tensor.scale:.9g} (scale {tensor.scale:.9g}, zero point {zero_point})"


def _shape(shape: Sequence[int | None]) -> str:
    return " x ".join("any" if side is None else str(side) for side in shape)
