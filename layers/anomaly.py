"""Anomaly maps: how far the features of each position are from those of good images, as a score from 0 to 1.

The statistics of good images are weights that no training changes; `training.fit_anomaly` sets them.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from .composite import CompositeLayer, Shape, build_chain, call_chain
from .heads import Head

FARTHEST = 10.0
"""Deviations to which differences are clipped: their squares would be too large for float16."""


@keras.saving.register_keras_serializable("pocketzoo")
class FeaturePyramid(CompositeLayer):
    """Feature maps of several strides as one map, in the size of the first, which is the largest.

    Args:
        pool_size: Side of the window, in positions of its own map, over which each map is averaged first, as in
            PatchCore (Roth et al., arXiv:2106.08265); 1 for none.

    Input a list of maps `(batch, height, width, channels)` of fixed sizes, output `(batch, height, width, sum of
    channels)`.
    """

    def __init__(self, *, pool_size: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pool_size = pool_size
        self.chains: list[list[keras.Layer]] = []
        self.join = self.sublayer(keras.layers.Concatenate, "join")

    def build(self, input_shape: Sequence[Shape]) -> None:
        """Create the layers that bring each map to the size of the first.

        Raises:
            ValueError: A size is open.
        """
        shapes = [tuple(shape) for shape in input_shape]
        if any(None in shape[1:] for shape in shapes):
            raise ValueError(f"{self.name}: a pyramid takes maps of a fixed size; these have the shapes {shapes}.")
        for number, shape in enumerate(shapes):
            self.chains.append(self._chain(number, shape[1:3], shapes[0][1:3]))
            build_chain(self.chains[-1], shape)

    def _chain(self, number: int, own: tuple[int, ...], size: tuple[int, ...]) -> list[keras.Layer]:
        parts: list[keras.Layer] = []
        if self.pool_size > 1:
            pool = {"pool_size": self.pool_size, "strides": 1, "padding": "same"}
            parts.append(self.sublayer(keras.layers.AveragePooling2D, f"pool{number}", **pool))
        factor = max(math.ceil(wanted / side) for wanted, side in zip(size, own, strict=True))
        if factor > 1:
            parts.append(self.sublayer(keras.layers.UpSampling2D, f"up{number}", factor, interpolation="bilinear"))
        extra = tuple((0, factor * side - wanted) for wanted, side in zip(size, own, strict=True))
        if any(map(any, extra)):
            parts.append(self.sublayer(keras.layers.Cropping2D, f"cut{number}", extra))
        return parts

    def call(self, inputs: Sequence[Any], training: bool | None = None) -> Any:
        """Return the joined maps."""
        maps = [call_chain(chain, map_, training) for chain, map_ in zip(self.chains, inputs, strict=True)]
        return self.join(maps) if len(maps) > 1 else maps[0]

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        """Return the shape of the joined maps."""
        return (*input_shape[0][:3], sum(shape[3] for shape in input_shape))


class FeatureDistance(CompositeLayer):
    """Base class of distances from the features of good images.

    Args:
        channels: Channels that are compared: the output of a 1x1 convolution, which chooses some of the features and
            divides them by their deviation.

    Input `(batch, height, width, features)`, output `(batch, height, width, 1)`: a squared distance for each channel,
    about 1 where features are like those of good images.
    """

    def __init__(self, channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.channels = channels
        self.select = self.sublayer(keras.layers.Conv2D, "select", channels, 1, trainable=False)

    def set_selection(self, chosen: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> None:
        """Set the convolution that chooses channels.

        Args:
            chosen: Index of each of the channels among the features, `(channels,)`.
            mean: Of each of them, which becomes 0.
            deviation: Of each of them, which becomes 1.
        """
        kernel = np.zeros(self.select.kernel.shape)
        kernel[0, 0, chosen, np.arange(self.channels)] = 1 / deviation
        self.select.set_weights([kernel, -mean / deviation])

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of a map with one channel."""
        return (*input_shape[:3], 1)


