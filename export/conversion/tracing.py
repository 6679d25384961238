"""Tracing a model as a TensorFlow graph that has nothing but the model's inputs and constants."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property

import keras
import tensorflow as tf

from ...core.errors import InputError
from ...core.keras_private import (
    all_layers,
    constant_identity_matrices,
    plain_argmax,
    replace_name_scopes,
    trace_without_xla,
)
from ...core.process_patches import replace_attribute
from ...core.tensorflow_private import freeze
from .einsum import products_for_einsum
from .layer_scopes import LayerScopes, scope_name


@dataclass(frozen=True)
class TracedFunction:
    """A concrete TensorFlow function that captures nothing, for converters."""

    function: tf.types.experimental.ConcreteFunction

    @cached_property
    def graph(self) -> tf.compat.v1.GraphDef:
        """The graph of `function`."""
        return self.function.graph.as_graph_def()


def trace_function(
    call: Callable[..., list[tf.Tensor]],
    inputs: Sequence[tf.TensorSpec],
    flat: keras.Model,
    scopes: LayerScopes,
    patch: AbstractContextManager[None] | None = None,
) -> TracedFunction:
    """Trace `call`, which applies `flat` to its inputs, with constants for weights and for whatever else it captures.

    A function with constants needs no freezing, which takes longer than a conversion and copies all weights; only
    tensors that are no weights of the model are frozen, such as the mean of a Keras `Normalization`.

    Args:
        call: From a tensor for each input to the outputs.
        inputs: Specifications of the inputs.
        flat: The model, whose weights become constants.
        scopes: Name scopes of its layers and operations.
        patch: Context that is active while Keras traces.

    Raises:
        InputError: A tensor that a layer captures has no known value.
    """
    weights = [(variable, variable.numpy(), name) for variable, name in _constant_names(flat, scopes)]

    @tf.function(input_signature=list(inputs), autograph=False)
    def serve(*tensors):
        constants = [(variable, tf.constant(value, name=name)) for variable, value, name in weights]
        with (
            trace_without_xla(),
            constant_identity_matrices(),
            plain_argmax(),
            products_for_einsum(),
            replace_name_scopes(lambda operation: _open_scope(operation, scopes)),
            patch or nullcontext(),
            _unrolled(flat, inputs),
            keras.StatelessScope(constants),
        ):
            return call(*tensors)

    function = serve.get_concrete_function()
    if function.captured_inputs:
        function = freeze(function)
    if len(function.inputs) != len(inputs):
        unknown = ", ".join(tensor.name for tensor in function.inputs[len(inputs) :])
        raise InputError(f"{flat.name} uses {unknown}, whose value is not known; make it a weight of the layer.")
    return TracedFunction(function)


def _constant_names(flat: keras.Model, scopes: LayerScopes) -> list[tuple[keras.Variable, str]]:
    """Every variable once, with a name in the scope of the first layer that has it."""
    names = {id(variable): (variable, f"weight_{number}") for number, variable in enumerate(flat.variables)}
    for layer in reversed(flat.layers):
        scope = scopes.path(layer)
        names |= {id(variable): (variable, f"{scope}/{scope_name(variable.name)}") for variable in layer.variables}
    return list(names.values())


@contextmanager
def _unrolled(flat: keras.Model, inputs: Sequence[tf.TensorSpec]) -> Iterator[None]:
    """Trace recurrent layers step by step during the block, where sizes are fixed.

    ONNX has no list of tensors, which TensorFlow's loops fill, and integers cannot be calibrated inside of a loop.
    """
    with ExitStack() as stack:
        for layer in all_layers(flat):
            if isinstance(layer, keras.layers.RNN) and all(None not in spec.shape[1:] for spec in inputs):
                stack.enter_context(replace_attribute(layer, "unroll", True))
        yield


def _open_scope(operation: keras.Operation, scopes: LayerScopes) -> AbstractContextManager[object]:
    """The scope of a layer or operation of the model; a part of one is traced in the scope of the whole."""
    scope = scopes.path(operation)
    return nullcontext() if scope is None else tf.name_scope(f"{scope}/")
