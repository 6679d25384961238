"""Private names of Keras."""

import io
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeAlias

import keras
import numpy as np

from .private_names import PrivateName
from .process_patches import replace_attribute

Optimizer: TypeAlias = Any
"""A `keras.optimizers.Optimizer`, or a mixin for one, which type checkers do not take for it."""

PACKAGE, TESTED = "keras", "3.15.1"

NAMES = tuple(
    PrivateName(PACKAGE, TESTED, name, needed_for)
    for name, needed_for in {
        "Layer._flatten_layers": "freezing, mixed precision, and whatever else looks at all layers of a model",
        "KerasTensor._keras_history": "finding the head of an output",
        "keras.src.ops.function.map_graph": "models in which two layers have the same name",
        "Operation._inbound_nodes": "models in which two layers have the same name",
        "Operation._outbound_nodes": "models in which two layers have the same name",
        "keras.src.backend.common.global_state.uninitialized_variables": "models that are built for their shapes alone",
        "Optimizer._iterations": "validation with averaged weights (optimizer.ema)",
        "Optimizer._trainable_variables": "averaged weights (optimizer.ema) and the penalties l1 and l2",
        "Optimizer._model_variables_moving_average": "validation with averaged weights (optimizer.ema)",
        "Optimizer._learning_rate": "the schedule 'plateau'",
        "Optimizer._var_key": "learning rates that differ between weights",
        "Optimizer._use_weight_decay": "weight decay",
        "TFOptimizer._all_reduce_sum_gradients": "releasing the memory of a model after its training",
        "keras.src.saving.saving_lib.save_model": "saving models on a disk that may be full",
        "keras.src.saving.saving_lib.H5IOStore": "saving weights on a disk that may be full",
        "keras.src.saving.saving_lib._save_state": "saving weights on a disk that may be full",
        "keras.src.backend.tensorflow.nn.tf": "ONNX and TFLite files of grouped convolutions and GELU",
        "DTypePolicy._compute_dtype": "checking models whose rounding errors are large in double precision",
        "Layer._open_name_scope": "telling which layer a tensor of a TFLite or ONNX file belongs to",
        "keras.src.backend.tensorflow.nn.hard_sigmoid": "tflite-int16x8 files of models with hard-swish",
        "keras.src.backend.tensorflow.numpy.eye": "int8 files of models that take patches of images",
        "keras.src.backend.tensorflow.numpy.argmax": "ONNX and TFLite files of models that select the largest value",
        "keras.src.backend.tensorflow.numpy.argmin": "ONNX and TFLite files of models that select the smallest value",
    }.items()
)


def all_layers(layer: keras.Layer, *, include_self: bool = False) -> list[keras.Layer]:
    """List the layers inside a model or a layer, at any depth, each once."""
    return list(layer._flatten_layers(include_self=include_self))


def double_precision() -> keras.DTypePolicy:
    """Return the policy with which layers compute in float64, while their weights stay float32."""
    policy = keras.DTypePolicy("mixed_float16")
    policy._compute_dtype = "float64"
    return policy


def source_operation(tensor: keras.KerasTensor) -> keras.Operation:
    """Return the layer or operation that a symbolic tensor is the output of."""
    operation: keras.Operation = getattr(tensor, "_keras_history").operation  # noqa: B009 (the class does not declare it)
    return operation


def named_twin(operation: keras.Operation, name: str) -> keras.Operation:
    """Return the same operation under another name: a layer with the very weights and sublayers of the first one."""
    twin = object.__new__(type(operation))
    vars(twin).update(vars(operation))  # `copy` would save and load it, and so copy the weights
    twin.name = name
    twin._inbound_nodes, twin._outbound_nodes = [], []
    return twin


@contextmanager
def allow_equal_names() -> Iterator[None]:
    """Let functional models be built during the block in which different layers or operations have the same name."""
    from keras.src.ops import function

    map_graph = function.map_graph

    def map_with_own_names(inputs: list[keras.KerasTensor], outputs: list[keras.KerasTensor]) -> Any:
        operations = _operations_before(outputs)
        names = [operation.name for operation in operations]
        try:
            for number, operation in enumerate(operations):
                operation.name = str(number)
            return map_graph(inputs, outputs)
        finally:
            for operation, name in zip(operations, names, strict=True):
                operation.name = name

    with replace_attribute(function, "map_graph", map_with_own_names):
        yield


def _operations_before(outputs: list[keras.KerasTensor]) -> list[keras.Operation]:
    """List the operations on which `outputs` depend, each once."""
    waiting, seen = list(outputs), set[tuple[int, int]]()
    operations: dict[int, keras.Operation] = {}
    while waiting:
        history = getattr(waiting.pop(), "_keras_history")  # noqa: B009 (the class does not declare it)
        if (key := (id(history.operation), history.node_index)) not in seen:
            seen.add(key)
            operations[id(history.operation)] = history.operation
            waiting += history.operation._inbound_nodes[history.node_index].input_tensors
    return list(operations.values())


@contextmanager
def without_values() -> Iterator[None]:
    """Build models during the block that never get values, such as the 0.5 GB of VGG: only names and shapes count.

    Keras would give them values at the end of the next scope that creates variables anywhere in the program.
    """
    from keras.src.backend.common import global_state

    waiting = "uninitialized_variables"
    with keras.StatelessScope(initialize_variables=False):
        earlier = list(global_state.get_global_attribute(waiting, []))
        try:
            yield
        finally:
            global_state.set_global_attribute(waiting, earlier)


def batches_seen(optimizer: keras.optimizers.Optimizer) -> int:
    """Return how many batches an optimizer was applied to; `iterations` counts those it accumulates together as one."""
    return int(keras.ops.convert_to_numpy(optimizer._iterations))


