"""The head of image_to_image: a picture of a feature map."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from .heads import Head


@keras.saving.register_keras_serializable("pocketzoo")
class ImageHead(Head):
    """A feature map to a picture: unbounded values, which begin around the middle of `value_range`.

    The last convolution has 3x3 kernels. With a scale above 1 it is a transposed convolution with kernels of
    `3 * scale` and strides of `scale`, which computes what sub-pixel convolution does (Shi et al. arXiv:1609.05158;
    that they are equal: arXiv:1609.07009), in one operation that edge runtimes have.

    Args:
        channels: Channels of the picture.
        labels: Names of the channels, or None.
        scale: Pixels of the picture for one of the feature map, along each axis.
        value_range: Lowest and highest value of usual pictures. The convolution computes values from -1 to 1, which are
            mapped to it; it bounds nothing.
        image_channels: Last channels of the features that are the image, from -1 to 1: the head begins as its linear
            interpolation. 0 if there are none.

    Input `(batch, height, width, features)`, output `(batch, height * scale, width * scale, channels)`.
    """

    TASK = "image_to_image"

    def __init__(
        self,
        channels: int,
        *,
        labels: Sequence[str] | None = None,
        scale: int = 1,
        value_range: tuple[float, float] = (0.0, 255.0),
        image_channels: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.keep_labels(labels, channels)
        self.channels = channels
        self.scale = scale
        self.value_range = tuple(value_range)
        self.image_channels = image_channels
        # Small, because features that are still random would otherwise drown the image, and cost epochs to unlearn.
        start = {"class_name": "VarianceScaling", "config": {"scale": 1e-4, "mode": "fan_avg"}}
        size: dict[str, Any] = {"kernel_size": 3 * scale, "padding": "same", "kernel_initializer": start}
        if scale > 1:
            self.conv = self.sublayer(keras.layers.Conv2DTranspose, "subpixels", channels, strides=scale, **size)
        else:
            self.conv = self.sublayer(keras.layers.Conv2D, "conv", channels, **size)
        low, high = self.value_range
        self.rescale = self.sublayer(
            keras.layers.Rescaling, "values", (high - low) / 2, offset=(high + low) / 2, dtype="float32"
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Builds the layers for a feature map; what becomes of the image in it begins as linear interpolation."""
        super().build(input_shape)
        if not self.image_channels:
            return
        kernel = keras.ops.convert_to_numpy(self.conv.kernel).copy()
        taps = np.maximum(0, 1 - np.abs((np.arange(3 * self.scale) + 0.5) / self.scale - 1.5))
        window = np.outer(taps, taps)[..., np.newaxis, np.newaxis]
        colors = np.eye(self.channels) if self.image_channels == self.channels else 1 / self.image_channels
        copied = window * np.broadcast_to(colors, (self.channels, self.image_channels))
        if self.scale > 1:  # the kernel of a transposed convolution has the outputs before the inputs
            kernel[..., -self.image_channels :] += copied
        else:
            kernel[..., -self.image_channels :, :] += copied.swapaxes(-1, -2)
        self.conv.kernel.assign(kernel)

    def chain(self, rank: int) -> list[keras.layers.Layer]:
        """Convolution and the range of the values."""
        if rank != 4:
            raise ValueError(
                f"{self.name}: an image_to_image head takes a map (rank 4) of the size of the image, as U-Nets have "
                f"one; these features have rank {rank}."
            )
        return [self.conv, self.rescale]
