"""Which layer is of which kind. A new one is a line here, and where it is like no other a class in `kinds`."""

from keras import layers

from .channel_graph import Call
from .kernel_rules import Convolution, Dense, Depthwise, Separable, Transposed
from .layer_rules import (
    Concatenating,
    Cropping,
    Joining,
    Kind,
    Mixing,
    Normalizing,
    Padding,
    Passing,
    Pointwise,
    Reshaping,
    Scaling,
)

KINDS: dict[type, Kind] = {
    layers.Conv2D: Convolution(),
    layers.Conv2DTranspose: Transposed(),
    layers.DepthwiseConv2D: Depthwise(),
    layers.SeparableConv2D: Separable(),
    layers.Dense: Dense(),
    layers.BatchNormalization: Normalizing(),
    layers.GroupNormalization: Normalizing(),
    layers.Concatenate: Concatenating(),
    layers.ZeroPadding2D: Padding(),
    layers.Cropping2D: Cropping(),
    layers.Flatten: Reshaping(),
    layers.Reshape: Reshaping(),
    **dict.fromkeys((layers.Add, layers.Subtract, layers.Average), Joining(adds_up=True)),
    **dict.fromkeys((layers.Multiply, layers.Maximum, layers.Minimum), Joining()),
    **dict.fromkeys(
        (
            layers.MaxPooling2D,
            layers.AveragePooling2D,
            layers.GlobalAveragePooling2D,
            layers.GlobalMaxPooling2D,
            layers.UpSampling2D,
            layers.Dropout,
            layers.SpatialDropout2D,
            layers.GaussianNoise,
            layers.GaussianDropout,
            layers.Identity,
        ),
        Passing(),
    ),
    **dict.fromkeys(
        (layers.Activation, layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU, layers.Softmax),
        Pointwise(),
    ),
    layers.Rescaling: Scaling(),
    **dict.fromkeys((layers.LayerNormalization, layers.UnitNormalization), Mixing()),
}
"""By class of the layer; a subclass is of the kind of its nearest ancestor."""
OPERATIONS: dict[str, Kind] = {
    **dict.fromkeys(("Mean", "Max", "Sum"), Mixing()),
    **dict.fromkeys(("Add", "Subtract"), Joining()),  # of a tensor and a number, too
    **dict.fromkeys(("Multiply", "Divide", "TrueDivide", "Maximum", "Minimum", "Power"), Joining()),
    **dict.fromkeys(("Square", "Sqrt", "Rsqrt", "Abs", "Negative", "Exp", "Log", "Cast"), Pointwise()),
    **dict.fromkeys(("Relu", "Relu6", "Sigmoid", "HardSigmoid", "Silu", "HardSilu", "Gelu", "Tanh"), Pointwise()),
}
"""By name of the operation of `keras.ops`, in a model that applies some between its layers."""


def kind_of(call: Call) -> Kind:
    """How the layer or operation treats channels."""
    if type(call.op).__module__.startswith("keras.src.ops."):
        return OPERATIONS.get(type(call.op).__name__, Kind()) if call.is_of_tensors_alone else Kind()
    kind = next((KINDS[ancestor] for ancestor in type(call.op).__mro__ if ancestor in KINDS), Kind())
    channels_first = getattr(call.op, "data_format", None) == "channels_first"
    return Kind() if channels_first and not isinstance(kind, Padding | Cropping) else kind
