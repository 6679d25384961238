"""One step of a decoder."""

from typing import Any

import keras

from .composite import CompositeLayer, Shape, build_chain, call_chain, chain_output_shape
from .conv import ConvNormAct
from .norm_and_activation import Norm


@keras.saving.register_keras_serializable("pocketzoo")
class UpBlock(CompositeLayer):
    """Enlarges a deep map twofold, joins the shallower map of that size, and mixes the two by two 3x3 convolutions.

    Ronneberger, Fischer, Brox: U-Net (arXiv:1505.04597), the right half of figure 1.

    Where the enlarged map and the skip differ in size, as they do after unpadded convolutions and at odd sizes, the
    larger one is cut down on all sides. With `padding="same"` the skip is never cut: where the enlarged map lacks a
    line, zeros stand in for it, so that a net's output covers its whole input.

    Args:
        filters: Output channels, of the second convolution.
        mid_filters: Channels of the first convolution.
        up: How to enlarge: `"transpose"`, a 2x2 transposed convolution with a bias, as in the paper; or `"resize"`,
            bilinear, which edge runtimes take everywhere.
        up_filters: Channels of the transposed convolution, or of a 3x3 convolution with normalisation and activation
            after the bilinear enlargement; None, with `"resize"`, for no convolution there.
        padding: Of the 3x3 convolutions, `"same"` or `"valid"` as in the paper.
        norm: As in `ConvNormAct`.
        activation: As in `ConvNormAct`.

    Input `[deep, skip]` or `deep` alone, maps `(batch, height, width, channels)`. Output, with `padding="same"`, of the
    skip's height and width, or twice the deep map's where there is no skip; with `"valid"` that of the smaller one less
    4. An open height or width (None) must be such that no line is too many, and takes `padding="same"`.
    """

    def __init__(
        self,
        filters: int,
        mid_filters: int,
        *,
        up: str = "transpose",
        up_filters: int | None = None,
        padding: str = "same",
        norm: Norm = "batch",
        activation: str = "relu",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if padding not in ("same", "valid"):
            raise ValueError(f"{self.name}: padding is {padding!r}; allowed are 'same' and 'valid'.")
        self.filters = filters
        self.mid_filters = mid_filters
        self.up = up
        self.up_filters = up_filters
        self.padding = padding
        self.norm = norm
        self.activation = activation

        unit = {"padding": padding, "norm": norm, "activation": activation}
        self.enlarge = self._enlarge()
        self.fit_deep: list[keras.layers.Layer] = []  # these two are made in `build`, where the sizes are known
        self.fit_skip: list[keras.layers.Layer] = []
        self.join = self.sublayer(keras.layers.Concatenate, "join")
        self.conv1 = self.sublayer(ConvNormAct, "conv1", mid_filters, 3, **unit)
        self.conv2 = self.sublayer(ConvNormAct, "conv2", filters, 3, **unit)

    def _enlarge(self) -> list[keras.layers.Layer]:
        if self.up == "transpose":
            if self.up_filters is None:
                raise ValueError(f"{self.name}: up_filters is None; with up='transpose' it is a number of channels.")
            return [self.sublayer(keras.layers.Conv2DTranspose, "up", self.up_filters, 2, strides=2)]
        if self.up != "resize":
            raise ValueError(f"{self.name}: up is {self.up!r}; allowed are 'transpose' and 'resize'.")
        parts = [self.sublayer(keras.layers.UpSampling2D, "up", 2, interpolation="bilinear")]
        if self.up_filters is not None:
            unit = {"norm": self.norm, "activation": self.activation}
            parts.append(self.sublayer(ConvNormAct, "up_conv", self.up_filters, 3, **unit))
        return parts

    def width_parts(self) -> dict[str, Any]:
        """The two convolutions, and the one that enlarges or follows the enlargement."""
        enlarging = None if self.up_filters is None else self.enlarge[-1]
        return {"filters": self.conv2, "mid_filters": self.conv1, "up_filters": enlarging}

    def build(self, input_shape):
        """Builds the parts, and makes those that fit the two maps together.

        Raises:
            ValueError: A size is open, but the convolutions are unpadded.
        """
        deep, skip = _pair(input_shape)
        shape = build_chain(self.enlarge, deep)
        if skip is not None:
            size = self._joined_size(shape, skip)
            self.fit_deep = self._fit("fit_deep", shape, size)
            self.fit_skip = self._fit("fit_skip", skip, size)
            maps = [build_chain(self.fit_deep, shape), build_chain(self.fit_skip, skip)]
            self.join.build(maps)
            shape = self.join.compute_output_shape(maps)
        build_chain([self.conv1, self.conv2], shape)

    def _joined_size(self, enlarged: Shape, skip: Shape) -> tuple[int | None, ...]:
        """Height and width at which the two maps are joined."""
        if self.padding == "same":
            return skip[1:3]
        if None in (*enlarged[1:3], *skip[1:3]):
            raise ValueError(f"{self.name}: the skip is {skip[1:3]}; padding='valid' needs a fixed height and width.")
        return tuple(map(min, enlarged[1:3], skip[1:3]))

    def _fit(self, suffix: str, shape: Shape, size: tuple[int | None, ...]) -> list[keras.layers.Layer]:
        """Parts that bring a map to `size`."""
        changes = [0 if None in sides else sides[1] - sides[0] for sides in zip(shape[1:3], size, strict=True)]
        cut = tuple(_both_sides(max(-change, 0)) for change in changes)
        pad = tuple(_both_sides(max(change, 0)) for change in changes)
        parts = []
        if min(changes) < 0:
            parts.append(self.sublayer(keras.layers.Cropping2D, f"{suffix}_cut", cut))
        if max(changes) > 0:
            parts.append(self.sublayer(keras.layers.ZeroPadding2D, f"{suffix}_pad", pad))
        return parts

    def call(self, inputs, training=None):
        """The two maps, mixed."""
        deep, skip = inputs if isinstance(inputs, list | tuple) else (inputs, None)
        x = call_chain(self.enlarge, deep, training)
        if skip is not None:
            x = self.join([call_chain(self.fit_deep, x), call_chain(self.fit_skip, skip)])
        return call_chain([self.conv1, self.conv2], x, training)

    def compute_output_shape(self, input_shape):
        """`(batch, height', width', filters)`."""
        deep, skip = _pair(input_shape)
        shape = chain_output_shape(self.enlarge, deep)
        if skip is not None:
            shape = (shape[0], *self._joined_size(shape, skip), shape[3] + skip[3])
        return chain_output_shape([self.conv1, self.conv2], shape)


def _pair(input_shape) -> tuple[Shape, Shape | None]:
    """Shapes of the deep map and of the skip, if there is one; lists when they come from a saved config."""
    if not isinstance(input_shape[0], list | tuple):
        return tuple(input_shape), None
    deep, skip = input_shape
    return tuple(deep), tuple(skip)


def _both_sides(lines: int) -> tuple[int, int]:
    return lines // 2, lines - lines // 2
