"""Counting: how many objects of each class there are, by a density whose sum is their number."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .count_metrics import CountAccumulator
from .object_targets import NO_CLASS, ObjectTargets, count_objects
from .picture_files import as_image, draw_cross
from .plots import CLASS_COLORS, draw_points
from .target_form import Warp
from .task import HeadConfig, Task, Upsampling

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure
    from PIL import Image

    from ..layers import DensityHead

OPACITY = 0.75
"""Of the highest density over an image, 0..1."""


class Counting(ObjectTargets, Task):
    """Densities `(batch, rows, columns, classes)` of objects, whose sum over a map is their number; targets are float32
    `(count, most, 3)`, x, y and class of each object, filled up with rows of the class -1."""

    name = "counting"
    takes_map = True
    output_axes = ("rows", "columns", "classes")
    is_likely = False
    trained_by = ("detection",)
    target_form = (
        "x and y (shares of width and height, 0 to 1) and the class of each object, (count, most, 3), filled up with "
        "rows of the class -1; or the boxes of a detection"
    )
    row_values = 3
    row_name = "point"
    feature_key = "object/points"
    losses = ("density",)
    metric = "mean absolute error"
    output_name = "density"
    output_meaning = (
        "a map of the density of objects for each class, which covers the image: the sum of all its values is their "
        "number, and that over a part of it the number there"
    )
    loss_name = "MAE rise"
    figure_name = "count"
    draws_over = draws_targets = True

    def make_head(self, config: HeadConfig, name: str, upsampling: Callable[[], Upsampling]) -> "DensityHead":
        """Return a head for the map as it is."""
        from ..layers import DensityHead

        return DensityHead(config.num_outputs, labels=config.labels, name=name)

    @property
    def titled(self) -> str:
        """The name, which takes no article."""
        return self.name

    # Targets
    def _with_axes(self, targets: np.ndarray) -> np.ndarray:
        """Replace boxes by their middles."""
        if targets.ndim == 3 and targets.shape[-1] == 5:
            middles = (targets[..., :2] + targets[..., 2:4]) / 2
            targets = np.concatenate([middles, targets[..., 4:]], axis=-1)
        return super()._with_axes(targets)

    def warp_targets(self, targets: Any, warp: Warp) -> Any:
        """Move the points with their images; those that leave the image are dropped."""
        import tensorflow as tf

        points, classes = warp.points(targets[..., :2]), targets[..., 2:]
        stays = (classes > NO_CLASS) & tf.reduce_all((points >= 0) & (points <= 1), axis=-1, keepdims=True)
        return tf.where(stays, tf.concat([points, classes], axis=-1), tf.constant([0.0, 0.0, NO_CLASS]))

    # Training and evaluation
    def training_metrics(self, num_outputs: int) -> list["keras.Metric"]:
        """Return the mean absolute error of a count."""
        import keras

        return [keras.metrics.MeanMetricWrapper(_count_error, name="mae")]

    def accumulator(self, labels: Sequence[str]) -> CountAccumulator:
        """Return the accumulator of a `CountEvaluation`."""
        return CountAccumulator(labels)

    def plot_examples(
        self,
        images: np.ndarray,
        targets: np.ndarray,
        outputs: np.ndarray,
        labels: Sequence[str],
        names: Sequence[str],
    ) -> "Figure":
        """Return the images with the density over them, and a white cross at each true object."""
        drawn = [heat_over(image, output) for image, output in zip(images, outputs, strict=True)]
        figure = super().plot_examples(np.stack(drawn), targets, outputs, labels, names)
        for axes, target in zip(figure.axes, targets, strict=False):
            draw_points(axes, target[target[:, 2] > NO_CLASS, :2], "+", color="white")
        return figure

    def caption(self, target: np.ndarray, output: np.ndarray, labels: Sequence[str]) -> tuple[str, bool]:
        """Return the count that is farthest off, and whether it is so by half an object or more."""
        true, found = count_objects(target[np.newaxis], len(labels))[0], output.sum(axis=(0, 1))
        index = int(np.abs(found - true).argmax())
        return f"{labels[index]}: {found[index]:.1f}, is {true[index]}", bool(abs(found[index] - true[index]) >= 0.5)

    # Predictions
    def predictions(self, output: np.ndarray, labels: Sequence[str], top: int | None) -> list[tuple[str, float]]:
        """Return the number of objects of each class, in the order of the labels."""
        return list(zip(labels, map(float, output.sum(axis=(0, 1), dtype="float64")), strict=True))

    def format_figure(self, figure: float) -> str:
        """Return two decimals."""
        return f"{figure:.2f}"

    def draw_over(self, image: "Image.Image", output: np.ndarray, labels: Sequence[str]) -> "Image.Image":
        """Return the image with the density over it, in a color for each class."""
        from PIL import Image

        return Image.fromarray(heat_over(np.asarray(image.convert("RGB")), output))

    def draw_targets(self, images: np.ndarray, targets: np.ndarray, labels: Sequence[str]) -> np.ndarray:
        """Return the images with a cross at each object, in a color for each class."""
        drawn = [as_image(image).convert("RGB") for image in images]
        for image, rows in zip(drawn, targets, strict=True):
            for x, y, index in rows[rows[:, 2] > NO_CLASS]:
                draw_cross(image, x, y, CLASS_COLORS[int(index) % len(CLASS_COLORS)])
        return np.stack([np.asarray(image) for image in drawn])


def heat_over(image: np.ndarray, density: np.ndarray) -> np.ndarray:
    """Return an image with densities over it, uint8 `(height, width, 3)`.

    The highest density is the most opaque; all are fainter where there is less than one object.

    Args:
        image: uint8 `(height, width, 1 or 3)`.
        density: `(rows, columns, classes)`.
    """
    from PIL import Image, ImageColor

    height, width = image.shape[:2]
    drawn = np.broadcast_to(image, (height, width, 3)).astype("float32")
    highest = max(float(density.max()), 1e-12) * max(1.0, 1 / max(float(density.sum()), 1e-12))
    for index, own in enumerate(np.moveaxis(density.astype("float32"), -1, 0)):
        share = Image.fromarray(own / highest * OPACITY).resize((width, height), Image.Resampling.BILINEAR)
        opacity = np.asarray(share)[..., np.newaxis].clip(0, 1)
        drawn = (1 - opacity) * drawn + opacity * np.array(
            ImageColor.getrgb(CLASS_COLORS[index % len(CLASS_COLORS)]), "float32"
        )
    return drawn.round().astype("uint8")


def _count_error(targets: Any, outputs: Any) -> Any:
    """Return the mean absolute error of the counts of each image, a tensor `(batch,)`."""
    from keras import ops

    true = ops.sum(ops.one_hot(ops.cast(targets[..., 2], "int32"), outputs.shape[-1]), axis=1)
    return ops.mean(ops.abs(ops.sum(outputs, axis=(1, 2)) - true), axis=-1)
