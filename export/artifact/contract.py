"""What the inputs and outputs of a file mean that another tool made: as stated, as it says itself, or inferred."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...core.errors import InputError
from ...core.outputs import Flags, LabelNames, PixelRange, TaskNames
from ...core.short_repr import ShortRepr
from ...tasks.registry import get_task, recognize_task, task_names
from ...tasks.task import Task
from ...zoo.pixel_range import Range, parse_range
from .file_facts import Activation, FileFacts
from .metadata import OutputForm
from .tensors import RAW, TensorInfo, infer_layout

KNOWN_RANGES: tuple[Range, ...] = (RAW, (0.0, 1.0), (-1.0, 1.0), (-128.0, 127.0))
"""Ranges of pixels by which integer inputs are quantized; others come from normalization by channel."""
TOLERANCE = 0.02
"""Share of a range by which the range of a quantized input may differ from it: that of its calibration images."""
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
        asked = [f"{_output(name)} is shown as numbers: state {ask}" for name, ask in self.unknown_outputs.items()]
        return " ".join([*found, *(f"In {path}, {ask}." for ask in asked)])

    def decode(self, name: str, values: np.ndarray, path: object) -> np.ndarray:
        """Return the values of an output in the form of its task.

        Raises:
            InputError: They do not have that form.
        """
        form = self.forms[name]
        task = get_task(form.task)
        if task.has_any_rank:
            return values
        if values.ndim != _rank(task) or values.dtype.kind != "f":
            raise InputError(
                f"{path}: {_output(name)} has shape {values.shape} for all images, which is no {form.task}; state the "
                "task raw."
            )
        decoded = form.decode(values)
        is_probability = task.activation is not None and np.isfinite(decoded).all()
        if is_probability and (decoded.min() < -PROBABILITY_TOLERANCE or decoded.max() > 1 + PROBABILITY_TOLERANCE):
            raise InputError(
                f"{path}: {_output(name)} has values from {decoded.min():.4g} to {decoded.max():.4g}, which are no "
                "probabilities; state --from-logits (in Python from_logits=True), or another task."
            )
        return decoded


def arrange_inputs(tensors: Sequence[TensorInfo]) -> list[TensorInfo]:
    """Return the inputs of a file with what their shapes show: which are images and in which layout."""
    return [_arranged(tensor) for tensor in tensors]


def _arranged(tensor: TensorInfo) -> TensorInfo:
    has_batch = bool(tensor.shape) and tensor.shape[0] in (1, None)
    layout = infer_layout(tensor.shape) if tensor.is_number and tensor.dtype != "bool" and has_batch else None
    if layout and len(tensor.shape) == 4 and tensor.dtype == "uint8" and tensor.scale is None:
        return replace(tensor, layout=layout, has_batch=has_batch, scale=1.0, zero_point=0)  # bytes are pixels
    return replace(tensor, layout=layout or (None if len(tensor.shape) == 4 else "NHWC"), has_batch=has_batch)


def arrange_outputs(tensors: Sequence[TensorInfo], inputs: Sequence[TensorInfo]) -> list[TensorInfo]:
    """Return the outputs of a file with what their shapes show: those that cover an image have its layout or another.

    Args:
        tensors: The outputs; `has_batch` says whether the first axis may be the batch.
        inputs: Its inputs, as `arrange_inputs` returns them.
    """
    images = [tensor for tensor in inputs if tensor.is_image]
    arranged = []
    for tensor in tensors:
        layout = next((found for image in images if (found := _layout_over(tensor, image))), None)
        has_batch = tensor.has_batch and bool(tensor.shape) and tensor.shape[0] in (1, None)
        is_map = len(tensor.shape) == 4
        arranged.append(replace(tensor, layout=layout if is_map else "NHWC", has_batch=has_batch))
    return arranged


def _layout_over(tensor: TensorInfo, image: TensorInfo) -> Any:
    """Return the layout of an output that has a value for each pixel of an image; None of another."""
    if len(tensor.shape) != 4:
        return None
    sides = image.image_shape[:2]
    matches = [layout for layout, own in (("NHWC", tensor.shape[1:3]), ("NCHW", tensor.shape[2:])) if own == sides]
    return image.layout if image.layout in matches else next(iter(matches), None)


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
            inferred.append(f"{what} is {tensor.layout}, by its shape {_shape(tensor)}")
        ranges[name] = _range(name, tensor, facts, pixels.get(name), inferred)
    statements = {
        key: _by_name(getattr(stated, key), outputs, key, "outputs")
        for key in ("task", "labels", "from_logits", "known_task", "known_labels")
    }
    forms = {
        name: _form(
            f"{path}: {_output(name)}",
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
        return parse_range(stated)
    if tensor.name in facts.ranges:
        low, high = facts.ranges[tensor.name]
        inferred.append(f"{what} go from {low:g} to {high:g}, by the normalization in its metadata")
        return low, high
    if tensor.dtype.startswith("float"):
        return None
    if tensor.scale is None:
        inferred.append(f"{what} go from 0 to 255, as they are whole numbers")
        return RAW
    limits = np.iinfo(tensor.dtype)
    low, high = ((limit - (tensor.zero_point or 0)) * tensor.scale for limit in (limits.min, limits.max))
    allowed = TOLERANCE * (high - low)
    for known in KNOWN_RANGES:
        if abs(low - known[0]) <= allowed and abs(high - known[1]) <= allowed:
            inferred.append(f"{what} go from {known[0]:g} to {known[1]:g}, as its {tensor.dtype} values do")
            return known
    return None


def _form(
    what: str,
    name: str,
    tensor: TensorInfo,
    facts: FileFacts,
    stated: Mapping[str, Any],
    inferred: list[str],
    unknown: dict[str, str],
) -> OutputForm:
    """Return the meaning of an output; notes what is inferred or not known."""
    activation = _activation(tensor, facts)
    known = stated["known_task"] if stated["known_task"] in _possible_tasks(tensor) else None
    stated_task = stated["task"] or known
    task = get_task(stated_task or _recognized(tensor, activation))
    _check_fits(what, tensor, task)
    if task.has_any_rank:
        for argument in ("labels", "from_logits"):
            if stated[argument] is not None and len(_possible_tasks(tensor)) == 1:
                raise InputError(f"{what} has {argument} stated, but is raw numbers of shape {_shape(tensor)}.")
            if stated[argument] is not None:
                raise InputError(f"{what} has {argument} stated, but no task; state {_ask(tensor)}.")
        if stated["task"] is None and len(_possible_tasks(tensor)) > 1:
            unknown[name] = _ask(tensor)
        return OutputForm.model_construct(task=task.name, labels=())
    from_logits = _from_logits(what, task, tensor, activation, stated["from_logits"])
    if stated_task is None:
        inferred.append(f"{_output(name)} is a {task.name}, as it comes from a {activation}")
    elif from_logits and stated["from_logits"] is None:
        inferred.append(f"{_output(name)} is logits, as no activation computes it")
    labels = _labels(what, name, tensor, task, facts, stated, inferred)
    return OutputForm.model_construct(task=task.name, labels=labels, from_logits=from_logits)


def _possible_tasks(tensor: TensorInfo) -> list[str]:
    """Names of the tasks whose outputs have that many axes and that type, those of any rank last."""
    is_real = tensor.has_batch and (tensor.dtype.startswith("float") or tensor.scale is not None)
    tasks = map(get_task, task_names())
    fitting = [task for task in tasks if task.has_any_rank or (is_real and _has_form(tensor, task))]
    return [task.name for task in sorted(fitting, key=lambda task: task.has_any_rank)]


def _has_form(tensor: TensorInfo, task: Task) -> bool:
    return len(tensor.shape) == _rank(task) and (tensor.is_image or not task.covers_image)


def _recognized(tensor: TensorInfo, activation: Activation | None) -> str:
    """Return the task that an output has beyond doubt; else one of any rank."""
    possible = _possible_tasks(tensor)
    if activation in ("softmax", "log_softmax", "sigmoid") and tensor.value_shape[-1:] not in ((), (None,)):
        shape = (None, *tensor.value_shape)
        found = recognize_task(shape, "sigmoid" if activation == "sigmoid" else "softmax")
        return found if found in possible else possible[-1]
    return possible[-1]


def _check_fits(what: str, tensor: TensorInfo, task: Task) -> None:
    if task.has_any_rank or task.name in _possible_tasks(tensor):
        return
    if tensor.has_batch and len(tensor.shape) == _rank(task) and tensor.scale is None and tensor.is_whole:
        raise InputError(f"{what} has whole numbers, {tensor.dtype}, which are no {task.name}; its task is raw.")
    if task.covers_image and len(tensor.shape) == 4 and tensor.has_batch:
        raise InputError(f"{what} has shape {_shape(tensor)}, which is not the size of the image; its task is raw.")
    raise InputError(
        f"{what} has shape {_shape(tensor)}, but the output of a {task.name} is (1, "
        f"{'height, width, ' if task.covers_image else ''}outputs); its task is raw."
    )


def _from_logits(what: str, task: Task, tensor: TensorInfo, activation: Activation | None, stated: bool | None) -> bool:
    if task.activation is None:
        if stated:
            raise InputError(f"{what} is a {task.name}, which has no logits; leave out from_logits.")
        return False
    if activation in ("softmax", "sigmoid"):
        if stated:
            raise InputError(f"{what} comes from a {activation}, so it is no logits; leave out from_logits.")
        return False
    if stated is not None:
        return stated
    if activation in ("linear", "log_softmax"):
        return True  # the softmax of the logarithms of probabilities are the probabilities
    raise InputError(
        f"{what}: it is not evident whether it is probabilities or logits; state --from-logits or "
        "--from-probabilities (in Python from_logits)."
    )


def _labels(
    what: str,
    name: str,
    tensor: TensorInfo,
    task: Task,
    facts: FileFacts,
    stated: Mapping[str, Any],
    inferred: list[str],
) -> tuple[str, ...]:
    """Return the names of the classes or values of an output: their indices where nobody states them."""
    if not task.has_head or task.figure_name is None:
        return ()
    size = tensor.value_shape[-1]
    size = 2 if size == 1 and task.activation == "softmax" else size
    if stated["labels"] is not None:
        if size is not None and len(stated["labels"]) != size:
            raise InputError(f"{what} has {size} values, but there are {len(stated['labels'])} labels; give as many.")
        return tuple(map(str, stated["labels"]))
    own = facts.labels.get(tensor.name)
    if own is not None and len(own) == size:
        return own
    known = stated["known_labels"]
    if known is not None:
        if size is not None and len(known) != size:
            raise InputError(f"{what} has {size} values, but the data has {len(known)} labels.")
        inferred.append(f"{_output(name)} has the labels of the data in their order")
        return tuple(known)
    if size is None:
        raise InputError(f"{what} leaves open how many values it has; state --labels (in Python labels=[...]).")
    return tuple(map(str, range(size)))


def _rank(task: Task) -> int:
    return 4 if task.covers_image else 2


def _activation(tensor: TensorInfo, facts: FileFacts) -> Activation | None:
    """Return what computes an output, unless it is a softmax over another axis than that of the classes."""
    axis = facts.softmax_axes.get(tensor.name, -1)
    rank = len(tensor.shape)
    classes = 1 if rank == 4 and tensor.layout == "NCHW" else rank - 1
    return facts.activations.get(tensor.name) if axis % max(rank, 1) == classes else None


def _ask(tensor: TensorInfo) -> str:
    names = _possible_tasks(tensor)[:-1]
    return f"its task: --task {', '.join(names[:-1])}{' or ' if names[:-1] else ''}{names[-1]} (in Python task=)"


def _output(name: str) -> str:
    return f"the output {name!r}" if name else "the output"


def _shape(tensor: TensorInfo) -> str:
    return "x".join("any" if side is None else str(side) for side in tensor.shape)
