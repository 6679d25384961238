"""Grouped convolutions as converters know them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf
from keras.src.backend.tensorflow import nn


@contextmanager
def plain_convolutions() -> Iterator[None]:
    """While the block runs, Keras traces grouped convolutions and GELU without XLA around them.

    On CPU it compiles them with XLA, each as a function of its own; tf2onnx then writes a graph with operators that
    ONNX does not have, and raises nothing.
    """
    nn.tf = _WithoutXla()
    try:
        yield
    finally:
        nn.tf = tf


class _WithoutXla:
    """TensorFlow, but for `tf.function`, which leaves functions as they are."""

    def __getattr__(self, name: str) -> Any:
        return getattr(tf, name)

    @staticmethod
    def function(*_: Any, **__: Any) -> Callable[[Callable], Callable]:
        return lambda traced: traced
