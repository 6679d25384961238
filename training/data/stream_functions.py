"""Python functions that a tf.data stream calls, released together with the stream.

TensorFlow keeps every function given to `tf.numpy_function` as long as the process, and with it all that the function
refers to: images, targets, caches with open files. So TensorFlow gets a function that refers to the real one weakly,
and the stream owns the real one.
"""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from ...core.errors import InputError

_FAILURES: weakref.WeakKeyDictionary[Callable[..., Any], InputError] = weakref.WeakKeyDictionary()
"""The last error of each function that had one."""


def called_weakly(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function for `tf.numpy_function` that calls `function` as long as something else refers to it."""
    reference = weakref.ref(function)

    def call(*arguments: Any) -> Any:
        called = reference()
        if called is None:
            raise RuntimeError("the stream that owned this function is gone.")
        try:
            return called(*arguments)
        except InputError as error:
            _FAILURES[called] = error
            raise

    return call


@contextmanager
def raising_failures(*streams: tf.data.Dataset) -> Iterator[None]:
    """Raise the InputError of a function that one of the streams owns, in place of TensorFlow's, which quotes it."""
    try:
        yield
    except tf.errors.OpError as error:
        owned = (called for stream in streams for called in stream.called_functions)
        failures = [_FAILURES[called] for called in owned if called in _FAILURES]
        if not failures:
            raise
        raise failures[0] from error


def owning(stream: tf.data.Dataset, *functions: Callable[..., Any]) -> tf.data.Dataset:
    """Return `stream`, which refers to `functions` from now on, as do streams derived from it and its iterators."""
    stream.called_functions = functions
    return stream
