"""Detection: a box and a class for each object in an image."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .boxes import found_in, true_in
from .detection_metrics import SURE, DetectionAccumulator
from .object_targets import NO_CLASS, ObjectTargets
from .picture_files import as_image
from .plots import CLASS_COLORS, draw_boxes
from .target_form import Warp
from .task import HeadConfig, Task, Upsampling

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

    from ..layers import DetectionHead

LEFT = 0.3
"""Share of a box that must remain in the image after augmentation; below it the object is dropped."""


class Detection(ObjectTargets, Task):
    """Candidates `(batch, candidates, 4 + classes)`: edges of a box and a score for each class; targets are float32
    `(count, most, 5)`, edges and class of each object, as many rows as the image with the most objects has."""

    name = "detection"
    takes_map = takes_maps = True
    output_axes = ("candidates", "4 + classes")
    is_likely = False
    target_form = (
        "left, top, right and bottom edge, as shares of width and height from 0 to 1, and the class of each object, "
        "(count, most, 5), filled up with rows of the class -1"
    )
    row_values = 5
    row_name = "box"
    feature_key = "object/boxes"
    losses = ("scores_and_boxes",)
    metric = "mAP"
    output_name = "candidates"
    output_meaning = (
        "candidates, of which each has left, top, right and bottom edge of a box, as shares of the image's width and "
        "height, and then a score from 0 to 1 for each class; an object is there where a score is at least 0.5, and of "
        "boxes of a class that overlap by 0.6 the best one"
    )
    loss_name = "mAP drop"
    allowed_loss = 0.02
    figure_name = "score"
    place_names = ("left", "top", "right", "bottom")
    draws_over = draws_targets = True

    def make_head(self, config: HeadConfig, name: str, upsampling: Callable[[], Upsampling]) -> "DetectionHead":
        """Return a head of one map or several."""
        from ..layers import DetectionHead

        return DetectionHead(config.num_outputs, labels=config.labels, maps=config.maps, name=name)

    def count_named(self, shape: Sequence[int | None]) -> int | None:
        """Return the number of classes."""
        return None if shape[-1] is None else shape[-1] - 4

    def _mistakes(self, targets: np.ndarray, num_outputs: int | None) -> list[tuple[np.ndarray, str]]:
        has_no_area = (targets[..., 2:4] <= targets[..., :2]).any(axis=-1) & (targets[..., 4] != NO_CLASS)
        return [*super()._mistakes(targets, num_outputs), (has_no_area, "has no area")]

    def warp_targets(self, targets: Any, warp: Warp) -> Any:
        """Move the boxes with their images; drop those of which less than 30 % remains in the image.

        A box after a rotation or shear is the one around the four moved corners.
        """
        import tensorflow as tf

        edges, classes = targets[..., :4], targets[..., 4:]
        corners = tf.reshape(tf.gather(edges, [0, 1, 2, 1, 0, 3, 2, 3], axis=-1), (tf.shape(edges)[0], -1, 2))
        moved = tf.reshape(warp.points(corners), (tf.shape(edges)[0], -1, 4, 2))
        around = tf.concat([tf.reduce_min(moved, axis=2), tf.reduce_max(moved, axis=2)], axis=-1)
        clipped = tf.clip_by_value(around, 0.0, 1.0)
        areas = [tf.reduce_prod(each[..., 2:] - each[..., :2], axis=-1, keepdims=True) for each in (clipped, around)]
        stays = (classes > NO_CLASS) & (areas[0] > LEFT * areas[1])
        nothing = tf.constant([0.0, 0.0, 0.0, 0.0, NO_CLASS])
        return tf.where(stays, tf.concat([clipped, classes], axis=-1), nothing)

    # Training and evaluation
    def training_metrics(self, num_outputs: int) -> list[Any]:
        """Return none: mean average precision needs all images."""
        return []

    def accumulator(self, labels: Sequence[str]) -> DetectionAccumulator:
        """Return the accumulator of a `DetectionEvaluation`."""
        return DetectionAccumulator(labels)

    def plot_examples(
        self,
        images: np.ndarray,
        targets: np.ndarray,
        outputs: np.ndarray,
        labels: Sequence[str],
        names: Sequence[str],
    ) -> "Figure":
        """Return the images with true boxes (dashed) and those that are found."""
        figure = super().plot_examples(images, targets, outputs, labels, names)
        for axes, target, output in zip(figure.axes, targets, outputs, strict=False):
            boxes, classes = true_in(target)
            draw_boxes(axes, boxes, classes, dashed=True)
            boxes, classes, scores = found_in(output)
            draw_boxes(axes, boxes[scores >= SURE], classes[scores >= SURE])
        return figure

    def caption(self, target: np.ndarray, output: np.ndarray, labels: Sequence[str]) -> tuple[str, bool]:
        """Return how many objects are found and true, and whether their classes differ."""
        (_, true), (_, found, scores) = true_in(target), found_in(output)
        found = found[scores >= SURE]
        return f"{len(found)} found, {len(true)} true", sorted(found.tolist()) != sorted(true.tolist())

    def equal_decisions(self, outputs: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """Return whether both find objects of a class or both find none, bool `(images, classes)`."""
        return _present(outputs) == _present(reference)

    # Predictions
    def predictions(self, output: np.ndarray, labels: Sequence[str], top: int | None) -> list[tuple[str, float]]:
        """Return the objects with a score of at least 0.5, the best first; the best one where none has."""
        _, classes, scores = _shown(output, top)
        return [(labels[index], float(score)) for index, score in zip(classes, scores, strict=True)]

    def places(self, output: np.ndarray, labels: Sequence[str], top: int | None) -> list[dict[str, float]]:
        """Return the edges of the boxes."""
        return [dict(zip(self.place_names, map(float, box), strict=True)) for box in _shown(output, top)[0]]

    def draw_over(self, image: "Image.Image", output: np.ndarray, labels: Sequence[str]) -> "Image.Image":
        """Return the image with the boxes of the objects that have a score of at least 0.5, and their classes."""
        found = [each for each in zip(*found_in(output), strict=True) if each[2] >= SURE]
        return _with_boxes(image, [(box, index, f"{labels[index]} {score:.0%}") for box, index, score in found])

    def draw_targets(self, images: np.ndarray, targets: np.ndarray, labels: Sequence[str]) -> np.ndarray:
        """Return the images with their boxes and classes."""
        true = ([(box, index, labels[index]) for box, index in zip(*true_in(each), strict=True)] for each in targets)
        return np.stack(
            [np.asarray(_with_boxes(as_image(image), boxes)) for image, boxes in zip(images, true, strict=True)]
        )


def _with_boxes(image: "Image.Image", boxes: Iterable[tuple[np.ndarray, int, str]]) -> "Image.Image":
    """Return the image in RGB with boxes in the colors of their classes; if it is large enough, with their texts."""
    from PIL import ImageDraw

    drawn = image.convert("RGB")
    pen, size = ImageDraw.Draw(drawn), np.array([image.width, image.height] * 2)
    for box, index, text in boxes:
        color, edges = CLASS_COLORS[index % len(CLASS_COLORS)], (box * (size - 1)).tolist()
        pen.rectangle(edges, outline=color, width=1 + max(image.size) // 300)
        if max(image.size) >= 200:
            pen.text(edges[:2], text, fill="white", stroke_width=1, stroke_fill=color)
    return drawn


def _present(outputs: np.ndarray) -> np.ndarray:
    return np.asarray((outputs[..., 4:] >= SURE).any(axis=1))


def _shown(output: np.ndarray, top: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    boxes, classes, scores = found_in(output)
    count = max(1, int((scores >= SURE).sum()))
    count = count if top is None else min(top, count)
    return boxes[:count], classes[:count], scores[:count]
