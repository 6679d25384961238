"""What the inputs and outputs of a file mean that another tool made: as stated, as it says itself, or inferred."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...core.errors import InputError
from ...core.outputs import Flags, LabelNames, PixelRange, TaskNames
from ...core.short_repr import ShortRepr
from ...tasks.registry import get_task
from ...zoo.pixel_range import Range, parse_range
from .file_facts import FileFacts
from .metadata import OutputForm
from .output_forms import form_of, named_output, shape_text
from .tensors import RAW, TensorInfo

KNOWN_RANGES: tuple[Range, ...] = (RAW, (0.0, 1.0), (-1.0, 1.0), (-128.0, 127.0))
"""Ranges of pixels by which integer inputs are quantized; others come from normalization by channel."""
TOLERANCE = 0.02
"""Share of a range by which the range of a quantized input may differ from it: that of its calibration images."""
EXCESS = 0.25
"""Share of the range of a quantized input by which a stated range may exceed it, as dark calibration images make it."""
COARSEST = 4
"""Largest step of a quantized input, as a multiple of that of 256 gray levels in the stated range."""
PROBABILITY_TOLERANCE = 1e-2
"""By how much rounding to integers takes a probability below 0 or above 1."""
PIXEL_OPTION = "the pixel range that it expects: --pixels 0..1 (in Python pixels='0..1'), 0..255 or -1..1"


@dataclass(frozen=True)
class Statements(ShortRepr):
    """What a user states about a file; None where nothing is stated."""

    task: TaskNames | None = None
    labels: LabelNames | None = None
    pixels: PixelRange | None = None
    from_logits: Flags | None = None
    known_task: TaskNames | None = None
    """Task of the targets that the file is evaluated with, where `task` is None."""
    known_labels: LabelNames | None = None

    def updated(self, **statements: Any) -> "Statements":
        """Return them with those that are not None in place of earlier ones."""
        return replace(self, **{name: value for name, value in statements.items() if value is not None})


@dataclass(frozen=True, eq=False)
class Contract(ShortRepr):
    """What the inputs and outputs of a file mean."""

    forms: Mapping[str, OutputForm]
    """The outputs by name, which is empty for the only one; `raw` where nobody knows the task."""
    ranges: Mapping[str, Range | None]
    """Range of the values of each input by name; None where it is no image, or its range is not known."""
    inferred: tuple[str, ...] = ()
    """What was inferred, in words."""
    unknown_outputs: Mapping[str, str] = field(default_factory=dict)
    """Outputs that may have a task which nobody stated, and what to state."""
    unknown_ranges: tuple[str, ...] = ()
    """Images whose range is not known."""

    def describe(self, path: object) -> str:
        """Describe in one line what was inferred and what is not known; empty if nothing is."""
        found = [f"Inferred for {path}: {'; '.join(self.inferred)}."] if self.inferred else []
        asked = [f"{named_output(name)} is shown as numbers: state {ask}" for name, ask in self.unknown_outputs.items()]
        return " ".join([*found, *(f"In {path}, {ask}." for ask in asked)])

    def decode(self, name: str, values: np.ndarray, path: object) -> np.ndarray:
        """Return the values of an output in the form of its task.

        Raises:
            InputError: They do not have that form.
        """
        form = self.forms[name]
        task = get_task(form.task)
        if task.output_rank is None:
            return values
        if values.ndim != task.output_rank or values.dtype.kind != "f":
            raise InputError(
                f"{path}: {named_output(name)} has shape {values.shape} for all images, which is no {form.task}; "
                "state the task raw."
            )
        decoded = form.decode(values)
        is_probability = task.activation is not None and np.isfinite(decoded).all()
        if is_probability and (decoded.min() < -PROBABILITY_TOLERANCE or decoded.max() > 1 + PROBABILITY_TOLERANCE):
            raise InputError(
                f"{path}: {named_output(name)} has values from {decoded.min():.4g} to {decoded.max():.4g}, which are "
                "no probabilities; state --from-logits (in Python from_logits=True), or another task."
            )
        return decoded


def resolve(
    path: object,
    inputs: Mapping[str, TensorInfo],
    outputs: Mapping[str, TensorInfo],
    facts: FileFacts,
    stated: Statements,
) -> Contract:
    """Return what the inputs and outputs of a file mean.

    Raises:
        InputError: A statement is no allowed value, does not fit the file, or names what it does not have.
    """
    inferred: list[str] = []
    unknown: dict[str, str] = {}
    images = {name: tensor for name, tensor in inputs.items() if tensor.is_image}
    pixels = _by_name(stated.pixels, images, "pixels", "images")
    ranges: dict[str, Range | None] = dict.fromkeys(inputs)
    for name, tensor in images.items():
        if len(tensor.shape) == 4:
            what = f"the layout of {name!r}" if name else "the layout of the image"
            inferred.append(f"{what} is {tensor.layout}, by its shape {shape_text(tensor)}")
        ranges[name] = _range(name, tensor, facts, pixels.get(name), inferred)
    statements = {
        key: _by_name(getattr(stated, key), outputs, key, "outputs")
        for key in ("task", "labels", "from_logits", "known_task", "known_labels")
    }
    forms = {
        name: form_of(
            f"{path}: {named_output(name)}",
            name,
            tensor,
            facts,
            {key: each.get(name) for key, each in statements.items()},
            inferred,
            unknown,
        )
        for name, tensor in outputs.items()
    }
    missing = tuple(name for name in images if ranges[name] is None)
    return Contract(forms, ranges, tuple(inferred), unknown, missing)


def _by_name(value: Any, tensors: Mapping[str, TensorInfo], argument: str, kind: str) -> dict[str, Any]:
    """Return a statement by name of the tensor."""
    if value is None:
        return {}
    names = list(tensors)
    is_known = argument.startswith("known")  # of data, which may have other outputs
    if not isinstance(value, Mapping):
        if len(names) != 1 and is_known:
            return {}
        if len(names) != 1:
            has = f"{len(names)} {kind}: {', '.join(names)}" if names else f"no {kind}"
            raise InputError(f"{argument} is {value!r}, but the file has {has}; state it by name.")
        return {names[0]: value}
    known = {tensor.name: name for name, tensor in tensors.items()} | {name: name for name in names}
    wrong = next((name for name in value if name not in known), None)
    if wrong is not None and is_known:
        return {}
    if wrong is not None:
        raise InputError(f"{argument} names {wrong!r}, but the file has the {kind} {', '.join(map(repr, known))}.")
    return {known[name]: each for name, each in value.items()}


def _range(
    name: str, tensor: TensorInfo, facts: FileFacts, stated: PixelRange | None, inferred: list[str]
) -> Range | None:
    """Return the range of pixels of an image: as stated, from metadata, or as its integers show; None if none does."""
    what = f"pixels of {name!r}" if name else "pixels"
    if stated is not None:
        return _held(what, tensor, parse_range(stated), inferred)
    if tensor.name in facts.ranges:
        low, high = facts.ranges[tensor.name]
        inferred.append(f"{what} go from {low:g} to {high:g}, by the normalization in its metadata")
        return low, high
    if tensor.dtype.startswith("float"):
        return None
    if tensor.scale is None:
        inferred.append(f"{what} go from 0 to 255, as they are whole numbers")
        return RAW
    low, high = _own_range(tensor)
    allowed = TOLERANCE * (high - low)
    for known in KNOWN_RANGES:
        if abs(low - known[0]) <= allowed and abs(high - known[1]) <= allowed:
            inferred.append(f"{what} go from {known[0]:g} to {known[1]:g}, as its {tensor.dtype} values do")
            return known
    return None


def _own_range(tensor: TensorInfo) -> Range:
    """The lowest and highest real value that integers can hold."""
    limits, scale = np.iinfo(tensor.dtype), tensor.scale or 1.0
    return (limits.min - (tensor.zero_point or 0)) * scale, (limits.max - (tensor.zero_point or 0)) * scale


def _held(what: str, tensor: TensorInfo, stated: Range, inferred: list[str]) -> Range:
    """Return a stated range, and say where the integers of an input end before it, so that its ends are clipped.

    Raises:
        InputError: They end long before it, or would merge its grays.
    """
    if not tensor.dtype.startswith(("int", "uint")):
        return stated
    (low, high), (own_low, own_high) = stated, _own_range(tensor)
    step, excess = tensor.scale or 1.0, EXCESS * (own_high - own_low)
    if low < own_low - excess or high > own_high + excess or step > COARSEST * (high - low) / 255:
        raise InputError(
            f"{what} are stated to go from {low:g} to {high:g}, but the {tensor.dtype} input holds values from "
            f"{own_low:.4g} to {own_high:.4g} in steps of {step:.4g}; state the range that its integers stand for."
        )
    if low < own_low - step or high > own_high + step:
        inferred.append(
            f"{what} from {low:g} to {high:g} are clipped to {own_low:.4g}..{own_high:.4g}, which is what its "
            f"{tensor.dtype} input holds"
        )
    return stated
