"""Heads: layers that map the features of a backbone to the outputs of a task."""

from collections.abc import Sequence
from typing import Any

import keras

from .composite import CompositeLayer, build_chain, call_chain, chain_output_shape
from .dimensions import of_sides


class Head(CompositeLayer):
    """Base class of heads: features to float32 outputs, whatever the precision of the backbone.

    `labels`, where a head has them, stay in the config, so they travel with the saved model and into every exported
    artifact.
    """

    TASK: str
    """Name of the head's task in `pocketzoo.tasks`."""
    WIDTH = "classes"
    """Name of the attribute with the number of outputs."""
    labels: list[str] | None = None

    @property
    def map_rank(self) -> int:
        """Rank of a feature map: 4, or 3 of signals and 5 of volumes."""
        return self.dimensions + 2

    def chain(self, rank: int) -> list[keras.layers.Layer]:
        """Layers in order for features of that rank: `map_rank` for a map, 2 for a vector."""
        raise NotImplementedError

    def keep_labels(self, labels: Sequence[str] | None, outputs: int | None) -> None:
        """Sets the names of the outputs.

        Raises:
            ValueError: The numbers of labels and outputs differ.
        """
        if labels is not None and len(labels) != outputs:
            raise ValueError(f"{self.name}: {len(labels)} labels for {outputs} classes; give one label for each class.")
        self.labels = None if labels is None else [str(label) for label in labels]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Builds the layers for a feature map or a vector (rank 2)."""
        build_chain(self.chain(len(input_shape)), input_shape)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Computes the outputs."""
        return call_chain(self.chain(len(inputs.shape)), inputs, training)

    def compute_output_spec(self, inputs: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        """Outputs in float32."""
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype="float32")

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Shape of the outputs."""
        return chain_output_shape(self.chain(len(input_shape)), input_shape)


class VectorHead(Head):
    """Base class of heads with one vector for each image: pooling, dropout, one dense layer, an activation."""

    ACTIVATION = ("output", "linear")
    """Suffix of the activation layer's name, and the activation."""
    SCORE_ACTIVATION: str | None = None
    """Activation of the scores of a score map."""

    def __init__(
        self,
        classes: int,
        *,
        labels: Sequence[str] | None = None,
        dropout: float = 0.0,
        score_map: bool = False,
        **kwargs: Any,
    ) -> None:
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
        if self.score_map and rank != self.map_rank:
            raise ValueError(
                f"{self.name}: score_map takes a map (rank {self.map_rank}); these features have rank {rank}."
            )
        pool = self.pool if rank == self.map_rank else None
        scores = [self.drop, self.dense, pool] if self.score_map else [pool, self.drop, self.dense]
        return [part for part in (*scores, self.act) if part is not None]


@keras.saving.register_keras_serializable("pocketzoo")
class ClassificationHead(VectorHead):
    """Features to one probability for each class, which sum to 1.

    A feature map `(batch, height, width, channels)` is averaged over its positions first; a vector `(batch, features)`
    is used unchanged.

    Args:
        classes: Number of classes.
        labels: Names of the classes in the order of the outputs, or None.
        dropout: Share of the features that is dropped in training, 0 for none.
        score_map: Score every position of the map (a 1x1 convolution with a ReLU) and average the scores, as in
            SqueezeNet.

    Output `(batch, classes)`.
    """

    TASK = "classification"
    ACTIVATION = ("probabilities", "softmax")
    SCORE_ACTIVATION = "relu"


@keras.saving.register_keras_serializable("pocketzoo")
class MultiLabelHead(VectorHead):
    """Features to an independent probability for each label: an image may have several, or none.

    The arguments are those of `ClassificationHead`, except that a score map has no ReLU, which would keep every
    probability at 0.5 or above.
    Output `(batch, classes)`, each 0..1.
    """

    TASK = "multi_label"
    ACTIVATION = ("probabilities", "sigmoid")


@keras.saving.register_keras_serializable("pocketzoo")
class RegressionHead(VectorHead):
    """Features to unbounded numbers.

    The arguments are those of `ClassificationHead`, except that a score map has no ReLU; `classes` is the number of
    values. Output `(batch, classes)`.
    """

    TASK = "regression"
    ACTIVATION = ("values", "linear")


@keras.saving.register_keras_serializable("pocketzoo")
class EmbeddingHead(Head):
    """Features to be compared with one another: a map is averaged over its positions, a vector is used unchanged.

    Args:
        units: Length of the output, to which a dense layer projects the features; None for the features themselves.
        normalize: Divide the output by its Euclidean norm (L2 normalization): dot products are cosine similarities.

    Output `(batch, units)`, or `(batch, channels)`.
    """

    TASK = "embedding"
    WIDTH = "units"

    def __init__(self, units: int | None = None, *, normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.normalize = normalize
        self.pool = self.sublayer(keras.layers.GlobalAveragePooling2D, "pool")
        self.dense = None if units is None else self.sublayer(keras.layers.Dense, "dense", units)
        self.act = self.sublayer(keras.layers.Activation, "embedding", "linear", dtype="float32")
        self.unit = self.sublayer(keras.layers.UnitNormalization, "unit", dtype="float32") if normalize else None

    def chain(self, rank: int) -> list[keras.layers.Layer]:
        """Pooling of a map, the dense layer, the conversion to float32, and L2 normalization."""
        pool = self.pool if rank == self.map_rank else None
        return [part for part in (pool, self.dense, self.act, self.unit) if part is not None]


@keras.saving.register_keras_serializable("pocketzoo")
class SegmentationHead(Head):
    """A feature map to one probability for each class and pixel, which sum to 1 over the classes.

    Args:
        classes: Number of classes.
        labels: Names of the classes in the order of the outputs, or None.
        strides: Factor by which the scores are upsampled (bilinear); 1 for none.
        crop: Rows and columns that are cropped at the bottom and the right after that.

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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.keep_labels(labels, classes)
        self.classes = classes
        self.strides = strides
        self.crop = tuple(crop)
        self.scores = self.sublayer(keras.layers.Conv2D, "scores", classes, 1)
        # Bilinear, because "nearest" would become a RESHAPE and TILE of rank 5, which edge runtimes refuse.
        options = {"interpolation": "bilinear"} if self.dimensions == 2 else {}
        self.enlarge = self.sublayer(keras.layers.UpSampling2D, "enlarge", strides, **options) if strides > 1 else None
        cut = of_sides(tuple((0, lines) for lines in self.crop[: self.dimensions]))
        self.cut = self.sublayer(keras.layers.Cropping2D, "cut", cut) if any(self.crop) else None
        self.softmax = self.sublayer(keras.layers.Activation, "probabilities", "softmax", dtype="float32")

    def chain(self, rank: int) -> list[keras.layers.Layer]:
        """Scores, upsampled and cropped, then their softmax."""
        if rank != self.map_rank:
            raise ValueError(
                f"{self.name}: a segmentation head takes a map (rank {self.map_rank}), as U-Nets and DeepLab have one; "
                f"these features have rank {rank}."
            )
        return [part for part in (self.scores, self.enlarge, self.cut, self.softmax) if part is not None]
