"""A network that is compiled in a fraction of LeNet-5's time, for tests of how runs behave rather than of what they
learn."""

import keras

from pocketzoo import layers


def small_net(*, side: int = 16, classes: int = 10, dropout: float = 0.3) -> keras.Model:
    """A convolution, dropout and a head, with random weights."""
    image = keras.Input((side, side, 1))
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(x)
    head = layers.ClassificationHead(classes, dropout=dropout, name="head")
    return keras.Model(image, head(keras.layers.Flatten()(x)), name="small_net")
