"""The head of keypoints: maps of scores, and the expected position of each."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from .composite import Shape, build_chain, call_chain
from .heads import Head


@keras.saving.register_keras_serializable("pocketzoo")
class KeypointHead(Head):
    """A feature map to the position and the score of each keypoint.

    A 1x1 convolution scores every position of the map. The position of a keypoint along one axis is the expectation
    over the softmax of the best scores along the other axis: the soft-argmax (Sun et al.: Integral human pose
    regression, arXiv:1711.08229), axis by axis as in SimCC (arXiv:2107.03332), since the softmax over all positions at
    once has shares that 8 bits round to 0. Its score is the sigmoid of the best one.

    Args:
        classes: Number of keypoints.
        labels: Names of the keypoints in the order of the outputs, or None.

    Input `(batch, height, width, channels)` of a fixed size, output `(batch, classes, 3)`: x and y as shares of width
    and height, from 0 to 1, and the probability that the keypoint is visible.
    """

    TASK = "keypoints"

    def __init__(self, classes: int, *, labels: Sequence[str] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.keep_labels(labels, classes)
        self.classes = classes
        # Five times as large as usual: shares that are nearly equal teach slowly.
        start = {"class_name": "VarianceScaling", "config": {"scale": 25.0, "mode": "fan_avg"}}
        self.scores = self.sublayer(keras.layers.Conv2D, "scores", classes, 1, kernel_initializer=start)
        self.best = self.sublayer(keras.layers.GlobalMaxPooling2D, "best")
        self.visible = self.sublayer(keras.layers.Activation, "visible", "sigmoid", dtype="float32")
        self.as_column = self.sublayer(keras.layers.Reshape, "as_column", (classes, 1), dtype="float32")
        self.join = self.sublayer(keras.layers.Concatenate, "keypoints", axis=-1, dtype="float32")

    def build(self, input_shape: Shape) -> None:
        """Builds the layers for the size of the map.

        Raises:
            ValueError: The features are no map, leave their size open, or have a single row or column, of which the
                expected position is always the middle.
        """
        if len(input_shape) != 4 or None in input_shape[1:3]:
            raise ValueError(
                f"{self.name}: a keypoints head takes a map (rank 4) of a fixed size; these features have the shape "
                f"{tuple(input_shape)}."
            )
        _, height, width, _ = input_shape
        if min(height, width) < 2:
            raise ValueError(
                f"{self.name}: a keypoints head takes a map of 2x2 positions or more, between which points are; these "
                f"features have {height}x{width}: take larger images, or a model of a smaller stride."
            )
        maps = build_chain([self.scores], input_shape)
        self.across = self._positions("across", (height, 1), width)
        self.down = self._positions("down", (1, width), height)
        for chain, length in ((self.across, width), (self.down, height)):
            build_chain(chain, maps)
            # Centered on 0, so that rounding of small shares moves nothing far.
            chain[-1].kernel.assign((np.arange(length)[:, np.newaxis] + 0.5) / length - 0.5)
        build_chain([self.best, self.visible, self.as_column], maps)

    def _positions(self, name: str, pool: tuple[int, int], length: int) -> list[keras.Layer]:
        """Return the layers from the maps of scores to the expected position along one axis, `(batch, classes, 1)`."""
        options: dict[str, Any] = {"dtype": "float32"}
        return [
            self.sublayer(keras.layers.MaxPooling2D, f"{name}_best", pool),
            self.sublayer(keras.layers.Reshape, f"{name}_line", (length, self.classes)),
            self.sublayer(keras.layers.Permute, f"{name}_lines", (2, 1)),
            self.sublayer(keras.layers.Softmax, f"{name}_shares", **options),
            self.sublayer(
                keras.layers.Dense, f"{name}_expected", 1, trainable=False, bias_initializer=_half(), **options
            ),
        ]

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Returns positions and scores."""
        maps = self.scores(inputs)
        x, y = (call_chain(chain, maps, training) for chain in (self.across, self.down))
        return self.join([x, y, call_chain([self.best, self.visible, self.as_column], maps, training)])

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Shape of the outputs."""
        return (input_shape[0], self.classes, 3)

    @property
    def trainable(self) -> bool:
        """Whether the convolution is trained; the expectations never are."""
        return bool(super().trainable)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        keras.Layer.trainable.fset(self, value)  # type: ignore[attr-defined]  # a property of Keras
        for chain in (getattr(self, "across", ()), getattr(self, "down", ())):
            for layer in chain[-1:]:
                layer.trainable = False


def _half() -> dict[str, Any]:
    return {"class_name": "Constant", "config": {"value": 0.5}}
