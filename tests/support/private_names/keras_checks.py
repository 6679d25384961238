"""Checks of the private names of Keras."""

import contextlib
import gc
import io
import tempfile
import weakref
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import keras
import numpy as np
import tensorflow as tf

from pocketzoo.core import keras_private
from support.private_names.checks import check_of


def two_layers() -> keras.Model:
    inner = keras.Sequential([keras.layers.Conv2D(2, 3, name="conv"), keras.layers.ReLU(name="relu")], name="inner")
    image = keras.Input((8, 8, 1))
    return keras.Model(image, keras.layers.Flatten(name="flatten")(inner(image)))


def applied(optimizer: keras.optimizers.Optimizer) -> tuple[keras.optimizers.Optimizer, list[keras.Variable]]:
    """An optimizer after one batch, and its variables, whose gradients were 1."""
    variables = [keras.Variable([1.0], name="kernel"), keras.Variable([2.0], name="bias")]
    optimizer.build(variables)
    optimizer.apply([keras.ops.ones_like(variable) for variable in variables])
    return optimizer, variables


@check_of("Layer._flatten_layers")
def layers_are_listed_from_the_outside_in():
    model = two_layers()
    names = [layer.name for layer in keras_private.all_layers(model)]
    assert {"inner", "conv", "relu", "flatten"} <= set(names)
    assert names.index("inner") < names.index("conv")
    assert len(names) == len(set(names))
    assert keras_private.all_layers(model, include_self=True)[0] is model


@check_of("DTypePolicy._compute_dtype")
def layers_of_float32_weights_compute_in_double_precision():
    dense = keras.layers.Dense(1, kernel_initializer="ones", dtype=keras_private.double_precision())
    outputs = dense(keras.ops.convert_to_tensor(np.array([[1.0, 1e-12]])))
    assert dense.kernel.dtype == "float32"
    assert float(outputs[0, 0]) == 1 + 1e-12


@check_of("KerasTensor._keras_history")
def source_of_an_output_is_its_layer():
    model = two_layers()
    assert keras_private.source_operation(model.output) is model.get_layer("flatten")


@check_of("Optimizer._iterations")
def batches_are_counted_where_gradients_are_accumulated():
    optimizer, variables = applied(keras.optimizers.SGD(0.1, gradient_accumulation_steps=2))
    assert keras_private.batches_seen(optimizer) == 1
    assert int(optimizer.iterations) == 0
    optimizer.apply([keras.ops.ones_like(variable) for variable in variables])
    assert keras_private.batches_seen(optimizer) == 2


@check_of("Optimizer._trainable_variables")
def optimized_variables_are_those_it_was_built_with():
    optimizer, variables = applied(keras.optimizers.SGD(0.1))
    assert [id(one) for one in keras_private.optimized_variables(optimizer)] == [id(one) for one in variables]


@check_of("Optimizer._model_variables_moving_average")
def moving_averages_follow_the_variables():
    optimizer, _ = applied(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9))
    averages = [float(average[0]) for average in keras_private.moving_averages(optimizer)]
    np.testing.assert_allclose(averages, [0.9, 1.9], rtol=1e-6)  # after the first step an average is its variable


@check_of("Optimizer._learning_rate")
def schedule_of_an_optimizer_can_be_read():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    assert keras_private.learning_rate_schedule(keras.optimizers.SGD(schedule)) is schedule


@check_of("Optimizer._var_key")
def variables_have_different_keys():
    optimizer, variables = applied(keras.optimizers.SGD(0.1))
    assert len({keras_private.variable_key(optimizer, one) for one in variables}) == 2


@check_of("Optimizer._use_weight_decay")
def excluded_variables_have_no_weight_decay():
    optimizer, (kernel, bias) = keras.optimizers.SGD(0.1), [keras.Variable([1.0]), keras.Variable([2.0])]
    optimizer.exclude_from_weight_decay([bias])
    optimizer.build([kernel, bias])
    assert keras_private.has_weight_decay(optimizer, kernel)
    assert not keras_private.has_weight_decay(optimizer, bias)


