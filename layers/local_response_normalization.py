"""Local response normalization."""

from typing import Any

import keras

from .composite import CompositeLayer, Shape


@keras.saving.register_keras_serializable("pocketzoo")
class LocalResponseNormalization(CompositeLayer):
    """Division of every value by the activity of its neighboring channels at the same pixel.

    `y[c] = x[c] / (bias + alpha * sum of x[i] ** 2 over |i - c| <= depth_radius) ** beta`: Krizhevsky, Sutskever,
    Hinton: ImageNet Classification with Deep Convolutional Neural Networks (2012), section 3.3. The squares are summed,
    as there and in TensorFlow; Caffe and PyTorch divide the sum by `2 * depth_radius + 1`.

    It is made of slices and sums, because TFLite's GPU delegate and TFLM do not support the built-in operation.

    Args:
        depth_radius: Number of neighbors on each side, 1 or more.
        bias: Constant in the denominator (k in the paper), greater than 0.
        alpha: Weight of the squares, 0 or more.
        beta: Exponent of the denominator.

    Input and output `(batch, height, width, channels)`.
    """

    def __init__(
        self, depth_radius: int = 2, *, bias: float = 2.0, alpha: float = 1e-4, beta: float = 0.75, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if depth_radius < 1:
            raise ValueError(f"{self.name}: depth_radius is {depth_radius}; it must be 1 or more.")
        if bias <= 0:
            raise ValueError(f"{self.name}: bias is {bias}; it must be above 0 to prevent division by 0.")
        if alpha < 0:
            raise ValueError(f"{self.name}: alpha is {alpha}; it must be 0 or more.")
        self.depth_radius = depth_radius
        self.bias = bias
        self.alpha = alpha
        self.beta = beta
        # With data_format="channels_first", these layers pad and crop the last axis, our channels.
        # In float32, since squares soon exceed 65504, the largest float16.
        options: dict[str, Any] = {"data_format": "channels_first", "dtype": "float32"}
        reach = 2 * depth_radius
        self.pad = self.sublayer(keras.layers.ZeroPadding2D, "pad", ((0, 0), (depth_radius,) * 2), **options)
        self.shifts = [
            self.sublayer(keras.layers.Cropping2D, f"shift{n}", ((0, 0), (n, reach - n)), **options)
            for n in range(reach + 1)
        ]
        self.sum = self.sublayer(keras.layers.Add, "sum", dtype="float32")

    def build(self, input_shape: Shape) -> None:
        """Build the sublayers."""
        padded = self.pad.compute_output_shape(input_shape)
        self.pad.build(input_shape)
        for shift in self.shifts:
            shift.build(padded)
        self.sum.build([input_shape] * len(self.shifts))

    def call(self, inputs: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        """Return the normalized feature map."""
        x = keras.ops.cast(inputs, keras.backend.result_type("float32", self.compute_dtype))
        padded = self.pad(keras.ops.square(x))
        total = self.sum([shift(padded) for shift in self.shifts])
        normalized = x * keras.ops.power(total * self.alpha + self.bias, -self.beta)
        return keras.ops.cast(normalized, self.compute_dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        return tuple(input_shape)
