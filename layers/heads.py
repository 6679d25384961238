"""Heads: what turns a backbone's features into answers."""

from collections.abc import Sequence
from typing import Any

import keras

from .composite import CompositeLayer, build_chain, call_chain, chain_output_shape


class Head(CompositeLayer):
    """What heads share: features to float32 answers, whatever the precision of the backbone.

    `labels`, where a head has them, stay in the config, so they travel with the saved model and into every exported
    artifact.
    """

    TASK: str
    """What it answers, by the name that `zoo.create_model` knows it by."""
    labels: list[str] | None = None

    def chain(self, rank: int) -> list[keras.layers.Layer]:
        """The parts in order for features of that rank: 4 for a map, 2 for a vector."""
        raise NotImplementedError

    def keep_labels(self, labels: Sequence[str] | None, outputs: int) -> None:
        """Remembers the outputs' names.

        Raises:
            ValueError: There are not as many labels as outputs.
        """
        if labels is not None and len(labels) != outputs:
            raise ValueError(f"{self.name}: {len(labels)} labels for {outputs} classes; give one label for each class.")
        self.labels = None if labels is None else [str(label) for label in labels]

    def build(self, input_shape):
        """Builds the parts for a feature map (rank 4) or a vector (rank 2)."""
        build_chain(self.chain(len(input_shape)), input_shape)

    def call(self, inputs, training=None):
        """Features to answers."""
        return call_chain(self.chain(len(inputs.shape)), inputs, training)

    def compute_output_spec(self, inputs, training=None):
        """The answers, in float32."""
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype="float32")

    def compute_output_shape(self, input_shape):
        """The shape of the answers."""
        return chain_output_shape(self.chain(len(input_shape)), input_shape)


class VectorHead(Head):
    """What heads with one vector an image share: pooling, dropout, one dense layer, an activation."""

    ACTIVATION = ("output", "linear")
    """Suffix and name of the activation."""
    SCORE_ACTIVATION: str | None = None
    """Of the scores of a score map."""

    def __init__(
        self,
        classes: int,
        *,
        labels: Sequence[str] | None = None,
        dropout: float = 0.0,
        score_map: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.keep_labels(labels, classes)
        self.classes = classes
        self.dropout = dropout
        self.score_map = score_map

        self.pool = self.sublayer(keras.layers.GlobalAveragePooling2D, "pool")
        self.drop = self.sublayer(keras.layers.Dropout, "drop", dropout) if dropout else None
        if score_map:
            self.dense = self.sublayer(keras.layers.Conv2D, "dense", classes, 1, activation=self.SCORE_ACTIVATION)
        else:
            self.dense = self.sublayer(keras.layers.Dense, "dense", classes)
        suffix, activation = self.ACTIVATION
        self.act = self.sublayer(keras.layers.Activation, suffix, activation, dtype="float32")

    def chain(self, rank: int) -> list[keras.layers.Layer]:
        """Pooling of a map, dropout, dense layer, activation; with `score_map` the pooling comes after the scores."""
        if self.score_map and rank != 4:
            raise ValueError(f"{self.name}: score_map takes a map (rank 4); these features have rank {rank}.")
        pool = self.pool if rank == 4 else None
        scores = [self.drop, self.dense, pool] if self.score_map else [pool, self.drop, self.dense]
        return [part for part in (*scores, self.act) if part is not None]


@keras.saving.register_keras_serializable("pocketzoo")
class ClassificationHead(VectorHead):
    """Features to one probability for each class, which sum to 1.

    A feature map `(batch, height, width, channels)` is averaged over its area first; a vector `(batch, features)` is
    taken as it is.

    Args:
        classes: Number of classes.
        labels: Names of the classes in the order of the outputs, or None.
        dropout: Share of the features that is dropped in training, 0 for none.
        score_map: Score every place of the map (a 1x1 convolution with a ReLU) and average the scores, as SqueezeNet.

    Output `(batch, classes)`.
    """

    TASK = "classification"
    ACTIVATION = ("probabilities", "softmax")
    SCORE_ACTIVATION = "relu"


@keras.saving.register_keras_serializable("pocketzoo")
class MultiLabelHead(VectorHead):
    """Features to one probability for each class, independent of the others: an image may show several, or none.

    The arguments are those of `ClassificationHead`, but that a score map has no ReLU, below which no class could fall.
    Output `(batch, classes)`, each 0..1.
    """

    TASK = "multi_label"
    ACTIVATION = ("probabilities", "sigmoid")


@keras.saving.register_keras_serializable("pocketzoo")
class RegressionHead(VectorHead):
    """Features to numbers without bounds, one for each output.

    The arguments are those of `ClassificationHead`, but that a score map has no ReLU; `classes` is the number of
    outputs. Output `(batch, classes)`.
    """

    TASK = "regression"
    ACTIVATION = ("values", "linear")


@keras.saving.register_keras_serializable("pocketzoo")
class EmbeddingHead(Head):
    """The features themselves: a map is averaged over its area, a vector stays what it is.

    Output `(batch, channels)`.
    """

    TASK = "embedding"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pool = self.sublayer(keras.layers.GlobalAveragePooling2D, "pool")
        self.act = self.sublayer(keras.layers.Activation, "embedding", "linear", dtype="float32")

    def chain(self, rank: int) -> list[keras.layers.Layer]:
        """Pooling of a map, and the way to float32."""
        return [self.pool, self.act] if rank == 4 else [self.act]


@keras.saving.register_keras_serializable("pocketzoo")
class SegmentationHead(Head):
    """A feature map to one probability for each class and place, which sum to 1 over the classes.

    Args:
        classes: Number of classes.
        labels: Names of the classes in the order of the outputs, or None.
        strides: Times that the scores are enlarged (bilinear), 1 for not at all.
        crop: Rows and columns that are cut off at the bottom and the right after that.

    Input `(batch, height, width, channels)`, output `(batch, height * strides - crop, ..., classes)`.
    """

    TASK = "segmentation"

    def __init__(
        self,
        classes: int,
        *,
        labels: Sequence[str] | None = None,
        strides: int = 1,
        crop: tuple[int, int] = (0, 0),
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.keep_labels(labels, classes)
        self.classes = classes
        self.strides = strides
        self.crop = tuple(crop)
        self.scores = self.sublayer(keras.layers.Conv2D, "scores", classes, 1)
        # Bilinear, because "nearest" would become a RESHAPE and TILE of rank 5, which edge runtimes refuse.
        options = {"interpolation": "bilinear"}
        self.enlarge = self.sublayer(keras.layers.UpSampling2D, "enlarge", strides, **options) if strides > 1 else None
        cut = tuple((0, lines) for lines in self.crop)
        self.cut = self.sublayer(keras.layers.Cropping2D, "cut", cut) if any(self.crop) else None
        self.softmax = self.sublayer(keras.layers.Activation, "probabilities", "softmax", dtype="float32")

    def chain(self, rank: int) -> list[keras.layers.Layer]:
        """Scores, enlarged and cut to size, then their softmax."""
        if rank != 4:
            raise ValueError(
                f"{self.name}: a segmentation head takes a map (rank 4), as U-Nets and DeepLab have one; these "
                f"features have rank {rank}."
            )
        return [part for part in (self.scores, self.enlarge, self.cut, self.softmax) if part is not None]
