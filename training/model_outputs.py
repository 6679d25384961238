"""What a model answers, by the heads that its outputs come from."""

import keras

from ..core.errors import InputError
from ..core.keras_private import source_operation
from ..core.outputs import map_outputs
from ..layers import EmbeddingHead, Head


def heads_of(model: keras.Model) -> Head | dict[str, Head | None] | None:
    """The head that each output comes from; None for an output that comes from another layer.

    Raises:
        InputError: `model` is a `keras.Sequential`, which does not say what its outputs are.
    """
    if isinstance(model, keras.Sequential):
        raise InputError(
            f"{model.name} is a Sequential model; what is expected is its functional form, "
            "keras.Model(model.inputs, model.outputs[0])."
        )

    def maker(output: keras.KerasTensor) -> Head | None:
        operation = source_operation(output)
        return operation if isinstance(operation, Head) else None

    return map_outputs(maker, model.output)


def tasks_of(model: keras.Model) -> str | dict[str, str]:
    """What each output answers, as `zoo.create_model` takes it for `head`.

    A vector that comes from no head of the zoo, `(batch, classes)`, counts as a classification.

    Raises:
        InputError: The outputs have no names, or one is an embedding, or neither of a head nor a vector.
    """
    heads = heads_of(model)
    if isinstance(model.output, list):
        raise InputError(f"{model.name} gives {len(model.output)} answers without names; give one, or a dict by name.")

    def task(output: keras.KerasTensor, head: Head | None) -> str:
        if head is None and len(output.shape) != 2:
            raise InputError(
                f"{model.name} gives {tuple(output.shape)} from no head of the zoo; what is trained and evaluated "
                "here comes from a head, or is (batch, classes)."
            )
        if isinstance(head, EmbeddingHead):
            raise InputError(f"{model.name} answers an embedding, which has no right answer to train or evaluate by.")
        return "classification" if head is None else head.TASK

    return map_outputs(task, model.output, heads)
