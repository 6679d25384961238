"""Pixel normalization as the first layer of every model."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from .composite import Shape


@keras.saving.register_keras_serializable("pocketzoo")
class PixelNormalization(keras.Layer):
    """Normalization of raw pixels in 0..255 as in training: `(pixels - mean) * scale`, per channel.

    The constants are non-trainable weights, so they are loaded with pretrained weights and the graph stays the same.

    Args:
        mean: One number, or one for each channel, in pixel units (0..255).
        scale: One number, or one for each channel: the inverse standard deviation, in pixel units.
        pixel_range: Lowest and highest value of the pixels. Mean and scale are in the same unit.
        origin: Published weights that the model was made from: `source`, and `license` where it is known. Every model
            keeps this layer, whatever becomes of the others.

    The defaults map 0..255 to -1..1. Input and output are `(batch, height, width, channels)`.
    """

    def __init__(
        self,
        mean: float | Sequence[float] = 127.5,
        scale: float | Sequence[float] = 1 / 127.5,
        pixel_range: Sequence[float] = (0.0, 255.0),
        origin: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        # Pixels are normalized in float32: float16 has too few digits for 0..255 minus a mean.
        super().__init__(autocast=False, **kwargs)
        self.mean = np.asarray(mean, "float64").tolist()  # plain numbers for the saved config
        self.scale = np.asarray(scale, "float64").tolist()
        low, high = map(float, pixel_range)
        self.pixel_range = (low, high)
        self.origin = {str(key): str(value) for key, value in (origin or {}).items()}

    def build(self, input_shape: Shape) -> None:
        """Create the two constants, one value per channel."""
        channels = input_shape[-1]
        self.mean_weight = self._constant("mean", self.mean, channels)
        self.scale_weight = self._constant("scale", self.scale, channels)

    def _constant(self, name: str, value: float | Sequence[float], channels: int) -> keras.Variable:
        values = np.asarray(value, "float32").reshape(-1)
        if len(values) not in (1, channels):
            raise ValueError(
                f"{self.name}: {len(values)} values of {name} for {channels} channels; give 1 or {channels}."
            )
        return self.add_weight(
            name=name,
            shape=(channels,),
            dtype="float32",
            trainable=False,
            autocast=False,
            initializer=lambda shape, dtype=None: keras.ops.convert_to_tensor(np.broadcast_to(values, shape), dtype),
        )

    def scale_and_offset(self) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """Return the constants of the equivalent `pixels * scale + offset`, each of shape `(channels,)`."""
        return self.scale_weight.value, -self.mean_weight.value * self.scale_weight.value

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Normalize pixels of shape `(batch, height, width, channels)`."""
        wide = keras.backend.result_type("float32", self.compute_dtype)
        # The order of operations in `keras.layers.Rescaling`, so that the flattened model is bit-identical.
        scale, offset = (keras.ops.cast(constant, wide) for constant in self.scale_and_offset())
        return keras.ops.cast(keras.ops.cast(inputs, wide) * scale + offset, self.compute_dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments; mean and scale are initial values, loaded weights may differ."""
        config = super().get_config() | {"mean": self.mean, "scale": self.scale}
        # Files of models with the defaults stay those of earlier versions.
        if self.pixel_range != (0.0, 255.0):
            config["pixel_range"] = list(self.pixel_range)
        return config | {"origin": self.origin} if self.origin else config
