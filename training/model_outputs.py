"""Tasks of a model, by the heads that its outputs come from."""

import keras

from ..core.errors import InputError
from ..core.keras_private import source_operation
from ..core.outputs import map_outputs
from ..layers import Head
from ..tasks.registry import DEFAULT_TASK, get_task


def heads_of(model: keras.Model) -> Head | dict[str, Head | None] | None:
    """Return the head that each output comes from; None for an output of another layer.

    Raises:
        InputError: `model` is a `keras.Sequential`, whose outputs have no names.
    """
    if isinstance(model, keras.Sequential):
        raise InputError(
            f"{model.name} is a Sequential model; use its functional form, keras.Model(model.inputs, model.outputs[0])."
        )

    def head_of(output: keras.KerasTensor) -> Head | None:
        operation = source_operation(output)
        return operation if isinstance(operation, Head) else None

    return map_outputs(head_of, model.output)


def tasks_of(model: keras.Model) -> str | dict[str, str]:
    """Return the task of each output, by the names that `zoo.create_model` accepts for `head`.

    A vector `(batch, classes)` from no head of the zoo is a classification.

    Raises:
        InputError: The outputs have no names, or one has no targets, or comes from no head and is not a vector.
    """
    heads = heads_of(model)
    if isinstance(model.output, list):
        raise InputError(
            f"{model.name} has {len(model.output)} outputs without names; use one output, or a dict by name."
        )

    def task_of(output: keras.KerasTensor, head: Head | None) -> str:
        if head is None and len(output.shape) != 2:
            raise InputError(
                f"{model.name} has an output of shape {tuple(output.shape)} from no head of the zoo; training and "
                "evaluation take an output of a head, or (batch, classes)."
            )
        name = DEFAULT_TASK if head is None else head.TASK
        if not get_task(name).has_targets:
            raise InputError(f"{model.name} outputs an {name}, which has no targets to train or evaluate it with.")
        return name

    return map_outputs(task_of, model.output, heads)