@keras.saving.register_keras_serializable("pocketzoo")
class GaussianDistance(FeatureDistance):
    """Squared Mahalanobis distance from the features of good images at the same position, divided by the channels.

    PaDiM (Defard et al., arXiv:2011.08785). Each position has a matrix and an offset that make the features of good
    images white, so that the squared distance is a sum of squares. Maps have a fixed size.
    """

    def build(self, input_shape: Shape) -> None:
        """Create the matrix of each position.

        Raises:
            ValueError: The size of the map is open.
        """
        if len(input_shape) != 4 or None in input_shape[1:3]:
            raise ValueError(f"{self.name} takes maps of a fixed size; these have the shape {tuple(input_shape)}.")
        shape = build_chain([self.select], input_shape)
        self.positions = shape[1] * shape[2]
        self.whiten = self.sublayer(
            keras.layers.EinsumDense,
            "whiten",
            "bpc,pcd->bpd",
            output_shape=(self.positions, self.channels),
            bias_axes="pd",
            trainable=False,
        )
        self.whiten.build((shape[0], self.positions, self.channels))

    def set_statistics(self, mean: np.ndarray, covariance: np.ndarray) -> None:
        """Set the matrices and offsets.

        Args:
            mean: Of the chosen channels at each position, `(height * width, channels)`.
            covariance: Positive definite, `(height * width, channels, channels)`.
        """
        whitening = np.linalg.inv(np.linalg.cholesky(covariance)).swapaxes(1, 2)
        self.whiten.set_weights([whitening, -np.einsum("pc,pcd->pd", mean, whitening)])

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the distances."""
        rows, columns = inputs.shape[1:3]
        features = ops.reshape(self.select(inputs), (-1, self.positions, self.channels))
        white = ops.clip(self.whiten(features), -FARTHEST, FARTHEST)
        return ops.reshape(ops.mean(white * white, axis=-1), (-1, rows, columns, 1))


@keras.saving.register_keras_serializable("pocketzoo")
class NeighborDistance(FeatureDistance):
    """Squared distance from the most similar of the remembered features of good images, divided by the channels.

    PatchCore (Roth et al., arXiv:2106.08265), without its weight for the image. The squared distance is `|x|^2 + (|m|^2
    - 2 x m)`, whose second part a 1x1 convolution computes for each remembered vector `m`.

    Args:
        channels: As in `FeatureDistance`.
        memory: Number of remembered vectors.
    """

    def __init__(self, channels: int, memory: int, **kwargs: Any) -> None:
        super().__init__(channels, **kwargs)
        self.memory = memory
        self.similarity = self.sublayer(keras.layers.Conv2D, "similarity", memory, 1, trainable=False)

    def build(self, input_shape: Shape) -> None:
        """Create the convolutions."""
        build_chain([self.select, self.similarity], input_shape)

    def set_memory(self, vectors: np.ndarray) -> None:
        """Set the remembered vectors of the chosen channels, `(memory, channels)`."""
        vectors = vectors.clip(-FARTHEST, FARTHEST)
        kernel = (2 / self.channels) * vectors.T[np.newaxis, np.newaxis]
        self.similarity.set_weights([kernel, -(vectors**2).mean(axis=1)])

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the distances."""
        features = ops.clip(self.select(inputs), -FARTHEST, FARTHEST)
        nearest = ops.max(self.similarity(features), axis=-1, keepdims=True)
        return ops.mean(features * features, axis=-1, keepdims=True) - nearest


@keras.saving.register_keras_serializable("pocketzoo")
class ReconstructionDistance(CompositeLayer):
    """Mean squared difference between images and what an autoencoder makes of them, around each pixel.

    Args:
        scale: What 1 is in the unit of the pixels.
        pool_size: Side of the window in pixels.

    Input two lists of images `(batch, height, width, channels)`, output `(batch, height, width, 1)`.
    """

    def __init__(self, scale: float = 255.0, pool_size: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale
        self.pool_size = pool_size
        self.pool = self.sublayer(keras.layers.AveragePooling2D, "pool", pool_size, strides=1, padding="same")

    def call(self, inputs: Sequence[Any], training: bool | None = None) -> Any:
        """Return the differences."""
        image, picture = inputs
        error = (image - picture) * (1 / self.scale)
        return self.pool(ops.mean(error * error, axis=-1, keepdims=True))

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        """Return the shape of a map with one channel."""
        return (*input_shape[0][:3], 1)


@keras.saving.register_keras_serializable("pocketzoo")
class AnomalyHead(Head):
    """A map of distances to a map of scores in the size of the image, of which 0.5 is the threshold.

    Args:
        strides: Factor by which distances are upsampled (bilinear); 1 for none.
        crop: Rows and columns that are cropped at the bottom and the right after that.

    Input `(batch, height, width, 1)`, output `(batch, height * strides - crop, ..., 1)`, from 0 to 1.
    """

    TASK = "anomaly"

    def __init__(self, *, strides: int = 1, crop: Sequence[int] = (0, 0), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.strides = strides
        self.crop = tuple(crop)
        up = {"interpolation": "bilinear"}
        self.enlarge = self.sublayer(keras.layers.UpSampling2D, "enlarge", strides, **up) if strides > 1 else None
        cut = tuple((0, lines) for lines in self.crop)
        self.cut = self.sublayer(keras.layers.Cropping2D, "cut", cut) if any(self.crop) else None
        self.scale = self.sublayer(
            keras.layers.Conv2D, "scale", 1, 1, trainable=False, kernel_initializer="ones", dtype="float32"
        )
        self.act = self.sublayer(keras.layers.Activation, "scores", "sigmoid", dtype="float32")

    def chain(self, rank: int) -> list[keras.Layer]:
        """Distances, upsampled and cropped, then scores."""
        if rank != 4:
            raise ValueError(f"{self.name}: an anomaly head takes a map of distances (rank 4), not rank {rank}.")
        return [part for part in (self.enlarge, self.cut, self.scale, self.act) if part is not None]

    def distances(self, inputs: Any) -> Any:
        """Return the distances in the size of the image, before they become scores."""
        return call_chain([part for part in (self.enlarge, self.cut) if part is not None], inputs)

    def set_threshold(self, threshold: float, usual: float) -> None:
        """Let a distance of `threshold` be a score of 0.5, and the `usual` one of good images 0.05."""
        steepness = math.log(19) / (threshold - usual)
        self.scale.set_weights([np.full((1, 1, 1, 1), steepness), np.array([-steepness * threshold])])
