"""The functional form: any Keras model as a functional model that shares its layers."""

from collections.abc import Sequence
from inspect import signature
from itertools import count
from typing import Any

import keras
import numpy as np

from ..core.errors import InputError, first_line
from ..core.flat_graph import retrace
from ..core.keras_private import allow_equal_names, named_twin

OPEN_SIZE = 64
"""Height and width of the image with which a graph is checked, where the model leaves them open."""


def functional_form(model: keras.Model, input_shape: Sequence[int | None] | None = None) -> keras.Model:
    """Return `model` as a functional model with the same layers, and so the same weights; itself if it is functional.

    A subclassed model becomes the graph of what its `call` does with symbolic inputs, where that is the same function
    in training and in inference; otherwise a graph of one node, the model itself, into which no verb can see.

    Args:
        model: A functional, Sequential or subclassed model. It is not changed, except that one without weights yet is
            built.
        input_shape: Shape of one input, without the batch, of a model that was never called.

    Raises:
        InputError: `model` is not a Keras model, its input shape is unknown, it fails on symbolic inputs, or its name
            cannot be that of a file.
    """
    if not isinstance(model, keras.Model):
        raise InputError(f"the model is {model!r}; give a keras.Model, as create_model and load_model return.")
    if not model.name or "/" in model.name:  # set later: constructors do not take such a name
        raise InputError(
            f"the name of the model is {model.name!r}; set model.name to one that is not empty, without '/'."
        )
    if isinstance(model, keras.Function):
        return model
    if isinstance(model, keras.Sequential):
        form = _from_sequential(model, input_shape)
    else:
        inputs = _symbolic_inputs(model, input_shape)
        form = graph_of_call(model, inputs) or _single_node(model, inputs)
    if len(form.outputs) == 1:  # the loss says what the output means
        if model.compiled:
            form.compile(model.optimizer, model.loss)
        elif isinstance(model, keras.Sequential):
            loss: Any = getattr(model, "loss", None)  # of a file that was read without its optimizer
            form.loss = loss  # type: ignore[method-assign]
    return form


def without_optimizer(model: keras.Model) -> keras.Model:
    """Return the same layers as a functional model that is not compiled."""
    model = functional_form(model)
    return keras.Model(model.input, model.output, name=model.name)


def with_different_names(model: keras.Model) -> keras.Model:
    """Return a functional model in which no two layers or operations share a name; twins of layers share the weights.

    A model with equal names exists only where `allow_equal_names` let it be built, and cannot be saved.
    """
    taken = {operation.name for operation in model.operations}
    if len(taken) == len(model.operations):
        return model
    used = {layer.name for layer in model.layers if isinstance(layer, keras.layers.InputLayer)}
    named: dict[int, keras.Operation] = {}

    def call(operation: keras.Operation, *args: Any, **kwargs: Any) -> Any:
        if id(operation) not in named:
            name = operation.name
            if name in used:
                name = next(f"{name}_{i}" for i in count(1) if f"{name}_{i}" not in taken | used)
            used.add(name)
            named[id(operation)] = operation if name == operation.name else named_twin(operation, name)
        return named[id(operation)](*args, **kwargs)

    with allow_equal_names():
        return retrace(model, call_function=call)


def _from_sequential(model: keras.Sequential, input_shape: Sequence[int | None] | None) -> keras.Model:
    if not model.built and input_shape is not None:
        model.build((None, *input_shape))
    if not model.built:
        raise InputError(
            f"{model.name} has no weights yet, since its input shape is unknown; make keras.Input((height, width, "
            "channels)) its first layer, or call model.build((None, height, width, channels))."
        )
    return keras.Model(model.inputs[0], model.outputs[0], name=model.name)


def _symbolic_inputs(model: keras.Model, input_shape: Sequence[int | None] | None) -> Any:
    """Return inputs of the shapes that the model was built with, in the structure that its `call` takes."""
    config = model.get_build_config() or {}
    shapes = config.get("input_shape") if input_shape is None else (None, *input_shape)
    if shapes is None and "shapes_dict" in config:
        shapes = list(config["shapes_dict"].values())
    if shapes is None:
        raise InputError(
            f"{model.name} is a subclassed model that was never called, so its input shape is unknown; call it once on "
            "a batch of images."
        )
    return _inputs_of(shapes)


def _inputs_of(shapes: Any, name: str | None = None) -> Any:
    """Return inputs of these shapes; those in a dict have its keys as names, those in a list `input_1` and so on."""
    if isinstance(shapes, dict):
        return {key: _inputs_of(shape, key) for key, shape in shapes.items()}
    if all(size is None or isinstance(size, int) for size in shapes):
        return keras.Input(tuple(shapes)[1:], name=name)
    return [_inputs_of(shape, f"input_{number}") for number, shape in enumerate(shapes, start=1)]


def graph_of_call(model: keras.Layer, inputs: Any) -> keras.Model | None:
    """Return the graph of what `call` of a subclassed model or a custom layer does with symbolic inputs.

    None if its layers differ in training, if it cannot be computed symbolically, or if the graph computes something
    else than the model.
    """
    modes: list[dict[str, Any]] = [{}]
    if "training" in signature(model.call).parameters:
        modes = [{"training": False}, {"training": True}]
    try:
        with allow_equal_names():
            graphs = [keras.Model(inputs, model.call(inputs, **mode), name=model.name) for mode in modes]
        same_layers = _layers(graphs[0]) == _layers(graphs[-1])
        if same_layers and all(_equal_outputs(graph, model) for graph in graphs):
            return with_different_names(graphs[0])
    except Exception:  # anything that a user's code raises on symbolic tensors, such as a TypeError of TensorFlow
        pass
    return None


def _layers(graph: keras.Model) -> list[Any]:
    """Return the layers of a graph, and the kinds of operations between them."""
    return [id(each) if isinstance(each, keras.Layer) else type(each) for each in graph.operations]


def _equal_outputs(graph: keras.Model, model: keras.Layer) -> bool:
    """Whether both compute the same from one random image, and numbers from 0 to 1 of other inputs."""
    generator = np.random.default_rng(0)

    def image(tensor: keras.KerasTensor) -> np.ndarray:
        shape = (1, *(size or OPEN_SIZE for size in tensor.shape[1:]))
        return generator.uniform(0, 255 if len(shape) == 4 else 1, shape).astype(tensor.dtype)

    images = keras.tree.map_structure(image, graph.input)
    results = [keras.tree.flatten(each(images, training=False)) for each in (graph, model)]
    first, second = ([keras.ops.convert_to_numpy(output) for output in outputs] for outputs in results)
    return all(
        np.allclose(own, other, rtol=1e-4, atol=1e-5, equal_nan=True) for own, other in zip(first, second, strict=True)
    )


def _single_node(model: keras.Model, inputs: Any) -> keras.Model:
    try:
        return keras.Model(inputs, model(inputs), name=model.name)
    except Exception as error:  # anything that a user's code raises
        raise InputError(f"{model.name} cannot be traced: its call fails with {first_line(error)}") from error
