"""CRNN: the text in an image of one line, read column by column.

Shi, Bai, Yao: An End-to-End Trainable Neural Network for Image-based Sequence Recognition and Its Application to Scene
Text Recognition (arXiv:1507.05717), table 1.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import keras
from keras import layers

from ..layers import ConvNormAct
from ..layers.norm_and_activation import Norm

POOLS: dict[int, tuple[int, int]] = {1: (2, 2), 2: (2, 2), 4: (2, 1), 6: (2, 1)}
"""Height and width of the max pooling after a convolution, by its number: later ones keep the width, since characters
are narrow."""
REACH = 5
"""Columns of the kernels that take the place of recurrence."""


def crnn(
    pixels: keras.KerasTensor,
    *,
    widths: Sequence[int] = (64, 128, 256, 256, 512, 512, 512),
    normalized: Sequence[int] = (5, 6),
    recurrence: Literal["lstm", "gru", "conv"] = "lstm",
    units: int = 256,
) -> keras.KerasTensor:
    """Apply CRNN up to the probabilities of the symbols, and return a map of one row.

    Args:
        pixels: Normalized image, `(batch, height, width, channels)`; an image of 32 rows has a column for every 4
            pixels of its width, less one.
        widths: Channels of the seven convolutions.
        normalized: Numbers of the convolutions that BatchNorm follows, from 1.
        recurrence: What relates the columns to each other, in two layers: bidirectional `"lstm"` as in the paper or
            `"gru"`, or `"conv"`, convolutions along the row, for runtimes that have no recurrent layers or are slow
            with them.
        units: Units of each recurrent layer in each direction, or channels of the convolutions.
    """
    if len(widths) != 7:
        raise ValueError(f"widths are {tuple(widths)}; they are of seven convolutions.")
    if recurrence not in ("lstm", "gru", "conv"):
        raise ValueError(f"recurrence is {recurrence!r}; allowed are 'lstm', 'gru' and 'conv'.")
    norm: Norm = "batch"
    x = pixels
    for number, width in enumerate(widths, start=1):
        kernel, padding = (3, "same") if number < 7 else (2, "valid")
        own = norm if number in normalized else None
        x = ConvNormAct(width, kernel, padding=padding, norm=own, name=f"conv{number}")(x)
        if number in POOLS:
            x = layers.MaxPooling2D(POOLS[number], name=f"conv{number}_pool")(x)
    if x.shape[1] > 1:
        x = layers.AveragePooling2D((x.shape[1], 1), name="rows")(x)
    if recurrence == "conv":
        for number in (1, 2):
            x = ConvNormAct(units, (1, REACH), norm=norm, name=f"columns{number}")(x)
        return x
    return _recurrent(x, {"lstm": layers.LSTM, "gru": layers.GRU}[recurrence], units)


def _recurrent(x: keras.KerasTensor, layer_class: Callable[..., keras.Layer], units: int) -> keras.KerasTensor:
    """Apply two recurrent layers in both directions to a map of one row, with a dense layer between, and return one.

    The dense layer is not in the paper's table; the authors' code has it, and the paper's 8.3 million parameters.
    """
    x = layers.Reshape(x.shape[2:], name="columns")(x)
    x = layers.Bidirectional(layer_class(units, return_sequences=True, name="recurrent1_cell"), name="recurrent1")(x)
    x = layers.Dense(units, name="recurrent1_dense")(x)
    x = layers.Bidirectional(layer_class(units, return_sequences=True, name="recurrent2_cell"), name="recurrent2")(x)
    return layers.Reshape((1, *x.shape[1:]), name="row")(x)
