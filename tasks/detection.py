"""Detection: a box and a class for each object in an image."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import InputError
from .boxes import NO_CLASS, found_in, padded, true_in
from .detection_metrics import SURE, DetectionAccumulator
from .plots import draw_boxes
from .target_form import Warp
from .task import HeadConfig, Task, Upsampling

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

    from ..layers import DetectionHead

LEFT = 0.3
"""Share of a box that must remain in the image after augmentation; below it the object is dropped."""
TOLERANCE = 1e-3
"""Share of the image by which edges may be outside of it by rounding."""
COLORS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#42d4f4", "#f032e6")
"""Of boxes, by class."""


class Detection(Task):
    """Candidates `(batch, candidates, 4 + classes)`: edges of a box and a score for each class; targets are float32
    `(count, most, 5)`, edges and class of each object, as many rows as the image with the most objects has."""

    name = "detection"
    takes_map = True
    output_axes = ("candidates", "4 + classes")
    is_likely = False
    target_form = (
        "left, top, right and bottom edge, as shares of width and height from 0 to 1, and the class of each object, "
        "(count, most, 5), filled up with rows of the class -1"
    )
    feature_key = "object/boxes"
    losses = ("scores_and_boxes",)
    metric = "mAP"
    output_name = "candidates"
    output_meaning = (
        "candidates, of which each has left, top, right and bottom edge of a box, as shares of the image's width and "
        "height, and then a score from 0 to 1 for each class; an object is there where a score is at least 0.5"
    )
    loss_name = "mAP drop"
    allowed_loss = 0.02
    figure_name = "score"
    has_places = True

    def make_head(self, config: HeadConfig, name: str, upsampling: Callable[[], Upsampling]) -> "DetectionHead":
        """Return a head of one map."""
        from ..layers import DetectionHead

        return DetectionHead(config.num_outputs, labels=config.labels, name=name)

    def count_named(self, shape: Sequence[int | None]) -> int | None:
        """Return the number of classes."""
        return None if shape[-1] is None else shape[-1] - 4

    # Targets
    def target_shape(self, num_outputs: int | None, sides: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return `(most, 5)`."""
        return (None, 5)

    def fits_image(self, shape: tuple[int, ...], num_outputs: int | None, sides: tuple[int, ...]) -> bool:
        """Return whether there are edges and class of each object."""
        return shape[1:] == (5,)

    def has_form(self, targets: Any) -> bool:
        """Return False: masks have the same number of axes, so the task is always stated."""
        return False

    @property
    def may_lack_classes(self) -> bool:
        """True: a class may have no object."""
        return True

    def _with_axes(self, targets: np.ndarray) -> np.ndarray:
        """Clip edges that are outside by rounding, and set those of rows that are no object to 0."""
        if targets.ndim != 3 or targets.shape[-1] != 5 or targets.dtype.kind not in self.target_kinds:
            return targets
        targets = targets.astype("float64")
        edges, classes = targets[..., :4], targets[..., 4:]
        is_near = (edges > -TOLERANCE) & (edges < 1 + TOLERANCE)
        edges = np.where(is_near, edges.clip(0, 1), edges)
        return np.concatenate([np.where(classes == NO_CLASS, 0.0, edges), classes], axis=-1)

    def _check_values(self, targets: np.ndarray, what: str, num_outputs: int | None) -> None:
        if not np.isfinite(targets).all():
            raise InputError(f"{what} have a value that is no finite number; a {self.name} takes {self.target_form}.")
        edges, classes = targets[..., :4], targets[..., 4]
        real = classes != NO_CLASS
        most = np.inf if num_outputs is None else num_outputs - 1
        for is_wrong, what_is_wrong in (
            (real & ((classes < 0) | (classes > most) | (classes != np.floor(classes))), "a class that is none"),
            (real & ((edges < 0) | (edges > 1)).any(axis=-1), "edges outside of 0 to 1"),
            (real & ((edges[..., 2:] <= edges[..., :2]).any(axis=-1)), "no area"),
        ):
            if is_wrong.any():
                row, box = np.argwhere(is_wrong)[0]
                found = ", ".join(f"{value:g}" for value in targets[row, box])
                raise InputError(f"{what} have the box {found} in row {row}, which has {what_is_wrong}.")

    def class_out_of_range(self, targets: np.ndarray, num_outputs: int | None) -> int | None:
        """Return a class that is not below `num_outputs`."""
        highest = int(targets[..., 4].max()) if targets.size else NO_CLASS
        return highest if num_outputs is not None and highest >= num_outputs else None

    def count_outputs(self, targets: np.ndarray) -> int:
        """Return the number of classes."""
        return max(1, int(targets[..., 4].max()) + 1) if targets.size else 1

    def encode(self, target: np.ndarray) -> np.ndarray:
        """Return edges and class of all objects in a row."""
        return target[target[:, 4] != NO_CLASS].astype("float32").ravel()

    def decode(self, values: np.ndarray, num_outputs: int) -> np.ndarray:
        """Return edges and class of the objects, `(objects, 5)`."""
        rows = values.astype("float32").reshape(-1, 5) if len(values) % 5 == 0 else None
        try:
            if rows is None or (len(rows) and values.dtype.kind != "f"):
                raise InputError("no rows of 5 floats")
            self._check_values(rows[np.newaxis], "they", num_outputs)
        except InputError:
            raise ValueError(f"is {values.tolist()}; it takes edges and class of each object.") from None
        return rows

    def stack(self, targets: Sequence[np.ndarray | int]) -> np.ndarray:
        """Return the targets filled up to as many rows as the image with the most objects has."""
        return padded([np.asarray(target).reshape(-1, 5) for target in targets])

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
        names = ("left", "top", "right", "bottom")
        return [dict(zip(names, map(float, box), strict=True)) for box in _shown(output, top)[0]]

    def draw_over(self, image: "Image.Image", output: np.ndarray, labels: Sequence[str]) -> "Image.Image":
        """Return the image with the boxes of the objects that have a score of at least 0.5, and their classes."""
        from PIL import ImageDraw

        drawn = image.convert("RGB")
        pen, size = ImageDraw.Draw(drawn), np.array([image.width, image.height] * 2)
        for box, index, score in zip(*found_in(output), strict=True):
            if score >= SURE:
                color, edges = COLORS[index % len(COLORS)], (box * (size - 1)).tolist()
                pen.rectangle(edges, outline=color, width=1 + max(image.size) // 300)
                if max(image.size) >= 200:
                    pen.text(edges[:2], f"{labels[index]} {score:.0%}", fill="white", stroke_width=1, stroke_fill=color)
        return drawn


def _present(outputs: np.ndarray) -> np.ndarray:
    return np.asarray((outputs[..., 4:] >= SURE).any(axis=1))


def _shown(output: np.ndarray, top: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    boxes, classes, scores = found_in(output)
    count = max(1, int((scores >= SURE).sum()))
    count = count if top is None else min(top, count)
    return boxes[:count], classes[:count], scores[:count]
