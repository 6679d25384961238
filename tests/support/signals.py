"""Signals and models of them for tests."""

import keras
import numpy as np
import pytest

from pocketzoo import zoo

from .cards import narrow_model

CHEAP = ("lenet5", "resnet20", "unet_same")
"""Cards that every test of models for signals runs over by default."""


def cards_in(dimensions: int, cheap: tuple[str, ...] = CHEAP) -> list:
    """Cards that can be built in so many dimensions; all but the cheap ones are marked `every_card`."""
    names = [name for name in zoo.list_models() if dimensions in zoo.model_card(name).dimensions]
    return [pytest.param(name, marks=[] if name in cheap else [pytest.mark.every_card]) for name in names]


def narrow_net(name: str, dimensions: int = 1, *, channels: int = 2, **arguments: object) -> keras.Model:
    """The model of that name for its smallest signals or volumes, narrow and shallow, with other weights each time."""
    side = zoo.model_card(name).smallest_input
    return narrow_model(name, input_shape=(side,) * dimensions + (channels,), classes=3, **arguments)


def waves(count: int, length: int, channels: int = 2, seed: int = 0) -> np.ndarray:
    """Sine waves of several frequencies and strengths, float32 in -1..1."""
    random = np.random.default_rng(seed)
    frequency, phase = random.uniform(1, 6, (count, 1, channels)), random.uniform(0, 6, (count, 1, channels))
    time = np.linspace(0, 2 * np.pi, length)[None, :, None]
    return (random.uniform(0.2, 1, (count, 1, 1)) * np.sin(frequency * time + phase)).astype("float32")
