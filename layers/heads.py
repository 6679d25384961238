"""Heads: what turns a backbone's features into answers."""

from collections.abc import Sequence

import keras

from .composite import CompositeLayer, build_chain, call_chain, chain_output_shape


@keras.saving.register_keras_serializable("pocketzoo")
class ClassificationHead(CompositeLayer):
    """Features to one probability for each class, which sum to 1.

    A feature map `(batch, height, width, channels)` is averaged over its area first; a vector `(batch, features)` is
    taken as it is. The probabilities are float32 whatever the precision of the backbone.

    Args:
        classes: Number of classes.
        labels: Names of the classes in the order of the outputs, or None. They stay in the config, so they travel with
            the saved model and into every exported artifact.
        dropout: Share of the features that is dropped in training, 0 for none.

    Output `(batch, classes)`.
    """

    def __init__(self, classes: int, *, labels: Sequence[str] | None = None, dropout: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        if labels is not None and len(labels) != classes:
            raise ValueError(f"{self.name}: {len(labels)} labels for {classes} classes; give one label for each class.")
        self.classes = classes
        self.labels = None if labels is None else [str(label) for label in labels]
        self.dropout = dropout

        self.pool = self.sublayer(keras.layers.GlobalAveragePooling2D, "pool")
        self.drop = self.sublayer(keras.layers.Dropout, "drop", dropout) if dropout else None
        self.dense = self.sublayer(keras.layers.Dense, "dense", classes)
        self.softmax = self.sublayer(keras.layers.Activation, "probabilities", "softmax", dtype="float32")

    def _chain(self, rank: int) -> list[keras.layers.Layer]:
        parts = [self.pool if rank == 4 else None, self.drop, self.dense, self.softmax]
        return [layer for layer in parts if layer is not None]

    def build(self, input_shape):
        """Builds the parts for a feature map (rank 4) or a vector (rank 2)."""
        build_chain(self._chain(len(input_shape)), input_shape)

    def call(self, inputs, training=None):
        """Features to probabilities."""
        return call_chain(self._chain(len(inputs.shape)), inputs, training)

    def compute_output_spec(self, inputs, training=None):
        """`(batch, classes)` in float32."""
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype="float32")

    def compute_output_shape(self, input_shape):
        """`(batch, classes)`."""
        return chain_output_shape(self._chain(len(input_shape)), input_shape)
