"""The planar form: a model for signals as the same function of images of one row.

Edge runtimes have kernels for images: TFLite Micro, GPU delegates, ncnn and NPUs know no one-dimensional convolution,
and converters put a reshape on either side of each. The numbers are the same: signals `(length, channels)` and images
`(1, length, channels)` have one layout in memory.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from ..core.errors import InputError, first_line
from ..core.flat_graph import FlatGraph, Node
from ..layers import PixelNormalization
from .contract import copy_contract
from .flat import flatten_model, without_optimizer

WINDOWS = ("kernel_size", "pool_size", "strides", "dilation_rate", "size")
"""Arguments with a value for each axis; one for a signal."""
OF_ANY_RANK = {
    *("Activation", "ReLU", "LeakyReLU", "ELU", "Softmax", "Dropout", "Rescaling", "Flatten", "Add", "Subtract"),
    *("Multiply", "Average", "Maximum", "Minimum", "Dense", "BatchNormalization", "GroupNormalization", "Identity"),
    *("LayerNormalization", "UnitNormalization", "GaussianNoise", "GaussianDropout", "Concatenate", "Answer"),
}
"""Layers that do with an axis of length 1 what they do without it."""
OPERATIONS = {"Mean", "Max", "Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Square", "Sqrt", "Rsqrt", "Power"}
OPERATIONS |= {"Absolute", "Cast", "Maximum", "Minimum", "Relu", "Sigmoid", "Tanh", "Exp", "Log"}
"""Operations between layers for which this holds, too."""
TOLERANCE = 1e-4
"""Largest difference of the two forms, relative to the largest output."""


def takes_signals(model: keras.Model) -> bool:
    """Return whether a functional model takes signals `(batch, length, channels)` alone."""
    return len(model.inputs) == 1 and len(model.inputs[0].shape) == 3


def planar_form(model: keras.Model) -> keras.Model:
    """Return a model that takes signals as one that takes images of one row, `(batch, 1, length, channels)`.

    It is flat but for `PixelNormalization`, of stock layers, with copies of the weights: `Conv1D` becomes `Conv2D` with
    a kernel of one row. What is stated about `model` holds for it.

    Args:
        model: A functional model with one input of rank 3.

    Raises:
        InputError: It has a layer without such a form, such as a recurrent one, or leaves its length open.
    """
    flat = flatten_model(without_optimizer(model))
    length, channels = flat.inputs[0].shape[1:]
    if length is None:
        raise InputError(f"{model.name} leaves its length open; create it with a fixed input_shape (length, channels).")
    graph = FlatGraph(flat)
    normalizations = {layer.name: layer for layer in model.layers if isinstance(layer, PixelNormalization)}
    image = keras.Input((1, length, channels), name=flat.inputs[0].name, dtype=flat.inputs[0].dtype)
    tensors: dict[Any, Any] = {graph.inputs[0]: image}
    made: dict[int, Any] = {}
    for node in graph.nodes:
        if id(node.operation) not in made:
            kept = normalizations.get(node.name)
            made[id(node.operation)] = (
                _planar(node, model.name) if kept is None else type(kept).from_config(kept.get_config())
            )
        operation = made[id(node.operation)]
        if getattr(node.operation, "padding", None) == "causal":
            operation = _after_zeros(operation)
        found = _apply(node, tensors, operation)
        tensors |= dict(zip(node.outputs, keras.tree.flatten(found), strict=True))
    outputs = keras.tree.map_structure(lambda tensor: tensors[tensor], graph.model.output)
    planar = keras.Model(image, outputs, name=model.name)
    for node in graph.nodes:
        source, target = node.operation, made[id(node.operation)]
        if node.is_layer and source.weights and target is not source:
            _copy_weights(normalizations.get(node.name, source), target)
    _check_equal(flat, planar)
    copy_contract(model, planar)
    return planar


def _apply(node: Node, tensors: dict[Any, Any], operation: Callable[..., Any]) -> Any:
    if node.is_layer or type(node.operation).__name__ not in ("Mean", "Max"):
        kwargs = {name: value for name, value in node.kwargs.items() if name != "mask" or value is not None}
        return replace(node, kwargs=kwargs).apply(tensors, operation)
    axis = node.operation.axis
    if axis in (-1, len(node.inputs[0].shape) - 1):
        return node.apply(tensors)
    raise InputError(f"{node.name} reduces the axis {axis} of a signal; use a GlobalAveragePooling1D or MaxPooling1D.")


def _planar(node: Node, model: str) -> Any:
    """Return the layer or operation that does the same with images of one row."""
    operation, kind = node.operation, type(node.operation).__name__
    on_vectors = all(len(tensor.shape) < 3 for tensor in (*node.inputs, *node.outputs))
    if not node.is_layer:
        if on_vectors or kind in OPERATIONS:
            return operation
        raise _unsupported(operation, kind, model)
    if on_vectors and not isinstance(operation, keras.layers.RNN):
        return operation
    config = operation.get_config()
    if kind in OF_ANY_RANK:
        axis = config.get("axis")
        if isinstance(axis, int) and axis > 0:
            config["axis"] = axis + 1
        if config.get("noise_shape"):
            config["noise_shape"] = (config["noise_shape"][0], 1, *config["noise_shape"][1:])
        return type(operation).from_config(config)
    if kind == "UpSampling1D":
        return _repetition(operation, node.inputs[0].shape)
    if kind == "PReLU" and list(config["shared_axes"] or ()) == [1]:
        return keras.layers.PReLU.from_config(config | {"shared_axes": [1, 2]})
    planar = getattr(keras.layers, kind.replace("1D", "2D"), None)
    if "1D" not in kind or planar is None or planar.__name__ == kind:
        raise _unsupported(operation, kind, model)
    return _two_dimensional(operation, planar, config)


def _repetition(layer: keras.layers.UpSampling1D, shape: tuple[int, ...]) -> Callable[..., Any]:
    """Return a function that repeats every sample: as channels first, since TFLite Micro has no kernel for more."""
    _, length, channels = shape
    join = keras.layers.Concatenate(name=layer.name)
    spread = keras.layers.Reshape((1, length * layer.size, channels), name=f"{layer.name}_samples")
    return lambda x: spread(join([x] * layer.size))


def _after_zeros(convolution: keras.layers.Conv2D) -> Callable[..., Any]:
    """Return a function that applies a convolution so that no output sees what comes after it."""
    reach = convolution.dilation_rate[1] * (convolution.kernel_size[1] - 1)
    pad = keras.layers.ZeroPadding2D(((0, 0), (reach, 0)), name=f"{convolution.name}_zeros")
    return lambda x: convolution(pad(x))


def _two_dimensional(layer: keras.Layer, planar: type[keras.Layer], config: dict[str, Any]) -> keras.Layer:
    kind = type(layer).__name__
    for name in WINDOWS:
        if config.get(name) is not None:
            config[name] = (1, *np.atleast_1d(config[name]).tolist())
    if kind in ("DepthwiseConv1D", "SeparableConv1D"):  # Keras' strides are equal along both axes; there is one row
        config["strides"] = (config["strides"][1],) * 2
    if kind in ("ZeroPadding1D", "Cropping1D"):
        name = "padding" if kind == "ZeroPadding1D" else "cropping"
        config[name] = ((0, 0), tuple(config[name]))
    if config.get("padding") == "causal":
        config["padding"] = "valid"
    return planar.from_config(config)


def _unsupported(operation: Any, kind: str, model: str) -> InputError:
    return InputError(
        f"{model} takes signals, and its layer {operation.name} ({kind}) has no form that can be exported."
    )


def _copy_weights(source: keras.Layer, target: keras.Layer) -> None:
    """Copy weights, whose values are the same: kernels have one more axis of length 1."""
    values = [keras.ops.convert_to_numpy(weight) for weight in source.weights]
    target.set_weights([value.reshape(weight.shape) for value, weight in zip(values, target.weights, strict=True)])


def _check_equal(flat: keras.Model, planar: keras.Model) -> None:
    """Raise InputError where the two forms compute different numbers from random signals."""
    signals = np.random.default_rng(0).uniform(-1, 1, (2, *flat.inputs[0].shape[1:])).astype("float32")
    try:
        pairs = zip(_run(flat, signals), _run(planar, signals[:, np.newaxis]), strict=True)
        differences = [
            float(np.abs(own - other.reshape(own.shape)).max() / max(np.abs(own).max(), 1e-6)) for own, other in pairs
        ]
    except ValueError as error:
        raise InputError(f"{flat.name} cannot be written for images of one row: {first_line(error)}.") from error
    if not max(differences) <= TOLERANCE:
        raise InputError(
            f"{flat.name} computes other numbers from images of one row than from signals (by {max(differences):.2g} "
            "of the largest), so it cannot be exported."
        )


def _run(model: keras.Model, values: np.ndarray) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(output) for output in keras.tree.flatten(model(values, training=False))]
