"""Heads and tasks of a model's outputs."""

import keras

from ..core.errors import InputError
from ..core.outputs import by_name, map_outputs
from ..layers import Head
from ..tasks.registry import get_task
from ..zoo.contract import contract_of
from ..zoo.decoded_form import decoded_form
from ..zoo.output_form import head_of


def heads_of(model: keras.Model) -> Head | dict[str, Head | None] | None:
    """Return the head that each output comes from; None for an output of another layer."""
    contract = contract_of(model)
    if not isinstance(contract.outputs, dict):
        return head_of(model.outputs[0])
    named = model.output if isinstance(model.output, dict) else dict(zip(contract.outputs, model.outputs, strict=True))
    return map_outputs(head_of, named)


def tasks_of(model: keras.Model) -> str | dict[str, str]:
    """Return the task of each output, by the names that `zoo.create_model` accepts for `head`.

    Raises:
        InputError: One has no targets, or cannot be inferred.
    """
    tasks = contract_of(model).tasks
    for name, task_name in by_name(tasks).items():
        task = get_task(task_name)
        if not task.has_targets:
            output = f" as {name!r}" if name else ""
            raise InputError(
                f"{model.name} outputs {task.meaning}{output}, which has no targets to train or evaluate it with; if "
                "they are those of a task, state it with task (--task)."
            )
    return tasks


def decoded_outputs(model: keras.Model) -> keras.KerasTensor | dict[str, keras.KerasTensor]:
    """Return the outputs of a model in the form of their tasks, by name if there are several."""
    decoded = decoded_form(model)
    return decoded.output if isinstance(decoded.output, dict) else decoded.outputs[0]
