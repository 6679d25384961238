"""Patterns of zeros follow the input and output channels of every kind of kernel."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from pocketzoo import training
from pocketzoo.core.layer_traits import kernel_layout, main_kernel
from pocketzoo.training.compression.weights.layer_selection import prunable_layers
from pocketzoo.training.compression.weights.masks import Masks, largest

pytestmark = pytest.mark.fast

INPUTS, OUTPUTS = 8, 6
KERNELS = {
    "Dense": (layers.Dense(OUTPUTS), (4, INPUTS), (0,), (1,)),
    "Conv1D": (layers.Conv1D(OUTPUTS, 3), (9, INPUTS), (1,), (2,)),
    "Conv2D": (layers.Conv2D(OUTPUTS, 3), (9, 9, INPUTS), (2,), (3,)),
    "Conv3D": (layers.Conv3D(OUTPUTS, 3), (9, 9, 9, INPUTS), (3,), (4,)),
    "Conv1DTranspose": (layers.Conv1DTranspose(OUTPUTS, 3), (9, INPUTS), (2,), (1,)),
    "Conv2DTranspose": (layers.Conv2DTranspose(OUTPUTS, 3), (9, 9, INPUTS), (3,), (2,)),
    "SeparableConv2D": (layers.SeparableConv2D(OUTPUTS, 3), (9, 9, INPUTS), (2,), (3,)),
    "EinsumDense": (layers.EinsumDense("abc,dc->abd", (None, OUTPUTS)), (4, INPUTS), (1,), (0,)),
    "EinsumDense, two inputs": (layers.EinsumDense("abcd,cde->abe", (None, OUTPUTS)), (4, 2, 4), (0, 1), (2,)),
    "EinsumDense, any axes": (layers.EinsumDense("...x,xy->...y", OUTPUTS), (4, INPUTS), (0,), (1,)),
}


@pytest.fixture(params=KERNELS, scope="module")
def case(request):
    layer, shape, inputs, outputs = KERNELS[request.param]
    keras.utils.set_random_seed(0)
    if not layer.built:
        layer(keras.Input(shape))
    return layer, inputs, outputs


def masked(layer, **sparsity) -> np.ndarray:
    """The kernel `(positions, inputs, outputs)`, after pruning a copy."""
    copy = keras.Variable(main_kernel(layer).numpy())
    layout, settings = kernel_layout(layer), training.Sparsity(**sparsity)
    Masks([copy], settings, [layout]).update([settings.target])
    return copy.numpy().transpose(layout.order).reshape(-1, INPUTS, OUTPUTS)


def test_axes_are_those_of_inputs_and_outputs(case):
    layer, inputs, outputs = case
    layout = kernel_layout(layer)
    assert (layout.inputs, layout.outputs) == (inputs, outputs)
    assert sorted(layout.order) == list(range(len(main_kernel(layer).shape)))


def test_two_of_four_input_channels_are_zero(case):
    kernel = masked(case[0], pattern="2:4")
    zeros = (kernel == 0).reshape(len(kernel), INPUTS // 4, 4, OUTPUTS)
    assert (zeros.sum(axis=2) == 2).all()


def test_blocks_have_input_channels_as_rows_and_output_channels_as_columns(case):
    zeros = masked(case[0], pattern="block:4x2", target=0.5) == 0
    blocks = zeros.reshape(-1, 4, OUTPUTS // 2, 2)
    assert (blocks.all(axis=(1, 3)) | ~blocks.any(axis=(1, 3))).all()
    assert 0.4 < zeros.mean() < 0.6


def test_multiply_adds_of_einsum_equal_those_of_dense():
    from pocketzoo import zoo

    image = keras.Input((5, 4, 3))
    einsum, dense = layers.EinsumDense("abcd,de->abce", (None, None, 7)), layers.Dense(7)
    assert zoo.count_macs(keras.Model(image, einsum(image))) == zoo.count_macs(keras.Model(image, dense(image)))


def test_layers_inside_attention_and_custom_layers_are_pruned_under_their_names():
    @keras.saving.register_keras_serializable("tests")
    class Scaled(layers.Layer):
        """Has a weight of its own, so its inside stays hidden in the flat form."""

        def __init__(self, **arguments):
            super().__init__(**arguments)
            self.inner = layers.Dense(8, name="inner")

        def build(self, shape):
            self.gain = self.add_weight(shape=(8,), initializer="ones", name="gain")
            self.inner.build(shape)

        def call(self, tensor):
            return self.inner(tensor) * self.gain

    image = keras.Input((6, 8))
    x = Scaled(name="scaled")(layers.MultiHeadAttention(2, 4, name="attention")(image, image))
    names = list(prunable_layers(keras.Model(image, layers.Dense(3, name="outputs")(x))))
    attention = [f"attention/{part}" for part in ("query", "key", "value", "attention_output")]
    assert sorted(names) == sorted([*attention, "scaled/inner", "outputs"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.data())
def test_as_many_of_equal_values_are_kept_as_asked_for(values, data):
    values = np.array(values, "float32")
    number = data.draw(st.integers(1, len(values)))
    kept = largest(values, number)
    assert kept.sum() == min(number, np.count_nonzero(values))
    assert values[kept].min(initial=9) >= values[~kept].max(initial=0)
