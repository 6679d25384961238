"""Convolution, normalisation, activation: the unit that most architectures repeat."""

import keras

from .composite import CompositeLayer, build_chain, call_chain, chain_output_shape

MOMENTUM = 0.9
"""Of the moving statistics. Keras' 0.99 needs hundreds of steps to forget its start; 200 photos give a few dozen."""


@keras.saving.register_keras_serializable("pocketzoo")
class ConvNormAct(CompositeLayer):
    """A 2-D convolution, then batch normalisation, then an activation; the last two may be left out.

    The convolution has a bias only where no normalisation follows: BatchNorm would make it idle.

    Args:
        filters: Output channels.
        kernel_size: Side of the square kernel.
        strides: Step in both directions.
        padding: `"same"` or `"valid"`.
        norm: `"batch"` or None.
        activation: Name of a Keras activation, or None.
        kernel_initializer: Name of a Keras initialiser.

    Input `(batch, height, width, channels)`, output `(batch, height', width', filters)`.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        *,
        strides: int = 1,
        padding: str = "same",
        norm: str | None = "batch",
        activation: str | None = "relu",
        kernel_initializer: str = "he_normal",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if norm not in ("batch", None):
            raise ValueError(f"{self.name}: norm is {norm!r}; allowed are 'batch' and None.")
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.padding = padding
        self.norm = norm
        self.activation = activation
        self.kernel_initializer = kernel_initializer

        self.conv = self.sublayer(
            keras.layers.Conv2D,
            "conv",
            filters,
            kernel_size,
            strides=strides,
            padding=padding,
            use_bias=norm is None,
            kernel_initializer=kernel_initializer,
        )
        self.batch_norm = self.sublayer(keras.layers.BatchNormalization, "norm", momentum=MOMENTUM) if norm else None
        self.act = self.sublayer(keras.layers.Activation, "act", activation) if activation else None

    def _chain(self) -> list[keras.layers.Layer]:
        # No property: Keras looks for weights in every attribute, and would file those of the parts under its name.
        return [layer for layer in (self.conv, self.batch_norm, self.act) if layer is not None]

    def build(self, input_shape):
        """Builds the parts for inputs of `(batch, height, width, channels)`."""
        build_chain(self._chain(), input_shape)

    def call(self, inputs, training=None):
        """Applies the parts in order."""
        return call_chain(self._chain(), inputs, training)

    def compute_output_shape(self, input_shape):
        """`(batch, height', width', filters)`."""
        return chain_output_shape(self._chain(), input_shape)
