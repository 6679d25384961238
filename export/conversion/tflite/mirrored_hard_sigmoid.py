"""Hard-swish where the converter has no operator for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import tensorflow as tf
from keras.src.backend.tensorflow import nn


@contextmanager
def mirrored_hard_sigmoid() -> Iterator[None]:
    """While the block runs, the hard sigmoid is traced as `1 - relu6(3 - x) / 6`, which is `relu6(x + 3) / 6`.

    The converter makes one operator of `x * relu6(x + 3) / 6`, which it then does not take with 16-bit activations.
    """
    with patch.object(nn, "hard_sigmoid", lambda x: 1 - tf.nn.relu6(3 - x) / 6):
        yield
