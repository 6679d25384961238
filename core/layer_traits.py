"""What tools need to know about each stock Keras layer and operation. Supporting a new one is one row here.

Cost and receptive field (`zoo.layer_table`), weight pruning, channel pruning, quantization-aware training and XNNPACK's
rules read this table; none of them has a list of layers of its own.
"""

import math
import re
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import keras
from keras import layers

from .flat_graph import Node

Window = Literal["pointwise", "sliding", "transposed", "upsampling", "global"]
IntegerRange = Literal["own", "input", "input_rounded"]


@dataclass(frozen=True)
class Kernel:
    """A weight that is multiplied with the input at every position."""

    name: str = "kernel"
    """Attribute of the layer."""
    input_axis: int = -2
    """Axis that runs over the input channels, of one group if the layer is grouped. `EinsumDense` may have several
    (`kernel_layout`)."""
    output_axes: tuple[int, ...] = (-1,)
    """Axes that run over the output channels; those of a depthwise kernel are input channel and depth multiplier."""

    def of(self, layer: keras.Layer) -> keras.Variable:
        """Return the weight of a built `layer`."""
        return getattr(layer, self.name)

    @property
    def is_depthwise(self) -> bool:
        """Whether every input channel has filters of its own."""
        return self.input_axis in self.output_axes


@dataclass(frozen=True)
class LayerTraits:
    """Traits of one class of layers; the defaults are those of a layer that is not in the table."""

    kernels: tuple[Kernel, ...] = ()
    """In the order in which they are applied."""
    width: str | None = None
    """Field of the config that sets the number of output channels, where the layer chooses it."""
    window: Window = "pointwise"
    """What one output position sees of the input: one position, a sliding window, or everything (`global`); a
    transposed window and upsampling make the map larger."""
    prunable: bool = False
    """Whether zeros in its kernels pay, but for depthwise ones, as TF-MOT has it too: those have few weights, and lose
    much."""
    channels: str = "unknown"
    """Name of its rule in channel pruning (`training/compression/channels/graph/rule_table.py`)."""
    int8_scales: Literal["per_channel", "per_tensor"] | None = None
    """How TFLite scales its int8 kernel; None if quantization-aware training has no such layer."""
    integer_range: IntegerRange | None = None
    """How TFLite represents its output in integers: in a range of its own, in the input's (values are only moved or
    selected), or rounded to the input's again (means). None if there is no such kernel, or rules beyond this table."""
    fuses_relu: bool = False
    """Whether TFLite applies a ReLU within it. (All layers with an int8 kernel do.)"""
    int16: bool = True
    """Whether the TFLite converter supports it with 16-bit activations too."""
    xnnpack: bool = False
    """Whether XNNPACK has a kernel for it in sparse inference, at least for some arguments."""

    @property
    def main_kernel(self) -> Kernel:
        """The kernel with most of the weights; of a separable convolution the pointwise one."""
        return self.kernels[-1]

    @property
    def prunable_kernels(self) -> tuple[Kernel, ...]:
        """The kernels in which zeros pay."""
        return tuple(kernel for kernel in self.kernels if self.prunable and not kernel.is_depthwise)

    @property
    def is_depthwise(self) -> bool:
        """Whether its outputs are those of its input channels, each filtered by itself."""
        return bool(self.kernels) and self.main_kernel.is_depthwise


def traits_of(operation: keras.Operation) -> LayerTraits:
    """Return the traits of a layer or an operation of `keras.ops`; a subclass has those of its nearest ancestor."""
    if not isinstance(operation, keras.Layer):
        is_stock = type(operation).__module__.startswith("keras.")
        return OPERATIONS.get(type(operation).__name__, UNKNOWN) if is_stock else UNKNOWN
    return next((LAYERS[ancestor] for ancestor in type(operation).__mro__ if ancestor in LAYERS), UNKNOWN)


