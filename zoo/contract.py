"""What the inputs and outputs of a model mean: pixel range, task, labels, probabilities or logits.

A model of the zoo states all of it in its layers. For a model of the user's, what is not stated is inferred, and
reported.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import keras

from ..core.errors import InputError
from ..core.outputs import Flags, LabelNames, PixelRange, TaskNames, by_name, map_outputs
from ..tasks.registry import get_task
from .functional_form import functional_form
from .output_contract import OutputContract, are_names, check_order, output_contract
from .output_form import activations_of, compiled_losses, head_of
from .pixel_range import RAW, Range, parse_range
from .range_inference import pixel_range
from .signature import check_image_inputs, named_outputs, output_keys

OPTIONS = {"task": "--task", "from_logits": "--from-probabilities", "pixels": "--pixels 0..1"}
"""What to set, in a command, where an argument was inferred wrongly, as it usually is."""
OF_OUTPUTS = ("task", "labels", "known_tasks", "known_labels", "likely_tasks")
"""Arguments of `state_contract` about outputs that a model's file keeps as they are."""


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
        arguments = " and ".join(f"{name} ({option})" for name, option in OPTIONS.items() if name in names)
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
    once. So does the range of the pixels of the first data that it was used with. What is inferred is printed on
    standard error, once.

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
    if before and known_labels is not None and labels is None:
        _check_order(model, before.contract, known_labels)
    if before:  # other data does not change what the outputs and pixels of a model in use mean
        given["likely_range"] = None
        given["known_tasks"] = _own_tasks(before.contract, known_tasks)
        given["known_labels"] = _latest_names(before.statements.get("known_labels"), known_labels)
    statements = {**(before.statements if before else {}), **{k: v for k, v in given.items() if v is not None}}
    form = functional_form(model)
    state = [id(loss) for loss in compiled_losses(form).values()]
    state += [layer.pixel_range for layer in form.layers if hasattr(layer, "pixel_range")]
    is_same = before is not None and (statements, state) == (before.statements, before.state)
    contract = before.contract if before and is_same else _resolve(model, **statements)
    if known_labels is not None:  # which may have been stated in another order
        _check_order(model, contract, known_labels)
    is_reported = before is not None and before.is_reported and before.contract == contract
    if report and not contract.is_stated and not is_reported:
        print(contract.describe(model.name), file=sys.stderr)
    _MEMORY[model] = _Memory(statements, state, contract, report or is_reported)
    return contract


def _own_tasks(contract: Contract, known: Any) -> Any:
    """Return the tasks of the targets, or those of the model that take the same, such as the classes for embeddings."""
    if known is None or isinstance(known, Mapping) != isinstance(contract.tasks, Mapping):
        return known
    own = by_name(contract.tasks)
    tasks = {
        name: own[name] if name in own and task in get_task(own[name]).trained_by else task
        for name, task in by_name(known).items()
    }
    return tasks.get("", tasks)


def _check_order(model: keras.Model, contract: Contract, labels: Any) -> None:
    """Raise InputError where targets have the labels of a model in another order: all predictions would be wrong."""
    tensors = by_name(_outputs_by_name(functional_form(model)))
    for name, own in by_name(contract.outputs).items():
        if head_of(tensors[name]) is None:
            check_order(model.name, own.labels, by_name(labels).get(name))


def contract_of(model: keras.Model) -> Contract:
    """Return what the inputs and outputs of a model mean, as `state_contract` returned it, or as its layers say."""
    memory = _MEMORY.get(model)
    return _resolve(model) if memory is None else memory.contract


def known_range(model: keras.Model | None, stated: PixelRange | None) -> Range | None:
    """Return the pixel range that is stated for a model, now or before; None for one of which none is known."""
    if stated is None and model is not None and model in _MEMORY:
        stated = _MEMORY[model].contract.pixels
    return None if stated is None or isinstance(stated, Mapping) else parse_range(stated)


def known_names(model: keras.Model) -> tuple[str, ...] | None:
    """Return the names of the classes of a model's only output, as stated or of its first data; None without any."""
    outputs = _MEMORY[model].contract.outputs if model in _MEMORY else None
    return outputs.labels if isinstance(outputs, OutputContract) else None


def known_tasks(model: keras.Model) -> Any:
    """Return the task of a model's output, or a dict by name, as stated or of its first data; None without any."""
    return _MEMORY[model].contract.tasks if model in _MEMORY else None


def copy_contract(source: keras.Model, model: keras.Model) -> None:
    """Let the statements about a model hold for another with the same inputs and outputs, which was made from it."""
    if source in _MEMORY:
        _MEMORY[model] = replace(_MEMORY[source])


def recorded_statements(model: keras.Model) -> dict[str, Any]:
    """Return arguments of `state_contract` that keep what is known of a model in its file, as values of JSON.

    Empty where nothing was stated, and for models of the zoo, whose layers say everything.
    """
    if model not in _MEMORY:
        return {}
    statements, contract = _MEMORY[model].statements, _MEMORY[model].contract
    found: dict[str, Any] = {}
    if any(head_of(tensor) is None for tensor in functional_form(model).outputs):
        found |= {name: statements[name] for name in OF_OUTPUTS if name in statements}
        logits = {
            name: output.from_logits
            for name, output in by_name(contract.outputs).items()
            if "from_logits" not in output.inferred
        }
        found |= {"from_logits": logits if isinstance(contract.outputs, dict) else logits[""]} if logits else {}
    if "pixels" in statements:
        found["pixels"] = map_outputs(parse_range, statements["pixels"])
    if contract.inferred and contract.pixels != RAW:
        found["likely_range"] = contract.pixels
    return found


@contextmanager
def withdrawn_if_refused(models: Iterable[keras.Model]) -> Iterator[None]:
    """Withdraw what is stated about models in the block if it raises InputError: what was refused must not hold."""
    before = [(model, _MEMORY.get(model)) for model in models]
    try:
        yield
    except InputError:
        for model, memory in before:
            if memory is None:
                _MEMORY.pop(model, None)
            else:
                _MEMORY[model] = memory
        raise


@dataclass(frozen=True)
class _Memory:
    statements: dict[str, Any]
    state: list[Any]
    """What the model has itself: identities of the compiled losses, since with another loss outputs may mean something
    else, and the ranges that its layers state, which `adapt_normalization` changes."""
    contract: Contract
    is_reported: bool
    """Whether what is inferred was printed."""


_MEMORY: WeakKeyDictionary[keras.Model, _Memory] = WeakKeyDictionary()
"""What was stated about each model."""


def _latest_names(first: Any, later: Any) -> Any:
    """Return names of classes by output: those of the latest data that has more than their indices."""
    if first is None or later is None or isinstance(first, Mapping) != isinstance(later, Mapping):
        return later if first is None else first
    known = by_name(first)
    merged = {name: names if are_names(names) else known.get(name, names) for name, names in by_name(later).items()}
    return merged if isinstance(later, Mapping) else merged[""]


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
        name: output_contract(
            f"{model.name}'s output {name!r}" if name else model.name,
            tensor,
            activations[own_name],
            losses[own_name],
            {argument: values.get(name) for argument, values in stated.items()},
            {argument: values and by_name(values).get(name) for argument, values in known.items()},
        )
        for own_name, (name, tensor) in zip(named_outputs(model), tensors.items(), strict=True)
    }
    return Contract(found if isinstance(outputs, dict) else found[""], *pixel_range(model, pixels, likely_range))


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