def traced_step(prepare: Callable[[keras.optimizers.Optimizer], None]) -> weakref.ref:
    """The graph of a step, which nothing but TensorFlow refers to."""
    optimizer, variable = keras.optimizers.SGD(0.1), keras.Variable([1.0])
    prepare(optimizer)
    optimizer.build([variable])
    step = tf.function(lambda gradient: optimizer.apply([gradient]), [tf.TensorSpec((1,))], autograph=False)
    return weakref.ref(step.get_concrete_function().graph)


@check_of("keras.src.backend.common.global_state.uninitialized_variables")
def variables_without_values_never_get_them():
    with keras_private.without_values():
        variable = keras.Variable(initializer="ones", shape=(2,))
    with keras.StatelessScope():
        later = keras.Variable(initializer="ones", shape=(2,))
    np.testing.assert_array_equal(later, [1, 1])
    assert variable.shape == (2,)
    assert variable._value is None


@check_of("TFOptimizer._all_reduce_sum_gradients")
def traced_step_is_released():
    kept, released = traced_step(lambda optimizer: None), traced_step(keras_private.keep_gradients_of_one_replica)
    gc.collect()
    assert kept() is not None, "TensorFlow no longer needs the patch: remove it"
    assert released() is None
    optimizer, variables = keras.optimizers.SGD(0.1), [keras.Variable([1.0])]
    keras_private.keep_gradients_of_one_replica(optimizer)
    optimizer.build(variables)
    optimizer.apply([tf.constant([2.0])])
    np.testing.assert_allclose(variables[0], [0.8])


def operations_of(function: tf.types.experimental.GenericFunction) -> set[str]:
    graph = function.get_concrete_function().graph
    return {operation.type for operation in graph.get_operations()}


@check_of("keras.src.backend.tensorflow.nn.tf")
def grouped_convolution_is_traced_without_a_call():
    convolve = keras.layers.Conv2D(4, 3, groups=2)
    convolve.build((1, 8, 8, 4))

    def trace() -> set[str]:
        return operations_of(tf.function(lambda image: convolve(image), [tf.TensorSpec((1, 8, 8, 4))], autograph=False))

    calls = {"PartitionedCall", "StatefulPartitionedCall"}
    assert calls & trace(), "Keras no longer needs the patch: remove it"
    with keras_private.trace_without_xla():
        assert not calls & trace()
    assert calls & trace()


@check_of("Layer._open_name_scope")
def operations_are_traced_in_other_scopes():
    image = keras.Input((4,), name="image")
    model = keras.Model(image, keras.layers.Dense(2, name="not a scope")(image) * 2)
    names = {"not a scope": "first/", model.operations[-1].name: "second/"}

    def scope_of(operation: keras.Operation):
        return tf.name_scope(names[operation.name]) if operation.name in names else contextlib.nullcontext()

    serve = tf.function(lambda values: model(values), [tf.TensorSpec((1, 4))], autograph=False)
    with keras_private.replace_name_scopes(scope_of):
        graph = serve.get_concrete_function().graph
    scopes = {one.type: one.name.partition("/")[0] for one in graph.get_operations()}
    assert (scopes["MatMul"], scopes["Mul"]) == ("first", "second")


@check_of("keras.src.backend.tensorflow.nn.hard_sigmoid")
def hard_swish_is_traced_with_another_hard_sigmoid():
    values = tf.constant([-4.0, -1.0, 0.0, 2.0, 5.0])
    with keras_private.replace_hard_sigmoid(lambda x: x * 0 + 10):
        np.testing.assert_array_equal(keras.activations.hard_sigmoid(values), [10] * 5)
        np.testing.assert_array_equal(keras.activations.hard_swish(values), 10 * values)
    np.testing.assert_allclose(keras.activations.hard_sigmoid(values), [0, 1 / 3, 0.5, 5 / 6, 1], rtol=1e-6)