def kernel_positions(node: Node) -> tuple[Any, ...]:
    """Return the spatial shape over which a node applies its kernels: of its output, or of its input if transposed.

    A transposed kernel is multiplied with every input position; any other computes every output position. Sides that
    the model leaves open are None.
    """
    if isinstance(node.operation, layers.EinsumDense):
        before, weights, _ = _equation(node.operation)
        # "..." stands for any axes; the first axis is that of the images. Those of the input have known sizes.
        start, _, end = before.partition("...")
        letters = start + " " * (len(node.inputs[0].shape) - len(start + end)) + end
        sizes = zip(letters, node.inputs[0].shape, strict=True)
        return tuple(size for letter, size in list(sizes)[1:] if letter not in weights)
    tensors = node.inputs if traits_of(node.operation).window == "transposed" else node.outputs
    return tuple(tensors[0].shape[1:-1])


def attention_macs(node: Node) -> int | None:
    """Return the multiply-adds of a `MultiHeadAttention`: of its four projections and its two products.

    None for other layers, and where a side is open.
    """
    layer, named = node.operation, dict(zip(("query", "value", "key"), node.args, strict=False)) | node.kwargs
    if type(layer) is not layers.MultiHeadAttention:
        return None
    query, value = named["query"].shape, named["value"].shape
    if None in (*query[1:], *value[1:]):
        return None
    queries, values = math.prod(query[1:-1]), math.prod(value[1:-1])
    projections = [(layer.query_dense, queries), (layer.output_dense, queries)]
    projections += [(layer.key_dense, values), (layer.value_dense, values)]
    attended = math.prod(value[axis] for axis in layer.attention_axes)
    products = queries * attended * layer.num_heads * (layer.key_dim + layer.value_dim)
    return products + sum(math.prod(dense.kernel.shape) * positions for dense, positions in projections)


IN_PLACE_OF_RECURRENCE = "convolutions along the steps (of crnn: recurrence='conv')"
"""What runtimes and methods take that have no recurrent layers, for messages."""


def is_recurrent(layer: keras.Operation) -> bool:
    """Return whether it is an LSTM, a GRU or another recurrent layer, in one or both directions."""
    return isinstance(layer, layers.RNN | layers.Bidirectional)


def recurrent_macs(node: Node) -> int | None:
    """Return the multiply-adds of an LSTM, a GRU or a SimpleRNN, in one or both directions; None for other layers, and
    where the number of steps is open."""
    layer: Any = node.operation
    ways = [layer.forward_layer, layer.backward_layer] if isinstance(layer, layers.Bidirectional) else [layer]
    cells: list[Any] = [getattr(way, "cell", None) for way in ways]
    if not all(isinstance(cell, layers.LSTMCell | layers.GRUCell | layers.SimpleRNNCell) for cell in cells):
        return None
    steps = node.inputs[0].shape[1]
    kernels = [kernel.of(cell) for cell in cells for kernel in traits_of(cell).kernels]
    return None if steps is None else steps * sum(math.prod(kernel.shape) for kernel in kernels)


def main_kernel(layer: keras.Layer) -> keras.Variable:
    """Return the kernel of a layer that has one; of a separable convolution the pointwise one."""
    return traits_of(layer).main_kernel.of(layer)


class KernelLayout(NamedTuple):
    """What the axes of a kernel run over."""

    positions: tuple[int, ...]
    """Spatial axes, and others along which inputs and outputs correspond."""
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @property
    def order(self) -> tuple[int, ...]:
        """All axes: positions, then inputs, then outputs."""
        return (*self.positions, *self.inputs, *self.outputs)


def kernel_layout(layer: keras.Layer, kernel: Kernel | None = None) -> KernelLayout:
    """Return what the axes of a kernel of a built layer run over; the channels of a depthwise one are outputs.

    Args:
        layer: The layer.
        kernel: One of its kernels, by default the `main_kernel`.
    """
    kernel = traits_of(layer).main_kernel if kernel is None else kernel
    rank = len(kernel.of(layer).shape)
    if isinstance(layer, layers.EinsumDense):
        before, weights, after = _equation(layer)
        roles = [(letter in before, letter in after) for letter in weights]
        inputs = tuple(axis for axis, role in enumerate(roles) if role == (True, False))
        outputs = tuple(axis for axis, role in enumerate(roles) if role == (False, True))
    else:
        outputs = tuple(axis % rank for axis in kernel.output_axes)
        inputs = tuple({kernel.input_axis % rank} - set(outputs))
    return KernelLayout(tuple(axis for axis in range(rank) if axis not in inputs + outputs), inputs, outputs)


