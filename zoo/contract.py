"""What the inputs and outputs of a model mean: pixel range, task, labels, probabilities or logits.

A model of the zoo states all of it in its layers. For a model of the user's, what is not stated is inferred, and
reported.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import keras

from ..core.errors import InputError
from ..core.outputs import Flags, LabelNames, PixelRange, TaskNames, by_name, map_outputs
from ..layers import Head, PixelNormalization
from ..tasks.registry import get_task, recognize_task, task_of_loss
from ..tasks.task import Task
from .functional_form import functional_form
from .output_form import activations_of, check_form, compiled_losses, head_of, loss_name, loss_takes_logits
from .pixel_range import RAW, Range, infer_range, parse_range
from .signature import check_image_inputs, named_inputs, named_outputs, output_keys


@dataclass(frozen=True)
class OutputContract:
    """What one output means."""

    task_name: str
    """Name of its task."""
    labels: tuple[str, ...] | None
    """Names of the classes, labels or values; None where they have none."""
    from_logits: bool
    """Whether the model outputs logits, whose softmax or sigmoid are the outputs of the task."""
    size: int | None
    """Number of classes, labels or values: the length of the last axis, or 2 where one probability stands for two
    classes."""
    inferred: tuple[str, ...] = ()
    """Arguments that nobody stated."""

    @property
    def task(self) -> Task:
        """The task."""
        return get_task(self.task_name)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes, labels or values; their indices where they have none."""
        return self.labels or tuple(map(str, range(self.size or 0 if self.task.has_head else 0)))


@dataclass(frozen=True)
class Contract:
    """What the inputs and outputs of a model mean."""

    outputs: OutputContract | dict[str, OutputContract]
    """The only output, or all by name."""
    pixels: Range | dict[str, Range]
    """Range of the values of an image; by name of the input if the model has several."""
    inferred: tuple[str, ...] = ()
    """`pixels`, where nobody stated it."""
    reason: str = ""
    """Why the range was inferred."""

    @property
    def tasks(self) -> str | dict[str, str]:
        """Name of the task of each output."""
        return map_outputs(lambda output: output.task_name, self.outputs)

    @property
    def is_stated(self) -> bool:
        """Whether nothing is inferred."""
        return not self.inferred and not any(output.inferred for output in by_name(self.outputs).values())

    def settings(self) -> dict[str, Any]:
        """Return what a run records: pixel range and logits, where they are not those of the zoo."""
        logits = [name for name, output in by_name(self.outputs).items() if output.from_logits]
        is_raw = all(limits == RAW for limits in by_name(self.pixels).values())
        return ({} if is_raw else {"pixels": map_outputs(list, self.pixels)}) | (
            {"from_logits": logits} if logits else {}
        )

    def describe(self, model: str) -> str:
        """Describe in one line what was inferred for a model of that name, and how to state it."""
        found = [
            f"{f'output {name!r}' if name else 'the output'} is {'logits of ' if output.from_logits else ''}a "
            f"{output.task_name}"
            for name, output in by_name(self.outputs).items()
            if output.inferred
        ]
        if self.inferred:
            ranges = [
                f"pixels{f' of {name!r}' if name else ''} go from {low:g} to {high:g}"
                for name, (low, high) in by_name(self.pixels).items()
            ]
            found.append(f"{', '.join(ranges)}, {self.reason}")
        names = {name for output in by_name(self.outputs).values() for name in output.inferred} | {*self.inferred}
        arguments = " and ".join(name for name in ("task", "from_logits", "pixels") if name in names)
        return f"Inferred for {model}: {'; '.join(found)}. State {arguments} where that is wrong."