def optimized_variables(optimizer: Optimizer) -> list[keras.Variable]:
    """List the variables that a built optimizer updates, in the order of their gradients."""
    return list(optimizer._trainable_variables)


def moving_averages(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """List the moving averages of `optimized_variables`, in their order; the optimizer must have `use_ema`."""
    return list(optimizer._model_variables_moving_average)


def learning_rate_schedule(optimizer: keras.optimizers.Optimizer) -> Any:
    """Return the schedule that an optimizer was made with; `learning_rate` is its value at the current step."""
    return optimizer._learning_rate


def variable_key(optimizer: Optimizer, variable: keras.Variable) -> Hashable:
    """Return the key by which an optimizer recognizes a variable."""
    key: Hashable = optimizer._var_key(variable)
    return key


def has_weight_decay(optimizer: Optimizer, variable: keras.Variable) -> bool:
    """Whether a variable was not excluded by `exclude_from_weight_decay`."""
    return bool(optimizer._use_weight_decay(variable))


def keep_gradients_of_one_replica(optimizer: Optimizer) -> None:
    """Let an optimizer use gradients as they are where there is a single replica, whose sum over replicas they are.

    TensorFlow's sum over replicas has a gradient of its own, which it registers for the process each time the sum is
    traced: it would keep each traced training step, with the weights and the state of the optimizer.
    """
    import tensorflow as tf

    sum_over_replicas = optimizer._all_reduce_sum_gradients

    def reduce(gradients: Any) -> Any:
        return (
            list(gradients) if tf.distribute.get_strategy().num_replicas_in_sync == 1 else sum_over_replicas(gradients)
        )

    optimizer._all_reduce_sum_gradients = reduce


def keras_file(model: keras.Model) -> memoryview:
    """Return the content of the `.keras` file of a model.

    Keras writes files by steps; where one fails, HDF5 leaves its file open, and can crash the process when it ends.
    """
    from keras.src.saving import saving_lib

    content = io.BytesIO()
    saving_lib.save_model(model, content)
    return content.getbuffer()


def weights_file(model: keras.Model) -> memoryview:
    """Return the content of the `.weights.h5` file of a model, with the state of the optimizer if it is compiled."""
    from keras.src.saving import saving_lib

    content = io.BytesIO()
    store = saving_lib.H5IOStore(content, mode="w")
    saving_lib._save_state(model, store, assets_store=None, inner_path="", visited_saveables=set())
    store.close()
    return content.getbuffer()


@contextmanager
def trace_without_xla() -> Iterator[None]:
    """Trace grouped convolutions and GELU without XLA during the block.

    On CPU, Keras compiles each of them with XLA as a function of its own. From such a function tf2onnx writes operators
    that ONNX does not have, and raises nothing.
    """
    import tensorflow as tf
    from keras.src.backend.tensorflow import nn

    class WithoutXla:
        """TensorFlow, except for `tf.function`, which returns functions unchanged."""

        def __getattr__(self, name: str) -> Any:
            return getattr(tf, name)

        @staticmethod
        def function(*_: Any, **__: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
            return lambda traced: traced

    with replace_attribute(nn, "tf", WithoutXla()):
        yield


@contextmanager
def replace_name_scopes(scope_of: Callable[[keras.Operation], AbstractContextManager[Any]]) -> Iterator[None]:
    """Trace each layer and operation in the context that `scope_of` returns for it, in place of Keras' scopes.

    Keras' scopes bear the name of the layer, which TensorFlow numbers when it is used again and may not accept at all.
    """
    call = keras.Operation.__call__

    def call_in_scope(operation: keras.Operation, *args: Any, **kwargs: Any) -> Any:
        with scope_of(operation):
            return call(operation, *args, **kwargs)

    with (
        replace_attribute(keras.Layer, "_open_name_scope", lambda layer: nullcontext()),
        replace_attribute(keras.Operation, "__call__", call_in_scope),
    ):
        yield


def replace_hard_sigmoid(function: Callable[[Any], Any]) -> AbstractContextManager[None]:
    """Trace the hard sigmoid, and the hard-swish that Keras makes of it, as `function` of a tensor during the block."""
    from keras.src.backend.tensorflow import nn

    return replace_attribute(nn, "hard_sigmoid", function)


def constant_identity_matrices() -> AbstractContextManager[None]:
    """Trace identity matrices as constants during the block, such as the kernel of `ops.image.extract_patches`.

    Keras computes them, and the TFLite converter quantizes what is computed as an activation, which is no kernel.
    """
    import tensorflow as tf
    from keras.src.backend.tensorflow import numpy as backend

    def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Any:  # noqa: N803 (Keras' names)
        return tf.constant(np.eye(N, M, k), dtype=dtype or keras.config.floatx())

    return replace_attribute(backend, "eye", eye)


@contextmanager
def plain_argmax() -> Iterator[None]:
    """Trace `ops.argmax` and `ops.argmin` as the bare operators during the block.

    Keras first replaces -0.0 by a smaller number, by operations on bits that ONNX and TFLite do not have.
    """
    import tensorflow as tf
    from keras.src.backend.tensorflow import numpy as backend

    def plain(select: Callable[..., Any]) -> Callable[..., Any]:
        def position(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
            x = tf.convert_to_tensor(x)
            values = tf.reshape(x, [-1]) if axis is None else x
            found = select(values, axis=0 if axis is None else axis, output_type="int32")
            if not keepdims:
                return found
            return tf.reshape(found, [1] * x.shape.rank) if axis is None else tf.expand_dims(found, axis)

        return position

    with (
        replace_attribute(backend, "argmax", plain(tf.argmax)),
        replace_attribute(backend, "argmin", plain(tf.argmin)),
    ):
        yield
