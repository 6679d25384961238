"""What one output of a file means that another tool made: its task, its labels, and whether it is logits."""

from collections.abc import Mapping
from typing import Any

from ...core.errors import InputError
from ...core.outputs import check_labels
from ...tasks.registry import get_task, recognize_task, task_names
from ...tasks.task import Task
from .file_facts import Activation, FileFacts
from .metadata import OutputForm
from .tensors import TensorInfo


def form_of(
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
    if task.output_rank is None:
        for argument in ("labels", "from_logits"):
            if stated[argument] is not None and len(_possible_tasks(tensor)) == 1:
                raise InputError(f"{what} has {argument} stated, but is raw numbers of shape {shape_text(tensor)}.")
            if stated[argument] is not None:
                raise InputError(f"{what} has {argument} stated, but no task; state {_ask(tensor)}.")
        if stated["task"] is None and any(get_task(each).is_likely for each in _possible_tasks(tensor)[:-1]):
            unknown[name] = _ask(tensor)
        return OutputForm.model_construct(task=task.name, labels=())
    from_logits = _from_logits(what, task, tensor, activation, stated["from_logits"])
    if stated_task is None:
        inferred.append(f"{named_output(name)} is {task.titled}, as it comes from a {activation}")
    elif from_logits and stated["from_logits"] is None:
        inferred.append(f"{named_output(name)} is logits, as no activation computes it")
    labels = _labels(what, name, tensor, task, facts, stated, inferred)
    return OutputForm.model_construct(task=task.name, labels=labels, from_logits=from_logits)


def _possible_tasks(tensor: TensorInfo) -> list[str]:
    """Names of the tasks whose outputs have that many axes and that type, those of any rank last."""
    is_real = tensor.has_batch and (tensor.dtype.startswith("float") or tensor.scale is not None)
    tasks = map(get_task, task_names())
    fitting = [task for task in tasks if task.output_rank is None or (is_real and _has_form(tensor, task))]
    return [task.name for task in sorted(fitting, key=lambda task: task.output_rank is None)]


def _has_form(tensor: TensorInfo, task: Task) -> bool:
    return len(tensor.shape) == task.output_rank and (tensor.is_image or not task.covers_image)


def _recognized(tensor: TensorInfo, activation: Activation | None) -> str:
    """Return the task that an output has beyond doubt; else one of any rank."""
    possible = _possible_tasks(tensor)
    if activation in ("softmax", "log_softmax", "sigmoid") and tensor.value_shape[-1:] not in ((), (None,)):
        shape = (None, *tensor.value_shape)
        found = recognize_task(shape, "sigmoid" if activation == "sigmoid" else "softmax")
        return found if found in possible else possible[-1]
    return possible[-1]


def _check_fits(what: str, tensor: TensorInfo, task: Task) -> None:
    if task.output_rank is None or task.name in _possible_tasks(tensor):
        return
    if tensor.has_batch and len(tensor.shape) == task.output_rank and tensor.scale is None and tensor.is_whole:
        raise InputError(f"{what} has whole numbers, {tensor.dtype}, which are no {task.name}; its task is raw.")
    if task.covers_image and len(tensor.shape) == 4 and tensor.has_batch:
        raise InputError(f"{what} has shape {shape_text(tensor)}, which is not the size of the image; its task is raw.")
    raise InputError(
        f"{what} has shape {shape_text(tensor)}, but the output of {task.titled} is (1, "
        f"{', '.join(task.output_axes or ())}); its task is raw."
    )


def _from_logits(what: str, task: Task, tensor: TensorInfo, activation: Activation | None, stated: bool | None) -> bool:
    if task.activation is None:
        if stated:
            raise InputError(f"{what} is {task.titled}, which has no logits; leave out from_logits.")
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
        if stated["labels"] is not None:
            raise InputError(f"{what} is of task {task.name}, whose values have no names; leave out labels.")
        return ()
    size = task.count_named(tensor.value_shape)
    size = 2 if size == 1 and task.activation == "softmax" else size
    if stated["labels"] is not None:
        if size is not None and len(stated["labels"]) != size:
            raise InputError(f"{what} has {size} values, but there are {len(stated['labels'])} labels; give as many.")
        return check_labels(stated["labels"])
    own = facts.labels.get(tensor.name)
    if own is not None and len(own) == size:
        return own
    known = stated["known_labels"]
    if known is not None:
        if size is not None and len(known) != size:
            raise InputError(f"{what} has {size} values, but the data has {len(known)} labels.")
        inferred.append(f"{named_output(name)} has the labels of the data in their order")
        return tuple(known)
    if size is None:
        raise InputError(f"{what} leaves open how many values it has; state --labels (in Python labels=[...]).")
    return tuple(map(str, range(size)))


def _activation(tensor: TensorInfo, facts: FileFacts) -> Activation | None:
    """Return what computes an output, unless it is a softmax over another axis than that of the classes."""
    axis = facts.softmax_axes.get(tensor.name, -1)
    rank = len(tensor.shape)
    classes = 1 if rank == 4 and tensor.layout == "NCHW" else rank - 1
    return facts.activations.get(tensor.name) if axis % max(rank, 1) == classes else None


def _ask(tensor: TensorInfo) -> str:
    names = _possible_tasks(tensor)[:-1]
    return f"its task: --task {', '.join(names[:-1])}{' or ' if names[:-1] else ''}{names[-1]} (in Python task=)"


def named_output(name: str) -> str:
    """The output in a message: by its name, if it has one."""
    return f"the output {name!r}" if name else "the output"


def shape_text(tensor: TensorInfo) -> str:
    """The shape in a message, such as `1x3x224x224`."""
    return "x".join("any" if side is None else str(side) for side in tensor.shape)
