"""TFLite's standard metadata, by which apps prepare images and name outputs.

MediaPipe and ML Kit read it from the buffer `TFLITE_METADATA`. The schemas are published with MediaPipe, in
https://github.com/google-ai-edge/mediapipe/tree/master/mediapipe/tasks/metadata; the numbers here are the places of
fields and the values of enumerations in them.
"""

from collections.abc import Mapping, Sequence

from ...core.outputs import by_name
from ...tasks.registry import get_task
from ..tflite_schema.tables import Number, Table, pack_table
from .metadata import InputForm, Metadata, OutputForm, TensorNames
from .tensors import RAW, concrete_shape

IDENTIFIER = b"M001"
SEGMENTER, SEGMENTER_IDENTIFIER = "SEGMENTER_METADATA", b"V001"
FIRST_VERSION, CUSTOM_VERSION = "1.0.0", "1.5.0"
"""The first version of the schema, and that which added metadata of other schemas."""
FEATURE, IMAGE = Number("Uint8", 1), Number("Uint8", 2)
"""Kinds of content."""
NORMALIZATION = Number("Uint8", 1)
AXIS_LABELS = Number("Int8", 2)
COLOR_SPACES = {3: Number("Int8", 1), 1: Number("Int8", 2)}
"""RGB and grayscale, by the number of channels."""
ACTIVATIONS = {None: Number("Int8", 0), "sigmoid": Number("Int8", 1), "softmax": Number("Int8", 2)}
"""What a segmenter's app computes of its outputs."""


def standard_metadata(metadata: Metadata, names: TensorNames, labels: Mapping[str, Sequence[str]]) -> bytes:
    """Return the content of the buffer.

    Args:
        metadata: What is known of the model.
        names: Names of the inputs, and of the outputs.
        labels: Labels of each output, by the name of their file at the end of the model.
    """
    forms = by_name(metadata.output_forms).values()
    graph: dict[int, object] = {
        2: [_input_table(*each) for each in zip(names[0], metadata.input_forms.values(), strict=True)],
        3: [_output_table(*each) for each in zip(names[1], forms, labels.items(), strict=True)],
    }
    segmenters = [
        ACTIVATIONS[_activation_of_logits(form, lines)]
        for form, lines in zip(forms, labels.values(), strict=True)
        if get_task(form.task).vision_task == "segment"
    ]
    if segmenters:
        options = pack_table({0: segmenters[-1], 1: FIRST_VERSION}, SEGMENTER_IDENTIFIER)
        graph[9] = [{0: SEGMENTER, 1: options}]
    model: Table = {
        0: metadata.model,
        1: describe_model(metadata),
        2: metadata.weights_sha256[:12],
        3: [graph],
        7: CUSTOM_VERSION if segmenters else FIRST_VERSION,
    }
    return pack_table(model if metadata.license is None else {**model, 5: metadata.license}, IDENTIFIER)


def describe_model(metadata: Metadata) -> str:
    """Return what the model does, and where its weights are from."""
    tasks = " and ".join(dict.fromkeys(get_task(task).name.replace("_", "-") for task in metadata.tasks))
    origin = f" Weights from {metadata.origin}." if metadata.origin else ""
    return f"{metadata.model}: {tasks}. Exported and validated by pocketzoo.{origin}"


def describe_input(form: InputForm) -> str:
    """Return what an input is."""
    if form.pixel_range is None:
        return f"Values of shape {form.shape}."
    (height, width, channels), (low, high) = concrete_shape(form.shape), form.pixel_range
    colors = {3: "RGB image", 1: "Grayscale image"}.get(channels, f"Image with {channels} channels")
    size = "any size" if None in form.shape else f"{width}x{height} pixels"
    values = "raw pixels" if form.pixel_range == RAW else f"values from {low:g} to {high:g}"
    return f"{colors} of {size}, {values}; any other normalization is inside the model."


def _input_table(name: str, form: InputForm) -> Table:
    if form.pixel_range is None:
        return {0: name, 1: describe_input(form), 3: {0: FEATURE, 1: {}}}
    (height, width, channels), (low, high) = concrete_shape(form.shape), form.pixel_range
    scale = 255 / (high - low)  # the value is (pixel - mean) / scale
    mean = 0.0 if low == 0 else -low * scale
    properties: dict[int, object] = {1: {0: Number("Uint32", width), 1: Number("Uint32", height)}}
    if channels in COLOR_SPACES:
        properties[0] = COLOR_SPACES[channels]
    return {
        0: name,
        1: describe_input(form),
        3: {0: IMAGE, 1: properties},
        4: [{0: NORMALIZATION, 1: {0: [mean], 1: [scale]}}],
        5: {0: [high], 1: [low]},
    }


def _output_table(name: str, form: OutputForm, labels: tuple[str, Sequence[str]]) -> Table:
    task, (file, lines) = get_task(form.task), labels
    table: dict[int, object] = {0: name, 1: _meaning(form, lines), 3: {0: FEATURE, 1: {}}}
    if task.covers_image:  # a picture of gray levels for each class
        table[3] = {0: IMAGE, 1: {0: COLOR_SPACES[1]}, 2: {0: Number("Int32", 1), 1: Number("Int32", 2)}}
    if task.activation is not None and not form.from_logits:
        table[5] = {0: [1.0], 1: [0.0]}
    if lines and not task.has_places:  # objects and points have other axes
        table[6] = [{0: file, 1: "One label for each value of the last axis.", 2: AXIS_LABELS}]
    return table


def _meaning(form: OutputForm, labels: Sequence[str]) -> str:
    """What the values of an output are."""
    task, activation = get_task(form.task), _activation_of_logits(form, labels)
    place = " at each pixel" if task.covers_image else ""
    if task.activation is None:
        return f"{task.output_name.capitalize()} of the {task.name}{place}."
    single = len(labels) < len(form.labels)
    values = "Probability of the second of two classes" if single else "Probabilities of the classes"
    return f"{values}{place}{f', as logits before the {activation}' if activation else ''}."


def _activation_of_logits(form: OutputForm, labels: Sequence[str]) -> str | None:
    """What makes probabilities of an output; None where it has them already."""
    activation = get_task(form.task).activation if form.from_logits else None
    return "sigmoid" if activation == "softmax" and len(labels) < len(form.labels) else activation
