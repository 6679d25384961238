"""Input and output names and shapes of models, and checks on them."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from ..core.errors import InputError
from .functional_form import functional_form


def image_among(tensors: Sequence[keras.KerasTensor]) -> keras.KerasTensor | None:
    """Return the first of a model's inputs that is an image; without any, a signal or a volume.

    Images have the rank 4, `(batch, height, width, channels)`, signals 3 and volumes 5.
    """
    ranked = [(abs(len(tensor.shape) - 4), tensor) for tensor in tensors]
    return next((tensor for distance in (0, 1) for rank, tensor in ranked if rank == distance), None)


def images_among(tensors: Mapping[str, keras.KerasTensor]) -> dict[str, keras.KerasTensor]:
    """Return the inputs that are images; without any, those that are signals or volumes, as in `image_among`."""
    first = image_among(list(tensors.values()))
    rank = None if first is None else len(first.shape)
    return {name: tensor for name, tensor in tensors.items() if len(tensor.shape) == rank}


def image_shape(model: keras.Model) -> tuple[int | None, ...]:
    """Return height, width and channels of the input images of `model`; None where the size is variable.

    Of signals they are length and channels, of volumes depth, height, width and channels.

    Raises:
        InputError: `model` is not a Keras model, or its input is not a single batch of these.
    """
    check_model(model)
    form = functional_form(model)
    inputs = form.inputs
    if len(inputs) > 1:
        raise InputError(
            f"{model.name} takes the inputs {', '.join(named_inputs(form))}, but files and folders have images alone; "
            "use it in Python, with a dict of arrays by these names."
        )
    if image_among(inputs) is None:
        raise InputError(
            f"the input of {model.name} has the shape {tuple(inputs[0].shape)}; expected is one batch of images, "
            "(batch, height, width, channels)."
        )
    return tuple(inputs[0].shape[1:])


def check_model(model: keras.Model) -> None:
    """Raise InputError where `model` is not a Keras model."""
    if not isinstance(model, keras.Model):
        raise InputError(f"the model is {model!r}; give a keras.Model, as create_model and load_model return.")


def check_image_inputs(model: keras.Model) -> None:
    """Check that `model` takes images, signals or volumes, and perhaps other inputs.

    Raises:
        InputError: `model` is not a Keras model, or none of its inputs is a batch of these.
    """
    check_model(model)
    if image_among(model.inputs or functional_form(model).inputs) is None:
        image_shape(model)


def named_inputs(model: keras.Model) -> dict[str, keras.KerasTensor]:
    """Return the inputs of a functional or Sequential model by name, in the order in which the model takes them.

    Those in a dict have its keys, others the names of their input layers.
    """
    if isinstance(model, keras.Sequential):
        return {model.inputs[0].name: model.inputs[0]}
    return _by_name(model.input, model.inputs, [tensor.name for tensor in model.inputs], f"{model.name} takes")


def input_keys(model: keras.Model) -> list[str]:
    """Return the names of the inputs of a functional or Sequential model; that of a single one is empty."""
    named = named_inputs(model)
    return list(named) if len(named) > 1 else [""]


def output_keys(model: keras.Model) -> list[str]:
    """Return the names of the outputs of a functional or Sequential model; that of one outside a dict is empty."""
    named = named_outputs(model)
    return list(named) if len(named) > 1 or returns_dict(model) else [""]


def named_outputs(model: keras.Model) -> dict[str, keras.KerasTensor]:
    """Return the outputs of a functional or Sequential model by name, in the order in which the model returns them.

    Those in a dict have its keys, others the names of the layers that they come from. A layer that returns several of
    them names the second one `NAME_1`.
    """
    if isinstance(model, keras.Sequential):  # has no `output` before it is called
        return {model.name: model.outputs[0]}
    return _by_name(model.output, model.outputs, model.output_names, f"{model.name} returns")


def returns_dict(model: keras.Model) -> bool:
    """Return whether a model returns its outputs in a dict."""
    return not isinstance(model, keras.Sequential) and isinstance(model.output, dict)


def arrange_inputs(model: keras.Model, values: Mapping[str, Any]) -> Any:
    """Return values in the structure in which a functional model takes its inputs.

    Args:
        model: The model.
        values: By the names of `named_inputs`, in that order.
    """
    if isinstance(model.input, dict):
        return dict(values)
    return keras.tree.pack_sequence_as(model.input, list(values.values()))


def name_outputs(model: keras.Model, outputs: Any) -> dict[str, Any]:
    """Return what a functional model returned by the names of `named_outputs`, in that order."""
    names = named_outputs(model)
    if returns_dict(model):
        return {name: outputs[name] for name in names}
    return dict(zip(names, keras.tree.flatten(outputs), strict=True))


def _by_name(
    structure: Any, tensors: Sequence[keras.KerasTensor], names: Sequence[str], model: str
) -> dict[str, keras.KerasTensor]:
    if isinstance(structure, dict):
        nested = [name for name, value in structure.items() if not isinstance(value, keras.KerasTensor)]
        if nested:
            raise InputError(f"{model} several tensors under {nested[0]!r}; give each an entry of its own in the dict.")
        return dict(structure)
    named: dict[str, keras.KerasTensor] = {}
    for name, tensor in zip(names, tensors, strict=True):
        different = (f"{name}_{number}" for number in range(1, len(tensors)))
        named[name if name not in named else next(each for each in different if each not in {*named, *names})] = tensor
    return named
