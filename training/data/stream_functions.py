"""Python functions that a tf.data stream calls, released together with the stream.

TensorFlow keeps every function given to `tf.numpy_function` as long as the process, and with it all that the function
refers to: images, targets, caches with open files. So TensorFlow gets a function that refers to the real one weakly,
and the stream owns the real one.
"""

import weakref
from collections.abc import Callable
from typing import Any

import tensorflow as tf


def called_weakly(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function for `tf.numpy_function` that calls `function` as long as something else refers to it."""
    reference = weakref.ref(function)

    def call(*arguments: Any) -> Any:
        called = reference()
        if called is None:
            raise RuntimeError("the stream that owned this function is gone.")
        return called(*arguments)

    return call


def owning(stream: tf.data.Dataset, *functions: Callable[..., Any]) -> tf.data.Dataset:
    """Return `stream`, which refers to `functions` from now on, as do streams derived from it and its iterators."""
    stream.called_functions = functions
    return stream