def state_contract(
    model: keras.Model,
    *,
    task: TaskNames | None = None,
    labels: LabelNames | None = None,
    pixels: PixelRange | None = None,
    from_logits: Flags | None = None,
    known_tasks: Any = None,
    known_labels: Any = None,
    likely_tasks: Any = None,
    likely_range: Range | None = None,
    report: bool = True,
) -> Contract:
    """Return what the inputs and outputs of a model mean: as stated, as its layers say, or inferred.

    What is stated holds for the model as long as the object lives: a model that is trained and then exported needs it
    once. What is inferred is printed on standard error, once.

    Args:
        model: A functional or Sequential model.
        task: Task of the output, or a dict by name of the output.
        labels: Names of the classes, labels or values; a dict for several outputs.
        pixels: Range of pixel values that the model expects, such as `"0..1"` or `(-1, 1)`; a dict for several inputs.
        from_logits: Whether the model outputs logits; a dict for several outputs.
        known_tasks: Task of the targets it is used with, which applies where `task` is not given; a dict for several.
        known_labels: Labels of these targets.
        likely_tasks: Task of an output that neither a statement nor its activation tells; a dict for several.
        likely_range: Range of an input that no layer scales.
        report: Whether to print what is inferred.

    Raises:
        InputError: A statement contradicts the model's layers, is no allowed value, or something that nobody stated
            cannot be inferred.
    """
    given = {
        "task": task,
        "labels": labels,
        "pixels": pixels,
        "from_logits": from_logits,
        "known_tasks": known_tasks,
        "known_labels": known_labels,
        "likely_tasks": likely_tasks,
        "likely_range": likely_range,
    }
    check_image_inputs(model)
    before = _MEMORY.get(model)
    statements = {**(before.statements if before else {}), **{k: v for k, v in given.items() if v is not None}}
    losses = [id(loss) for loss in compiled_losses(functional_form(model)).values()]
    if before and (statements, losses) == (before.statements, before.losses):
        return before.contract
    contract = _resolve(model, **statements)
    if report and not contract.is_stated and not (before and before.contract == contract):
        print(contract.describe(model.name), file=sys.stderr)
    _MEMORY[model] = _Memory(statements, losses, contract)
    return contract


def contract_of(model: keras.Model) -> Contract:
    """Return what the inputs and outputs of a model mean, as `state_contract` returned it, or as its layers say."""
    memory = _MEMORY.get(model)
    return _resolve(model) if memory is None else memory.contract


def copy_contract(source: keras.Model, model: keras.Model) -> None:
    """Let the statements about a model hold for another with the same inputs and outputs, which was made from it."""
    if source in _MEMORY:
        _MEMORY[model] = replace(_MEMORY[source])


@dataclass(frozen=True)
class _Memory:
    statements: dict[str, Any]
    losses: list[int]
    """Identities of the compiled losses: with another loss, outputs may mean something else."""
    contract: Contract


_MEMORY: WeakKeyDictionary[keras.Model, _Memory] = WeakKeyDictionary()
"""What was stated about each model."""


def _resolve(
    model: keras.Model,
    task: Any = None,
    labels: Any = None,
    pixels: Any = None,
    from_logits: Any = None,
    known_tasks: Any = None,
    known_labels: Any = None,
    likely_tasks: Any = None,
    likely_range: Range | None = None,
) -> Contract:
    model = functional_form(model)
    outputs = _outputs_by_name(model)
    stated = {
        "task": _stated("task", task, outputs),
        "labels": _stated("labels", labels, outputs),
        "from_logits": _stated("from_logits", from_logits, outputs),
    }
    tensors = by_name(outputs)
    is_foreign = any(head_of(tensor) is None for tensor in tensors.values())
    activations = activations_of(model) if is_foreign else dict.fromkeys(named_outputs(model))
    losses = compiled_losses(model)
    known = {"task": known_tasks, "labels": known_labels, "likely task": likely_tasks}
    found = {
        name: _output_contract(
            f"{model.name}'s output {name!r}" if name else model.name,
            tensor,
            activations[own_name],
            losses[own_name],
            {argument: values.get(name) for argument, values in stated.items()},
            {argument: values and by_name(values).get(name) for argument, values in known.items()},
        )
        for own_name, (name, tensor) in zip(named_outputs(model), tensors.items(), strict=True)
    }
    return Contract(found if isinstance(outputs, dict) else found[""], *_pixel_range(model, pixels, likely_range))


def _outputs_by_name(model: keras.Model) -> Any:
    """Return the output tensor, or a dict of several; those in a list are named as Keras names them."""
    named = named_outputs(model)
    return next(iter(named.values())) if output_keys(model) == [""] else named


def _stated(argument: str, value: Any, outputs: Any) -> dict[str, Any]:
    """Return an argument by the name of the output, as stated."""
    if value is None:
        return {}
    if isinstance(outputs, dict) != isinstance(value, Mapping):
        form = f"a dict with an entry for any of {', '.join(outputs)}" if isinstance(outputs, dict) else "one value"
        raise InputError(f"{argument} is {value!r}; the model takes {form}.")
    for name in value if isinstance(value, Mapping) else ():
        if name not in outputs:
            raise InputError(f"{argument} has {name!r}; the model has the outputs {', '.join(outputs)}.")
    return dict(value) if isinstance(value, Mapping) else {"": value}


