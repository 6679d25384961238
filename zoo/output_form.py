"""What the last layers of a model, and the loss it was compiled with, say about its outputs."""

from collections.abc import Mapping
from typing import Any

import keras

from ..core.errors import InputError
from ..core.flat_graph import FlatGraph
from ..core.keras_private import source_operation
from ..layers import Head
from ..tasks.task import Task
from .functional_form import without_optimizer
from .signature import name_outputs, named_outputs, returns_dict

UNCHANGED = {
    *("Reshape", "Flatten", "Permute", "Transpose", "Squeeze", "ExpandDims", "Cropping2D", "ZeroPadding2D"),
    *("Dropout", "SpatialDropout2D", "GaussianNoise", "Identity", "Cast", "ConvertToTensor", "FakeQuantize"),
}
"""Classes of layers and operations that do not change what their values mean."""
NO_PROBABILITIES = {
    *("linear", "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "softplus", "softsign", "tanh"),
    *("mish", "exponential", "log_softmax", "log_sigmoid"),
}
"""Activations whose outputs are below 0, above 1 or do not add up to 1."""
OPERATIONS = {"Softmax": "softmax", "Sigmoid": "sigmoid", "LogSoftmax": "log_softmax"}
"""Activation by class of the layer or operation that applies it."""


def head_of(output: keras.KerasTensor) -> Head | None:
    """Return the head of the zoo that an output comes from; None for an output of another layer."""
    operation = source_operation(output)
    return operation if isinstance(operation, Head) else None


def activations_of(model: keras.Model) -> dict[str, str | None]:
    """Return Keras' name of the activation of each output by name, such as `"softmax"` or `"linear"`.

    None where the last layer has no activation of its own. Nested models are looked into, and layers that only move
    values are skipped.

    Args:
        model: A functional or Sequential model.
    """
    graph = FlatGraph(without_optimizer(model))
    return {name: _activation(graph, output) for name, output in name_outputs(model, graph.model.output).items()}


def _activation(graph: FlatGraph, tensor: keras.KerasTensor) -> str | None:
    node = graph.producer(tensor)
    operation, kind = node.operation, type(node.operation).__name__
    if isinstance(operation, keras.Model) and getattr(operation, "outputs", None):  # a subclassed one has none
        nested = FlatGraph(without_optimizer(operation))
        position = next(index for index, output in enumerate(node.outputs) if output is tensor)
        return _activation(nested, nested.outputs[position])
    if isinstance(operation, Head):
        return _activation_name(operation.chain(len(node.inputs[0].shape))[-1])
    if kind in OPERATIONS:
        is_over_last = getattr(operation, "axis", -1) in (-1, len(tensor.shape) - 1)
        return OPERATIONS[kind] if is_over_last else None
    name = _activation_name(operation)
    passes = kind in UNCHANGED or (kind == "Activation" and name == "linear")
    return _activation(graph, node.inputs[0]) if passes and node.inputs else name


def _activation_name(operation: Any) -> str | None:
    activation = getattr(operation, "activation", None)
    return getattr(activation, "__name__", None) if callable(activation) else None


def compiled_losses(model: keras.Model) -> dict[str, Any]:
    """Return the loss that a model was compiled with for each output by name; None where there is none."""
    loss, names = getattr(model, "loss", None), list(named_outputs(model))
    if isinstance(loss, Mapping):
        return {name: loss.get(name) for name in names}
    if isinstance(loss, list | tuple) and len(loss) == len(names) and not returns_dict(model):
        return dict(zip(names, loss, strict=True))
    return {name: loss if len(names) == 1 and not isinstance(loss, list | tuple) else None for name in names}


def loss_name(loss: Any) -> str | None:
    """Return Keras' name of a loss, such as `"categorical_crossentropy"`, from that name, a function or an object."""
    try:
        loss = keras.losses.get(loss) if isinstance(loss, str) else loss
    except ValueError:  # registered by the user, elsewhere
        return None
    return getattr(loss, "name", None) or getattr(loss, "__name__", None)


def loss_takes_logits(loss: Any) -> bool | None:
    """Return the `from_logits` of a loss of Keras; None where it has none."""
    if isinstance(loss, str) and loss_name(loss) is not None:
        return False if "crossentropy" in loss else None
    return loss.get_config().get("from_logits") if isinstance(loss, keras.losses.Loss) else None


def check_form(name: str, task: Task, activation: str | None, size: int | None, *, from_logits: bool) -> None:
    """Raise InputError where an output cannot be what is stated or inferred.

    Args:
        name: Model and output, for messages.
        task: Task of the output.
        activation: As `activations_of` returns it.
        size: Length of the last axis.
        from_logits: Whether the output is said to be logits.
    """
    wanted, is_single = task.activation, size == 1 and task.activation == "softmax"
    if from_logits and (wanted is None or activation in ("softmax", "sigmoid")):
        reason = f"it is {task.titled}, which has no logits" if wanted is None else f"it ends in a {activation}"
        raise InputError(f"from_logits is True for {name}, but {reason}; leave from_logits out.")
    if wanted and not from_logits and activation in NO_PROBABILITIES:
        raise InputError(
            f"{name} ends in the activation {activation}, whose outputs are no probabilities, though from_logits is "
            f"False, as stated or in the loss that it was compiled with; state from_logits=True for logits, or end it "
            f"in a {'sigmoid' if is_single else wanted}."
        )
    if is_single and activation == "softmax":
        raise InputError(f"{name} is a softmax over a single output, which is always 1; use a sigmoid, or two outputs.")
    if wanted and activation in {"softmax", "sigmoid"} - {"sigmoid" if is_single else wanted}:
        raise InputError(
            f"{name} is to be {task.titled}, which has a {wanted}, but it ends in a {activation}; change the "
            "activation, or state another task."
        )