def _equation(layer: keras.layers.EinsumDense) -> list[str]:
    """Return the axes of input, kernel and output, a letter each."""
    return re.split(",|->", layer.equation.replace(" ", ""))


UNKNOWN = LayerTraits()

LAYERS: dict[type[keras.Layer], LayerTraits] = {
    layers.Conv2D: LayerTraits(
        kernels=(Kernel(),),
        width="filters",
        window="sliding",
        prunable=True,
        channels="convolution",
        int8_scales="per_channel",
        xnnpack=True,
    ),
    layers.Conv2DTranspose: LayerTraits(
        kernels=(Kernel(input_axis=-1, output_axes=(-2,)),),
        width="filters",
        window="transposed",
        prunable=True,
        channels="transposed_convolution",
        int8_scales="per_channel",
    ),
    layers.DepthwiseConv2D: LayerTraits(
        kernels=(Kernel(output_axes=(-2, -1)),),
        window="sliding",
        channels="depthwise",
        int8_scales="per_channel",
        xnnpack=True,
    ),
    layers.SeparableConv2D: LayerTraits(
        kernels=(Kernel("depthwise_kernel", output_axes=(-2, -1)), Kernel("pointwise_kernel")),
        width="filters",
        window="sliding",
        prunable=True,
        channels="separable",
    ),
    layers.Dense: LayerTraits(
        kernels=(Kernel(),), width="units", prunable=True, channels="dense", int8_scales="per_tensor"
    ),
    layers.EinsumDense: LayerTraits(kernels=(Kernel(),), prunable=True),
    # The cells of recurrent layers, which are kept whole in graphs.
    **dict.fromkeys(
        (layers.LSTMCell, layers.GRUCell, layers.SimpleRNNCell),
        LayerTraits(kernels=(Kernel(), Kernel("recurrent_kernel")), prunable=True),
    ),
    layers.BatchNormalization: LayerTraits(channels="normalization", xnnpack=True),
    layers.GroupNormalization: LayerTraits(channels="normalization"),
    layers.LayerNormalization: LayerTraits(channels="mixing"),
    layers.UnitNormalization: LayerTraits(channels="mixing", int16=False),
    layers.Rescaling: LayerTraits(channels="scaling"),
    layers.Activation: LayerTraits(channels="pointwise", xnnpack=True),
    layers.ReLU: LayerTraits(channels="pointwise", integer_range="own", xnnpack=True),
    layers.LeakyReLU: LayerTraits(channels="pointwise", integer_range="own", xnnpack=True),
    layers.ELU: LayerTraits(channels="pointwise", xnnpack=True),
    layers.PReLU: LayerTraits(channels="slopes", integer_range="own", int16=False),
    layers.Softmax: LayerTraits(channels="pointwise"),
    layers.Add: LayerTraits(channels="adding", integer_range="own", fuses_relu=True, xnnpack=True),
    layers.Subtract: LayerTraits(channels="adding", integer_range="own", fuses_relu=True),
    layers.Average: LayerTraits(channels="adding"),
    layers.Multiply: LayerTraits(channels="joining", integer_range="own", fuses_relu=True, xnnpack=True),
    layers.Maximum: LayerTraits(channels="joining", integer_range="own"),
    layers.Minimum: LayerTraits(channels="joining", integer_range="own"),
    layers.Concatenate: LayerTraits(channels="concatenation", integer_range="own", int16=False),
    layers.MaxPooling2D: LayerTraits(window="sliding", channels="passing", integer_range="input"),
    layers.AveragePooling2D: LayerTraits(window="sliding", channels="passing", integer_range="input_rounded"),
    layers.GlobalMaxPooling2D: LayerTraits(window="global", channels="passing", integer_range="input"),
    layers.GlobalAveragePooling2D: LayerTraits(window="global", channels="passing", integer_range="own", xnnpack=True),
    layers.UpSampling2D: LayerTraits(
        window="upsampling", channels="passing", integer_range="input_rounded", xnnpack=True
    ),
    layers.ZeroPadding2D: LayerTraits(channels="padding", integer_range="input", xnnpack=True),
    layers.Cropping2D: LayerTraits(channels="cropping", integer_range="input"),
    layers.Flatten: LayerTraits(window="global", channels="reshaping", integer_range="input"),
    layers.Reshape: LayerTraits(channels="reshaping", integer_range="input"),
    layers.Permute: LayerTraits(channels="mixing", integer_range="input"),
    layers.Dropout: LayerTraits(channels="passing", integer_range="input", xnnpack=True),
    layers.SpatialDropout2D: LayerTraits(channels="passing", integer_range="input", xnnpack=True),
    layers.GaussianNoise: LayerTraits(channels="passing", integer_range="input"),
    layers.GaussianDropout: LayerTraits(channels="passing", integer_range="input"),
    layers.AlphaDropout: LayerTraits(channels="passing", integer_range="input"),
    layers.ActivityRegularization: LayerTraits(channels="passing", integer_range="input"),
    layers.Identity: LayerTraits(channels="passing", integer_range="input"),
    # Augmentation inside a model does nothing in inference. `RandomCrop` is none: it crops there, too.
    **{
        getattr(layers, name): LayerTraits(channels="passing", integer_range="input")
        for name in dir(layers)
        if name.startswith("Random") and name != "RandomCrop"
    },
}
"""By class of the layer; layers for volumes and sequences follow."""
LAYERS |= {
    alike: replace(LAYERS[planar], int8_scales=None, integer_range=None, xnnpack=False)
    for planar, *others in (
        (layers.Conv2D, layers.Conv1D, layers.Conv3D),
        (layers.Conv2DTranspose, layers.Conv1DTranspose, layers.Conv3DTranspose),
        (layers.DepthwiseConv2D, layers.DepthwiseConv1D),
        (layers.SeparableConv2D, layers.SeparableConv1D),
        (layers.MaxPooling2D, layers.MaxPooling1D, layers.MaxPooling3D),
        (layers.AveragePooling2D, layers.AveragePooling1D, layers.AveragePooling3D),
        (layers.GlobalMaxPooling2D, layers.GlobalMaxPooling1D, layers.GlobalMaxPooling3D),
        (layers.GlobalAveragePooling2D, layers.GlobalAveragePooling1D, layers.GlobalAveragePooling3D),
        (layers.ZeroPadding2D, layers.ZeroPadding1D, layers.ZeroPadding3D),
        (layers.Cropping2D, layers.Cropping1D, layers.Cropping3D),
    )
    for alike in others
}

OPERATIONS: dict[str, LayerTraits] = {
    "Mean": LayerTraits(channels="mixing", integer_range="own"),
    "Max": LayerTraits(channels="mixing", integer_range="input"),
    "Sum": LayerTraits(channels="mixing"),
    # Not "adding": an operation may add a number to a tensor, too.
    **dict.fromkeys(("Add", "Subtract", "Multiply", "Divide", "TrueDivide"), LayerTraits(channels="joining")),
    **dict.fromkeys(("Maximum", "Minimum", "Power"), LayerTraits(channels="joining")),
    **dict.fromkeys(
        ("Square", "Sqrt", "Rsqrt", "Absolute", "Negative", "Exp", "Log", "Cast"), LayerTraits(channels="pointwise")
    ),
    **dict.fromkeys(
        ("Relu", "Relu6", "Sigmoid", "HardSigmoid", "Silu", "HardSilu", "Gelu", "Tanh"),
        LayerTraits(channels="pointwise"),
    ),
}
"""By name of the class of the operation (which is not public), in a model that applies some between its layers."""
