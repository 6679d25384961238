"""The upsampling block of a decoder."""

from collections.abc import Sequence
from typing import Any

import keras

from .composite import CompositeLayer, Shape, build_chain, call_chain, chain_output_shape
from .conv import ConvNormAct
from .dimensions import of_sides
from .norm_and_activation import Norm


@keras.saving.register_keras_serializable("pocketzoo")
class UpBlock(CompositeLayer):
    """2x upsampling of a deep feature map, concatenation with a skip connection, and two 3x3 convolutions.

    Ronneberger, Fischer, Brox: U-Net (arXiv:1505.04597), the right half of figure 1.

    If the upsampled map and the skip differ in size, as after unpadded convolutions and at odd sizes, the larger one is
    cropped on all sides. With `padding="same"` the skip is never cropped: a smaller upsampled map is zero-padded, so
    that the network's output covers its whole input.

    Args:
        filters: Output channels, of the second convolution.
        mid_filters: Channels of the first convolution.
        up: Upsampling method: `"transpose"`, a 2x2 transposed convolution with a bias, as in the paper; or
            `"resize"`, bilinear interpolation (of images; repetition of signals and volumes), which all edge runtimes
            support.
        up_filters: Channels of the transposed convolution, or of a 3x3 convolution with normalization and activation
            after the bilinear upsampling; None, with `"resize"`, for no convolution there.
        padding: Padding of the 3x3 convolutions, `"same"` or `"valid"` as in the paper.
        norm: As in `ConvNormAct`.
        activation: As in `ConvNormAct`.

    Input `[deep, skip]` or `deep` alone, feature maps `(batch, height, width, channels)`. Output height and width with
    `padding="same"` are those of the skip, or twice those of the deep map without a skip; with `"valid"` the smaller
    of the two minus 4. If the height or width is unknown (None), `padding` must be `"same"` and the sizes must need no
    cropping or padding.
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
        **kwargs: Any,
    ) -> None:
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

        unit: dict[str, Any] = {"padding": padding, "norm": norm, "activation": activation}
        self.enlarge = self._upsampling_layers()
        self.fit_deep: list[keras.Layer] = []  # both are created in `build`, where the sizes are known
        self.fit_skip: list[keras.Layer] = []
        self.join = self.sublayer(keras.layers.Concatenate, "join")
        self.conv1 = self.sublayer(ConvNormAct, "conv1", mid_filters, 3, **unit)
        self.conv2 = self.sublayer(ConvNormAct, "conv2", filters, 3, **unit)

    def _upsampling_layers(self) -> list[keras.Layer]:
        if self.up == "transpose":
            if self.up_filters is None:
                raise ValueError(f"{self.name}: up_filters is None; up='transpose' needs a number of channels.")
            return [self.sublayer(keras.layers.Conv2DTranspose, "up", self.up_filters, 2, strides=2)]
        if self.up != "resize":
            raise ValueError(f"{self.name}: up is {self.up!r}; allowed are 'transpose' and 'resize'.")
        options = {"interpolation": "bilinear"} if self.dimensions == 2 else {}
        parts: list[keras.Layer] = [self.sublayer(keras.layers.UpSampling2D, "up", 2, **options)]
        if self.up_filters is not None:
            unit: dict[str, Any] = {"norm": self.norm, "activation": self.activation}
            parts.append(self.sublayer(ConvNormAct, "up_conv", self.up_filters, 3, **unit))
        return parts

    def width_parts(self) -> dict[str, Any]:
        """Return the two convolutions, and the one for or after upsampling."""
        up_conv = None if self.up_filters is None else self.enlarge[-1]
        return {"filters": self.conv2, "mid_filters": self.conv1, "up_filters": up_conv}

    def build(self, input_shape: Shape) -> None:
        """Build the sublayers, and create those that crop or pad the two maps to one size.

        Raises:
            ValueError: A size is unknown, but the convolutions are unpadded.
        """
        deep, skip = _split_shapes(input_shape)
        shape = build_chain(self.enlarge, deep)
        if skip is not None:
            size = self._common_size(shape, skip)
            self.fit_deep = self._crop_or_pad("fit_deep", shape, size)
            self.fit_skip = self._crop_or_pad("fit_skip", skip, size)
            maps = [build_chain(self.fit_deep, shape), build_chain(self.fit_skip, skip)]
            self.join.build(maps)
            shape = self.join.compute_output_shape(maps)
        build_chain([self.conv1, self.conv2], shape)

    def _common_size(self, upsampled: Shape, skip: Shape) -> Shape:
        """Return the height and width to which both maps are cropped or padded."""
        if self.padding == "same":
            return skip[1:-1]
        if None in (*upsampled[1:-1], *skip[1:-1]):
            side = "length" if self.dimensions == 1 else "height and width"
            raise ValueError(f"{self.name}: the skip is {skip[1:-1]}; padding='valid' needs a fixed {side}.")
        return tuple(map(min, upsampled[1:-1], skip[1:-1]))

    def _crop_or_pad(self, suffix: str, shape: Shape, size: Shape) -> list[keras.Layer]:
        """Create the sublayers that bring a map to `size`, the length of each axis."""
        changes = [0 if None in sides else sides[1] - sides[0] for sides in zip(shape[1:-1], size, strict=True)]
        crop = tuple(_halves(max(-change, 0)) for change in changes)
        pad = tuple(_halves(max(change, 0)) for change in changes)
        parts: list[keras.Layer] = []
        if min(changes) < 0:
            parts.append(self.sublayer(keras.layers.Cropping2D, f"{suffix}_cut", of_sides(crop)))
        if max(changes) > 0:
            parts.append(self.sublayer(keras.layers.ZeroPadding2D, f"{suffix}_pad", of_sides(pad)))
        return parts

    def call(self, inputs: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        """Return the decoded feature map."""
        deep, skip = inputs if isinstance(inputs, list | tuple) else (inputs, None)
        x = call_chain(self.enlarge, deep, training)
        if skip is not None:
            x = self.join([call_chain(self.fit_deep, x), call_chain(self.fit_skip, skip)])
        return call_chain([self.conv1, self.conv2], x, training)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return `(batch, height', width', filters)`."""
        deep, skip = _split_shapes(input_shape)
        shape = chain_output_shape(self.enlarge, deep)
        if skip is not None:
            shape = (shape[0], *self._common_size(shape, skip), shape[-1] + skip[-1])
        return chain_output_shape([self.conv1, self.conv2], shape)


def _split_shapes(input_shape: Shape | Sequence[Shape]) -> tuple[Shape, Shape | None]:
    """Return the shapes of the deep map and of the skip, if there is one; from a saved config they come as lists."""
    if not isinstance(input_shape[0], list | tuple):
        return tuple(input_shape), None
    deep, skip = input_shape
    return tuple(deep), tuple(skip)


def _halves(pixels: int) -> tuple[int, int]:
    return pixels // 2, pixels - pixels // 2
