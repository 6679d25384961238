"""What one output of a model means: task, labels, probabilities or logits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from ..core.errors import InputError
from ..core.outputs import check_labels
from ..layers import Head
from ..tasks.registry import get_task, recognize_task, task_of_loss
from ..tasks.task import Task
from .output_form import check_form, head_of, loss_name, loss_takes_logits


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
    """Number of classes, labels or values: of most tasks the length of the last axis, or 2 where one probability
    stands for two classes."""
    inferred: tuple[str, ...] = ()
    """Arguments that nobody stated."""
    is_single: bool = False
    """Whether one output stands for two classes."""

    @property
    def task(self) -> Task:
        """The task."""
        return get_task(self.task_name)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes, labels or values; their indices where they have none."""
        return self.labels or tuple(map(str, range(self.size or 0 if self.task.has_head else 0)))


def output_contract(
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
    head, size, is_single = head_of(tensor), tensor.shape[-1], False
    inferred: tuple[str, ...] = ()
    if head is not None:
        _check_head(name, head, stated)
        task, from_logits = get_task(head.TASK), False
        size = task.count_named(tensor.shape[1:])
    else:
        evident = stated["task"] or known["task"] or task_of_loss(loss_name(loss), len(tensor.shape))
        likely = known["likely task"] if activation not in ("softmax", "sigmoid") else None
        likely = likely if likely and _fits(get_task(likely), tensor) else None
        of_logits = "sigmoid" if size == 1 else "softmax"
        form = recognize_task(tensor.shape, of_logits if stated["from_logits"] else activation)
        task = get_task(evident or likely or form)
        if not _fits(task, tensor):
            raise InputError(
                f"{name} has shape {tuple(tensor.shape)}, but the output of {task.titled} is (batch, "
                f"{', '.join(task.output_axes or ())}); reshape it, or state another task: {form!r}, or 'raw'."
            )
        from_logits, is_guess = _from_logits(name, task, activation, loss, stated["from_logits"])
        check_form(name, task, activation, size, from_logits=from_logits)
        inferred = (*([] if evident else ["task"]), *(["from_logits"] if is_guess else []))
        is_single = size == 1 and task.activation == "softmax"
        size = 2 if is_single else task.count_named(tensor.shape[1:])
    labels = stated["labels"] or (head and head.labels)
    is_known = known["labels"] is not None and known["task"] in (None, task.name)
    if labels is None and is_known and task.names_outputs and len(known["labels"]) == size:
        labels = known["labels"]
    if labels is not None and len(labels) != size:
        raise InputError(f"{name} has {size} outputs, but there are {len(labels)} labels; give one label for each.")
    names = None if labels is None else check_labels(labels)
    return OutputContract(task.name, names, from_logits, size, inferred, is_single)


def are_names(labels: Sequence[str] | None) -> bool:
    """Whether labels are more than the indices of classes, which stand for them where nobody named them."""
    return labels is not None and list(labels) != list(map(str, range(len(labels))))


def check_order(name: str, labels: Sequence[str] | None, others: Sequence[str] | None) -> None:
    """Raise InputError where targets have the labels of a model in another order: all predictions would be wrong.

    Args:
        name: The model, for messages.
        labels: Labels of its outputs.
        others: Labels of the targets.
    """
    if labels and others and tuple(others) != tuple(labels) and sorted(others) == sorted(labels):
        raise InputError(
            f"{name} has the labels {', '.join(labels)}, but the data has them in the order {', '.join(others)}; give "
            "the data those of the model, as in from_arrays(..., labels=...) or a labels.txt."
        )


def _fits(task: Task, tensor: keras.KerasTensor) -> bool:
    """Whether an output has as many axes as outputs of a task."""
    return task.output_rank in (None, len(tensor.shape))


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
    if activation == "linear" and loss_takes_logits(loss) is False:
        raise InputError(
            f"{name} ends in a layer without an activation, but was compiled with {loss_name(loss)} of probabilities; "
            "state from_logits, or add the activation."
        )
    if loss_takes_logits(loss) is not None:
        return bool(loss_takes_logits(loss)), False
    if activation == "linear":
        return True, True
    last = f"the activation {activation}" if activation else "a layer without an activation"
    raise InputError(
        f"{name} ends in {last}, so it is not evident whether the output for {task.titled} is probabilities or logits; "
        "state from_logits, True (--from-logits) or False (--from-probabilities)."
    )
