"""The head of detectors: a box and scores at each position of the feature maps, of which peaks are kept."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from .composite import CompositeLayer, Shape, build_chain
from .heads import Head

RARE, SHORT = -2.19, -2.0
"""Biases at the start: nearly no position has an object (a score of 0.1), and boxes are a quarter of the image."""
STEEPNESS = 10.0
"""Share by which the score of a position falls for each unit that its logit is below that of the best neighbor."""


@keras.saving.register_keras_serializable("pocketzoo")
class DetectionHead(Head):
    """One feature map or several to candidates: for each position a box, and the scores of the classes.

    Several maps are those of a pyramid, of different strides; each has convolutions of its own.

    Args:
        classes: Number of classes.
        labels: Names of the classes in the order of the outputs, or None.
        maps: Number of feature maps.

    Input `(batch, height, width, channels)` of a fixed size, or a list of as many as `maps`; output `(batch, positions,
    4 + classes)`, those of the first map first, row by row: left, top, right and bottom as shares of width and height,
    and the scores, all from 0 to 1.
    """

    TASK = "detection"

    def __init__(self, classes: int, *, labels: Sequence[str] | None = None, maps: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.keep_labels(labels, classes)
        self.classes = classes
        self.maps = maps
        self.branches = [self.sublayer(MapCandidates, f"map{number}", classes) for number in range(1, maps + 1)]
        self.join = self.sublayer(keras.layers.Concatenate, "candidates", axis=1, dtype="float32")

    def build(self, input_shape: Any) -> None:
        """Builds the layers for the sizes of the maps.

        Raises:
            ValueError: The features are no map, or leave their size open.
        """
        for branch, shape in zip(self.branches, self._shapes(input_shape), strict=True):
            if len(shape) != 4 or None in shape[1:3]:
                raise ValueError(
                    f"{self.name}: a detection head takes a map (rank 4) of a fixed size; these features have the "
                    f"shape {shape}."
                )
            branch.build(shape)

    def _shapes(self, input_shape: Any) -> list[Shape]:
        """Return the shape of each map; from a saved config they come as lists."""
        is_one = not isinstance(input_shape[0], list | tuple)
        return [tuple(shape) for shape in ([input_shape] if is_one else input_shape)]

    @property
    def cells(self) -> np.ndarray:
        """Middle, width and height of the position of each candidate, as shares of those of the image, `(n, 4)`."""
        return np.concatenate([branch.cells for branch in self.branches])

    def chain(self, rank: int) -> list[keras.Layer]:
        """The layer of the outputs."""
        return [self.join]

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Returns the candidates; in training all positions have their own scores, peaks or not."""
        maps = inputs if isinstance(inputs, list | tuple) else [inputs]
        found = [branch(x, training=training) for branch, x in zip(self.branches, maps, strict=True)]
        return found[0] if self.maps == 1 else self.join(found)

    def compute_output_spec(self, inputs: Any, training: bool | None = None) -> keras.KerasTensor:
        """Outputs in float32."""
        shapes = keras.tree.map_structure(lambda x: x.shape, inputs)
        return keras.KerasTensor(self.compute_output_shape(shapes), dtype="float32")

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Shape of the outputs."""
        shapes = self._shapes(input_shape)
        return (shapes[0][0], sum(shape[1] * shape[2] for shape in shapes), 4 + self.classes)


@keras.saving.register_keras_serializable("pocketzoo")
class MapCandidates(CompositeLayer):
    """The candidates of one feature map.

    One 1x1 convolution scores the classes, another one tells how far the edges of the box are from the middle of the
    position, so that there are no anchors (Zhou et al.: Objects as points, arXiv:1904.07850; distances as in FCOS,
    arXiv:1904.01355). In inference scores remain only where no neighbor has a higher one.

    Args:
        classes: Number of classes.

    Input `(batch, height, width, channels)` of a fixed size, output `(batch, height * width, 4 + classes)`.
    """

    def __init__(self, classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.classes = classes
        start = {"class_name": "RandomNormal", "config": {"stddev": 0.01}}
        self.logits = self.sublayer(
            keras.layers.Conv2D, "scores", classes, 1, kernel_initializer=start, bias_initializer=_constant(RARE)
        )
        self.lengths = self.sublayer(
            keras.layers.Conv2D, "lengths", 4, 1, kernel_initializer=start, bias_initializer=_constant(SHORT)
        )
        self.peaks = self.sublayer(PeakScores, "peaks", dtype="float32")
        self.distances = self.sublayer(keras.layers.Activation, "distances", "sigmoid", dtype="float32")
        self.boxes = self.sublayer(BoxesAround, "boxes", dtype="float32")
        self.join = self.sublayer(keras.layers.Concatenate, "candidates", axis=-1, dtype="float32")

    def build(self, input_shape: Shape) -> None:
        """Build the layers for the size of the map."""
        self.sides = (input_shape[1], input_shape[2])
        build_chain([self.logits, self.peaks], input_shape)
        build_chain([self.lengths, self.distances, self.boxes], input_shape)

    @property
    def cells(self) -> np.ndarray:
        """Middle, width and height of each position, as `DetectionHead.cells`."""
        middles = _middles(self.sides).reshape(-1, 2)
        return np.concatenate([middles, np.broadcast_to(1 / np.array(self.sides[::-1]), middles.shape)], axis=-1)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the candidates."""
        boxes = self.boxes(self.distances(self.lengths(inputs)))
        joined = self.join([boxes, self.peaks(self.logits(inputs), training=training)])
        return ops.reshape(joined, (-1, self.sides[0] * self.sides[1], 4 + self.classes))

    def compute_output_spec(self, inputs: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        """Outputs in float32."""
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype="float32")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the candidates."""
        return (input_shape[0], input_shape[1] * input_shape[2], 4 + self.classes)


@keras.saving.register_keras_serializable("pocketzoo")
class PeakScores(CompositeLayer):
    """The sigmoid of logits; in inference 0 where a neighbor in the 3x3 window has a clearly larger logit.

    A position keeps its score, less a share of it for each tenth of a unit by which the largest logit of the window is
    larger. A comparison would turn the rounding of an artifact into other scores. A step of 8-bit logits is about a
    tenth.

    Input and output `(batch, height, width, classes)`.
    """

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the scores."""
        scores = ops.sigmoid(inputs)
        if training:
            return scores
        best = ops.max_pool(inputs, 3, 1, "same", data_format="channels_last")
        return scores * ops.relu(1.0 - STEEPNESS * (best - inputs))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        return tuple(input_shape)


@keras.saving.register_keras_serializable("pocketzoo")
class BoxesAround(CompositeLayer):
    """Boxes by the distances of their edges from the middle of each position of the map, within the image.

    Input `(batch, height, width, 4)`: distances to left, top, right and bottom edge as shares of width and height.
    Output in the same shape: the edges as shares of width and height, from the left and from the top, 0 to 1. Nothing
    on the way is below 0 or above 1, so that 8 bits have steps of 1/256 throughout.
    """

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the boxes."""
        middles = _middles(inputs.shape[1:3])
        room = np.concatenate([middles, 1 - middles], axis=-1)[np.newaxis]
        edges = ops.relu(ops.convert_to_tensor(room, self.compute_dtype) - inputs)
        return ops.concatenate([edges[..., :2], 1.0 - edges[..., 2:]], axis=-1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        return tuple(input_shape)


def _middles(sides: Sequence[int]) -> np.ndarray:
    """Return x and y of the middle of each position of a map, as shares, `(height, width, 2)`."""
    rows, columns = ((np.arange(side) + 0.5) / side for side in sides)
    return np.stack(np.meshgrid(columns, rows), axis=-1)


def _constant(value: float) -> dict[str, Any]:
    return {"class_name": "Constant", "config": {"value": value}}
