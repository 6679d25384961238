"""Poolings that Keras has not: root mean square, means with zeros around, and a pyramid of maxima."""

from collections.abc import Sequence

import keras

from .composite import ChainLayer, CompositeLayer, Shape, build_chain, call_chain


@keras.saving.register_keras_serializable("pocketzoo")
class L2Pool2D(CompositeLayer):
    """The root of the mean of the squares in every window, as TFLite's L2_POOL_2D.

    Args:
        pool_size: Side of the square window, or (height, width).
        strides: Step of the window, by default its size.
        padding: `"valid"`, or `"same"`; what stands around the map is not counted.
        epsilon: Mean squares below it are divided by its root in place of their own, so that the gradient stays finite
            at 0 (where the output is 0).

    Input `(batch, height, width, channels)`, output `(batch, height', width', channels)`.
    """

    def __init__(
        self,
        pool_size: int | tuple[int, int] = 2,
        *,
        strides: int | tuple[int, int] | None = None,
        padding: str = "valid",
        epsilon: float = 1e-7,
        **kwargs,
    ):
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
            dtype="float32",  # float16 ends at 65504: the square of 256 is too much for it
        )

    def build(self, input_shape):
        """Builds the pooling."""
        build_chain([self.mean], input_shape)

    def call(self, inputs, training=None):
        """The pooled map."""
        wide = keras.backend.result_type("float32", self.compute_dtype)
        squares = self.mean(keras.ops.square(keras.ops.cast(inputs, wide)))
        root = squares * keras.ops.rsqrt(keras.ops.maximum(squares, self.epsilon))
        return keras.ops.cast(root, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        """`(batch, height', width', channels)`."""
        return self.mean.compute_output_shape(input_shape)


@keras.saving.register_keras_serializable("pocketzoo")
class ZeroPaddedAveragePool2D(ChainLayer):
    """The mean of every window, zeros around the map included: PyTorch's AvgPool2d with its `count_include_pad`.

    Args:
        pool_size: Side of the square window.
        strides: Step of the window.
        padding: Zeros on each side.

    Input `(batch, height, width, channels)`, output `(batch, height', width', channels)`.
    """

    def __init__(self, pool_size: int, *, strides: int = 1, padding: int = 1, **kwargs):
        super().__init__(**kwargs)
        self.pool_size = pool_size
        self.strides = strides
        self.padding = padding
        self.pad = self.sublayer(keras.layers.ZeroPadding2D, "pad", padding)
        self.mean = self.sublayer(keras.layers.AveragePooling2D, "mean", pool_size, strides=strides)

    def chain(self) -> list[keras.layers.Layer]:
        """The zeros and the mean."""
        return [self.pad, self.mean]


@keras.saving.register_keras_serializable("pocketzoo")
class SpatialPyramidPooling2D(CompositeLayer):
    """The maxima of a map's parts, in grids from fine to coarse: a vector of one length for maps of every size.

    He, Zhang, Ren, Sun: Spatial Pyramid Pooling in Deep Convolutional Networks for Visual Recognition
    (arXiv:1406.4729). One max pooling for each level: over `a` places with `n` bins its step is `floor(a / n)`, and its
    window what is left, `a - (n - 1) * step`. That covers the map and gives exactly `n` bins. The paper's window is
    `ceil(a / n)`: the same wherever that gives `n` bins over the whole map, too small elsewhere.

    Args:
        bins: Bins of each level along either side.

    Input `(batch, height, width, channels)` of a fixed size, each side at least as long as the largest of `bins`.
    Output `(batch, channels * sum(n ** 2 for n in bins))`: level after level, each row by row, channels last.
    """

    def __init__(self, bins: Sequence[int] = (6, 3, 2, 1), **kwargs):
        super().__init__(**kwargs)
        self.bins = [int(n) for n in bins]
        if not self.bins or min(self.bins) < 1:
            raise ValueError(f"{self.name}: bins is {list(bins)}; it takes one or more numbers, each 1 or more.")
        names = [f"level{number}" for number in range(1, len(self.bins) + 1)]
        self.pools: list[keras.layers.Layer] = []  # made in `build`: their windows depend on the size of the map
        self.flattens = [self.sublayer(keras.layers.Flatten, f"{name}_flatten") for name in names]
        self.join = self.sublayer(keras.layers.Concatenate, "join") if len(names) > 1 else None

    def _window(self, input_shape: Shape, n: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Window and step of the level of `n` bins."""
        sides = input_shape[1:3]
        if None in sides:
            raise ValueError(f"{self.name}: the map is {sides}; a pyramid needs a fixed height and width.")
        if min(sides) < n:
            raise ValueError(f"{self.name}: the map is {sides}, too small for {n} bins along each side.")
        steps = tuple(side // n for side in sides)
        return tuple(side - (n - 1) * step for side, step in zip(sides, steps, strict=True)), steps

    def build(self, input_shape):
        """Makes and builds the poolings.

        Raises:
            ValueError: The map's size is open, or smaller than the largest of `bins`.
        """
        windows = [self._window(input_shape, n) for n in self.bins]
        self.pools = [
            self.sublayer(keras.layers.MaxPooling2D, f"level{number}_pool", window, strides=step)
            for number, (window, step) in enumerate(windows, start=1)
        ]
        shapes = [build_chain(level, input_shape) for level in zip(self.pools, self.flattens, strict=True)]
        if self.join is not None:
            self.join.build(shapes)

    def call(self, inputs, training=None):
        """The bins of all levels."""
        levels = [call_chain(level, inputs) for level in zip(self.pools, self.flattens, strict=True)]
        return levels[0] if self.join is None else self.join(levels)

    def compute_output_shape(self, input_shape):
        """`(batch, channels * sum(n ** 2))`."""
        for n in self.bins:
            self._window(input_shape, n)
        return input_shape[0], input_shape[3] * sum(n * n for n in self.bins)
