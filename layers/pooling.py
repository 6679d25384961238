"""Pooling layers that Keras lacks: L2 pooling, zero-padded average pooling, spatial pyramid pooling."""

from collections.abc import Sequence
from typing import Any

import keras

from .composite import ChainLayer, CompositeLayer, Shape, build_chain, call_chain


@keras.saving.register_keras_serializable("pocketzoo")
class L2Pool2D(CompositeLayer):
    """L2 pooling, the root mean square of every window, as TFLite's L2_POOL_2D.

    Args:
        pool_size: Side of the square window, or (height, width).
        strides: Stride of the window, by default its size.
        padding: `"valid"`, or `"same"`; padding is not counted in the mean.
        epsilon: Lower bound of the mean square in the denominator of its gradient, which is thus finite at 0 (where
            the output is 0).

    Input `(batch, height, width, channels)`, output `(batch, height', width', channels)`.
    """

    def __init__(
        self,
        pool_size: int | tuple[int, int] = 2,
        *,
        strides: int | tuple[int, int] | None = None,
        padding: str = "valid",
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_size = pool_size if isinstance(pool_size, int) else tuple(pool_size)
        self.strides = strides if strides is None or isinstance(strides, int) else tuple(strides)
        self.padding = padding
        self.epsilon = epsilon
        self.mean = self.sublayer(
            keras.layers.AveragePooling2D,
            "mean",
            self.pool_size,
            strides=self.strides,
            padding=padding,
            dtype="float32",  # the square of 256 exceeds 65504, the largest float16
        )

    def build(self, input_shape: Shape) -> None:
        """Build the average pooling."""
        build_chain([self.mean], input_shape)

    def call(self, inputs: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        """Return the pooled feature map."""
        wide = keras.backend.result_type("float32", self.compute_dtype)
        squares = self.mean(keras.ops.square(keras.ops.cast(inputs, wide)))
        root = squares * keras.ops.rsqrt(keras.ops.maximum(squares, self.epsilon))
        return keras.ops.cast(root, self.compute_dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return `(batch, height', width', channels)`."""
        return self.mean.compute_output_shape(input_shape)


@keras.saving.register_keras_serializable("pocketzoo")
class ZeroPaddedAveragePool2D(ChainLayer):
    """Average pooling that counts its zero padding in the mean: PyTorch's AvgPool2d with `count_include_pad`.

    Args:
        pool_size: Side of the square window.
        strides: Stride of the window.
        padding: Number of zeros on each side.

    Input `(batch, height, width, channels)`, output `(batch, height', width', channels)`.
    """

    def __init__(self, pool_size: int, *, strides: int = 1, padding: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pool_size = pool_size
        self.strides = strides
        self.padding = padding
        self.pad = self.sublayer(keras.layers.ZeroPadding2D, "pad", padding)
        self.mean = self.sublayer(keras.layers.AveragePooling2D, "mean", pool_size, strides=strides)

    def chain(self) -> list[keras.Layer]:
        """Return the zero padding and the average pooling."""
        return [self.pad, self.mean]


@keras.saving.register_keras_serializable("pocketzoo")
class SpatialPyramidPooling2D(CompositeLayer):
    """Max pooling on grids from fine to coarse: a vector of the same length for feature maps of every size.

    He, Zhang, Ren, Sun: Spatial Pyramid Pooling in Deep Convolutional Networks for Visual Recognition
    (arXiv:1406.4729). Each level is one max pooling: for `n` bins over `a` pixels the stride is `floor(a / n)` and the
    window the remainder, `a - (n - 1) * stride`. This covers the feature map with exactly `n` bins. The paper's window
    is `ceil(a / n)`: the same wherever that covers the whole map with `n` bins, too small elsewhere.

    Args:
        bins: Number of bins of each level along height and width.

    Input `(batch, height, width, channels)` of a fixed size, height and width at least the largest of `bins`. Output
    `(batch, channels * sum(n ** 2 for n in bins))`: the levels in order, each row by row, channels last.
    """

    def __init__(self, bins: Sequence[int] = (6, 3, 2, 1), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bins = [int(n) for n in bins]
        if not self.bins or min(self.bins) < 1:
            raise ValueError(f"{self.name}: bins is {list(bins)}; give one or more numbers, each 1 or more.")
        names = [f"level{number}" for number in range(1, len(self.bins) + 1)]
        self.pools: list[keras.Layer] = []  # created in `build`: their windows depend on the input size
        self.flattens = [self.sublayer(keras.layers.Flatten, f"{name}_flatten") for name in names]
        self.join = self.sublayer(keras.layers.Concatenate, "join") if len(names) > 1 else None

    def _window(self, input_shape: Shape, n: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return window and strides, both (height, width), of the level with `n` bins."""
        height, width = size = input_shape[1:3]
        if None in size:
            raise ValueError(f"{self.name}: the feature map is {size}; a pyramid needs a fixed height and width.")
        if min(size) < n:
            raise ValueError(f"{self.name}: the feature map is {size}, too small for {n} bins along each side.")
        strides = height // n, width // n
        return (height - (n - 1) * strides[0], width - (n - 1) * strides[1]), strides

    def build(self, input_shape: Shape) -> None:
        """Create and build the pooling layers.

        Raises:
            ValueError: The input size is unknown, or smaller than the largest of `bins`.
        """
        windows = [self._window(input_shape, n) for n in self.bins]
        self.pools = [
            self.sublayer(keras.layers.MaxPooling2D, f"level{number}_pool", window, strides=strides)
            for number, (window, strides) in enumerate(windows, start=1)
        ]
        shapes = [build_chain(level, input_shape) for level in zip(self.pools, self.flattens, strict=True)]
        if self.join is not None:
            self.join.build(shapes)

    def call(self, inputs: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        """Return the maxima of all bins."""
        levels = [call_chain(level, inputs) for level in zip(self.pools, self.flattens, strict=True)]
        return levels[0] if self.join is None else self.join(levels)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return `(batch, channels * sum(n ** 2))`."""
        for n in self.bins:
            self._window(input_shape, n)
        return input_shape[0], input_shape[3] * sum(n * n for n in self.bins)