def _output_contract(
    name: str,
    tensor: keras.KerasTensor,
    activation: str | None,
    loss: Any,
    stated: Mapping[str, Any],
    known: Mapping[str, Any],
) -> OutputContract:
    """Return what one output means.

    Args:
        name: Model and output, for messages.
        tensor: The output.
        activation: Its activation; None if it comes from a head, or from a layer without one.
        loss: What the model was compiled with for it.
        stated: `task`, `labels` and `from_logits`; None where the user did not state it.
        known: `task` and `labels` of the targets.
    """
    head, size = head_of(tensor), tensor.shape[-1]
    inferred: tuple[str, ...] = ()
    if head is not None:
        _check_head(name, head, stated)
        task, from_logits = get_task(head.TASK), False
    else:
        evident = stated["task"] or known["task"] or task_of_loss(loss_name(loss), len(tensor.shape))
        likely = None if activation in ("softmax", "sigmoid") else known["likely task"]
        task = get_task(evident or likely or recognize_task(tensor.shape, activation))
        from_logits, is_guess = _from_logits(name, task, activation, loss, stated["from_logits"])
        check_form(name, task, activation, size, from_logits=from_logits)
        inferred = (*([] if evident else ["task"]), *(["from_logits"] if is_guess else []))
        size = 2 if size == 1 and task.activation == "softmax" else size
    labels = stated["labels"] or (head and head.labels)
    if labels is None and known["labels"] is not None and len(known["labels"]) == size:
        labels = known["labels"]
    if labels is not None and len(labels) != size:
        raise InputError(f"{name} has {size} outputs, but there are {len(labels)} labels; give one label for each.")
    return OutputContract(task.name, None if labels is None else tuple(map(str, labels)), from_logits, size, inferred)


def _check_head(name: str, head: Head, stated: Mapping[str, Any]) -> None:
    """Raise InputError where a statement contradicts a head of the zoo."""
    for argument, own in (("task", head.TASK), ("from_logits", False), ("labels", head.labels)):
        value = stated[argument]
        if value is not None and own is not None and value != own:
            raise InputError(f"{argument} is {value!r}, but {name} comes from a head whose {argument} is {own!r}.")


def _from_logits(name: str, task: Task, activation: str | None, loss: Any, stated: bool | None) -> tuple[bool, bool]:
    """Return whether an output is logits, and whether that was inferred."""
    if stated is not None or task.activation is None or activation in ("softmax", "sigmoid"):
        return bool(stated), False
    if loss_takes_logits(loss) is not None:
        return bool(loss_takes_logits(loss)), False
    if activation == "linear":
        return True, True
    last = f"the activation {activation}" if activation else "a layer without an activation"
    raise InputError(
        f"{name} ends in {last}, so it is not evident whether the output for a {task.name} is probabilities or logits; "
        "state from_logits."
    )


def _pixel_range(model: keras.Model, stated: Any, likely: Any) -> tuple[Range | dict[str, Range], tuple[str, ...], str]:
    """Return the range, by name for several inputs; `("pixels",)` if one is inferred; and why."""
    inputs = named_inputs(model)
    images = {name: tensor for name, tensor in inputs.items() if len(tensor.shape) == 4}
    if len(inputs) == 1:
        return _range_of_image(model, next(iter(images.values())), stated, likely)
    for name in stated if isinstance(stated, Mapping) else ():
        if name not in images:
            raise InputError(f"pixels has {name!r}; {model.name} takes images as {', '.join(images)}.")
    found = {
        name: _range_of_image(
            model,
            image,
            stated.get(name) if isinstance(stated, Mapping) else stated,
            likely.get(name) if isinstance(likely, Mapping) else likely,
        )
        for name, image in images.items()
    }
    reasons = dict.fromkeys(reason for _, _, reason in found.values() if reason)
    is_inferred = any(inferred for _, inferred, _ in found.values())
    return {name: limits for name, (limits, _, _) in found.items()}, ("pixels",) * is_inferred, " and ".join(reasons)


def _range_of_image(
    model: keras.Model, image: keras.KerasTensor, stated: Any, likely: Range | None
) -> tuple[Range, tuple[str, ...], str]:
    own = next((layer.pixel_range for layer in model.layers if isinstance(layer, PixelNormalization)), None)
    if len(model.inputs) == 1 and own is not None:
        if stated is not None and parse_range(stated) != own:
            low, high = own
            raise InputError(f"pixels is {stated!r}, but {model.name} normalizes pixels of {low:g}..{high:g} itself.")
        return own, (), ""
    if stated is not None:
        return parse_range(stated), (), ""
    seen = infer_range(model, image)
    if seen is None and likely is not None:
        return likely, ("pixels",), "like the images"
    if seen is None:
        return RAW, ("pixels",), "since no layer scales them"
    return seen, (), ""
