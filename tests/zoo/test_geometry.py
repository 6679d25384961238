"""Output sizes and receptive fields, compared with Keras itself."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketzoo import zoo

pytestmark = pytest.mark.fast

small = st.integers(1, 4)


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(1, 40),
    kernel_size=st.integers(1, 7),
    strides=small,
    dilation_rate=small,
    padding=st.one_of(st.sampled_from(["valid", "same"]), st.integers(0, 4)),
)
def test_output_size_is_that_of_keras(size, kernel_size, strides, dilation_rate, padding):
    window = {"kernel_size": kernel_size, "strides": strides, "dilation_rate": dilation_rate}
    if strides > 1 and dilation_rate > 1:  # which Keras does not take together
        window["dilation_rate"] = 1
    zeros = padding if isinstance(padding, int) else 0
    conv = keras.layers.Conv1D(1, padding=padding if isinstance(padding, str) else "valid", **window)
    try:
        expected = conv.compute_output_shape((None, size + 2 * zeros, 1))[1]
    except ValueError:  # the window does not fit in
        with pytest.raises(ValueError, match="does not fit"):
            zoo.conv_output_size(size, padding=padding, **window)
    else:
        assert zoo.conv_output_size(size, padding=padding, **window) == expected


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 2), st.integers(1, 2)), min_size=1, max_size=3))
def test_receptive_field_is_what_changes_one_pixel_in_keras(windows):
    """With unpadded kernels of ones, the gradient of one output counts the pixels that it depends on."""
    windows = [(kernel, strides, 1 if strides > 1 else dilation) for kernel, strides, dilation in windows]
    field = zoo.receptive_field(windows)
    convolutions = [
        keras.layers.Conv1D(1, kernel, strides=strides, dilation_rate=dilation, kernel_initializer="ones")
        for kernel, strides, dilation in windows
    ]
    net = keras.Sequential([keras.Input((field, 1)), *convolutions])
    assert net.output_shape == (None, 1, 1)  # one place sees all of it, and one pixel less would leave none
    seen = [net(pixel[None]).numpy().item() != 0 for pixel in np.eye(field, dtype="float32")[..., None]]
    assert seen[0]
    assert seen[-1]


def test_receptive_fields_of_known_models():
    # Araujo, Norris, Sim (Distill 2019), table of section "Receptive field of modern networks".
    assert zoo.receptive_field([(3, 1)] * 2) == 5
    alexnet = [(11, 4), (3, 2), (5, 1), (3, 2), (3, 1), (3, 1), (3, 1), (3, 2)]
    assert zoo.receptive_field(alexnet) == 195
    vgg16 = [w for convs in (2, 2, 3, 3, 3) for w in [(3, 1)] * convs + [(2, 2)]]
    assert zoo.receptive_field(vgg16) == 212


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0, "kernel_size": 3}, "size is 0; it must be 1 or more"),
        ({"size": 4, "kernel_size": 3, "strides": 0}, "strides is 0"),
        ({"size": 4, "kernel_size": 3, "padding": "full"}, "padding is 'full'; allowed are"),
        ({"size": 4, "kernel_size": 3, "padding": -1}, "padding is -1; allowed are"),
        ({"size": 2, "kernel_size": 3}, "a window of 3 pixels does not fit into 2 with 0 pixels of padding"),
    ],
)
def test_invalid_windows_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        zoo.conv_output_size(arguments.pop("size"), arguments.pop("kernel_size"), **arguments)


@pytest.mark.parametrize("windows", [[(3,)], [(3, 0)], [(3, 1, 1, 1)]])
def test_invalid_layers_are_refused(windows):
    with pytest.raises(ValueError, match=r"is not \(kernel_size, strides\[, dilation_rate\]\)"):
        zoo.receptive_field(windows)