@check_of("keras.src.backend.tensorflow.numpy.eye")
def kernel_of_patches_is_a_constant():
    images = np.arange(2 * 4 * 4 * 3, dtype="float32").reshape(2, 4, 4, 3)
    expected = keras.ops.image.extract_patches(images, 2)
    with keras_private.constant_identity_matrices():
        graph = tf.function(lambda x: keras.ops.image.extract_patches(x, 2)).get_concrete_function(
            tf.TensorSpec((2, 4, 4, 3))
        )
    assert not any("Diag" in operation.type for operation in graph.graph.get_operations())
    np.testing.assert_array_equal(graph(tf.constant(images)), expected)


@check_of("keras.src.ops.function.map_graph", "Operation._inbound_nodes", "Operation._outbound_nodes")
def layers_of_the_same_name_are_told_apart():
    image = keras.Input((4,))
    first, second = (keras.layers.Dense(4, name="same") for _ in range(2))
    with keras_private.allow_equal_names():
        model = keras.Model(image, second(first(image)))
    assert [layer.name for layer in model.layers[1:]] == ["same", "same"]
    twin = keras_private.named_twin(second, "other")
    renamed = keras.Model(image, twin(first(image)))
    assert [layer.name for layer in renamed.layers[1:]] == ["same", "other"]
    assert all(own is other for own, other in zip(twin.weights, second.weights, strict=True))
    assert second.name == "same"
    np.testing.assert_array_equal(renamed(np.ones((1, 4))), model(np.ones((1, 4))))


@check_of("keras.src.backend.tensorflow.numpy.argmax", "keras.src.backend.tensorflow.numpy.argmin")
def largest_and_smallest_values_are_found_by_bare_operators():
    values = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    for select in (keras.ops.argmax, keras.ops.argmin):
        for how in ({"axis": 1}, {"axis": -1, "keepdims": True}, {}, {"keepdims": True}):
            with keras_private.plain_argmax():
                traced = tf.function(partial(select, **how)).get_concrete_function(tf.TensorSpec((2, 3, 4)))
            assert not any("Bit" in operation.type for operation in traced.graph.get_operations())
            np.testing.assert_array_equal(traced(tf.constant(values)), select(values, **how))


def h5_tensors(content: bytes) -> dict[str, np.ndarray]:
    """The tensors in the content of an HDF5 file, by name."""
    tensors: dict[str, np.ndarray] = {}
    with h5py.File(io.BytesIO(content)) as file:
        file.visititems(lambda name, item: tensors.update({name: item[()]}) if hasattr(item, "shape") else None)
    return tensors


def assert_same_tensors(first: bytes, second: bytes) -> None:
    first, second = h5_tensors(first), h5_tensors(second)
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name])


@check_of("keras.src.saving.saving_lib.H5IOStore", "keras.src.saving.saving_lib._save_state")
def weights_in_memory_are_those_that_keras_saves():
    model = two_layers()
    model.compile("adam", "mse")
    model.fit(np.ones((2, 8, 8, 1)), np.ones((2, 72)), verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.weights.h5")
        model.save_weights(path)
        assert any(name.startswith("optimizer/") for name in h5_tensors(path.read_bytes()))
        assert_same_tensors(bytes(keras_private.weights_file(model)), path.read_bytes())


@check_of("keras.src.saving.saving_lib.save_model")
def model_in_memory_is_the_one_that_keras_saves():
    model = two_layers()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        model.save(path)
        with zipfile.ZipFile(path) as saved, zipfile.ZipFile(io.BytesIO(keras_private.keras_file(model))) as ours:
            assert ours.namelist() == saved.namelist()
            assert ours.read("config.json") == saved.read("config.json")
            assert_same_tensors(ours.read("model.weights.h5"), saved.read("model.weights.h5"))
