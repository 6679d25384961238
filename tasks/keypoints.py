"""Keypoints: named points of the one object in each image, such as joints or corners."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import InputError, shorten
from .keypoint_metrics import NEAR, KeypointAccumulator
from .mask_files import read_class_names
from .picture_files import as_image, draw_cross
from .plots import draw_points
from .table_values import parse_path
from .target_form import Labels, Table, Warp
from .task import HeadConfig, Task, Upsampling

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure
    from PIL import Image

    from ..layers import KeypointHead

VISIBLE = 0.5
"""Probability above which a point is shown."""
VISIBILITIES = (0, 1, 2)
"""Of a point in targets: not labeled, hidden, seen; as in COCO."""
OTHER_SIDE = {"left": "right", "right": "left", "l": "r", "r": "l"}
WORD = re.compile(r"[^\W\d_]+")


class Keypoints(Task):
    """Positions and scores `(batch, keypoints, 3)`: x and y as shares of width and height, and the probability that the
    point is visible. Targets are float32 in the same form, with visibility 0 of points that are not labeled, else 1 or
    2, as in COCO."""

    name = "keypoints"
    output_axes = ("keypoints", "x, y and score")
    takes_map = True
    target_form = (
        "x, y (shares of width and height, 0 to 1) and visibility (0, 1 or 2) of each point, (count, keypoints, 3); "
        "(count, keypoints, 2) where all are visible"
    )
    column = "keypoints"
    feature_key = "keypoints"
    losses = ("keypoint_distance",)
    metric = "PCK"
    output_name = "keypoints"
    output_meaning = (
        "x, y (shares of the image's width and height, from the left and the top) and the probability that it is "
        "visible, for each keypoint"
    )
    loss_name = "PCK drop"
    figure_name = "score"
    place_names = ("x", "y")
    draws_over = draws_targets = True
    is_likely = False

    def make_head(self, config: HeadConfig, name: str, upsampling: Callable[[], Upsampling]) -> "KeypointHead":
        """Return a head with a map of scores for each keypoint."""
        from ..layers import KeypointHead

        return KeypointHead(config.num_outputs, labels=config.labels, name=name)

    def count_named(self, shape: Sequence[int | None]) -> int | None:
        """Return the number of keypoints."""
        return shape[0]

    def target_shape(self, num_outputs: int | None, sides: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return `(keypoints, 3)`."""
        return (num_outputs, 3)

    def fits_image(self, shape: tuple[int, ...], num_outputs: int | None, sides: tuple[int, ...]) -> bool:
        """Return whether there are x, y and visibility of each keypoint."""
        return shape == (num_outputs, 3)

    def has_form(self, targets: Any) -> bool:
        """Return False: masks have the same number of axes, so the task is always stated."""
        return False

    def _with_axes(self, targets: np.ndarray) -> np.ndarray:
        """Add the visibility of points that are all visible, and set the places of those that are not labeled to 0."""
        if targets.ndim != 3 or targets.shape[-1] not in (2, 3) or targets.dtype.kind not in self.target_kinds:
            return targets
        if targets.shape[-1] == 2:
            targets = np.concatenate([targets, np.ones((*targets.shape[:-1], 1), targets.dtype)], axis=-1)
        return np.where(targets[..., 2:] == 0, np.zeros((), targets.dtype), targets)

    def _check_values(self, targets: np.ndarray, what: str, num_outputs: int | None) -> None:
        visible = targets[..., 2]
        if not np.isin(visible, VISIBILITIES).all():
            row, point = np.argwhere(~np.isin(visible, VISIBILITIES))[0]
            raise InputError(
                f"{what} have the visibility {visible[row, point]:g} for point {point} of row {row}; it takes 0 (not "
                "labeled), 1 or 2."
            )
        outside = ~((targets[..., :2] >= 0) & (targets[..., :2] <= 1)).all(axis=-1) & (visible > 0)
        if outside.any():
            row, point = np.argwhere(outside)[0]
            x, y = targets[row, point, :2]
            raise InputError(
                f"{what} have point {point} of row {row} at ({x:g}, {y:g}); x and y are shares of width and height, "
                "from 0 to 1, and points outside of the image have the visibility 0."
            )

    def count_outputs(self, targets: np.ndarray) -> int:
        """Return the number of keypoints."""
        return targets.shape[1]

    def read_table(self, table: Table, columns: Mapping[str, str]) -> tuple[Labels | None, np.ndarray]:
        """Return the keypoints in the column, in pixels there, and their names in the `keypoints.txt` beside the table.

        A cell has x, y and visibility of each point, as in `12 30.5 2; 40 31 1; 0 0 0`.
        """
        from ..core.encoded_images import read_header
        from ..core.input_files import open_file
        from ..core.limits import IMAGE_BYTES

        column = columns["keypoints"]
        points = table.read(column, _parse_points)
        paths = [table.path.parent / value for value in table.read("image", parse_path)]
        counts = {len(each) for each in points}
        if len(counts) > 1:
            raise InputError(
                f"{table.path}: column {column!r} has {min(counts)} to {max(counts)} points; it takes "
                "as many in each row."
            )
        shares = np.stack(points)
        for row, path in enumerate(paths):
            with open_file(path, IMAGE_BYTES) as file:
                height, width = read_header(file, path).size
            shares[row, :, :2] /= (width, height)
            check_inside(shares[row], path, (height, width))
        names_file = table.path.parent / f"{column}.txt"
        names = read_class_names(names_file) if names_file.exists() else tuple(map(str, range(counts.pop())))
        if len(names) != shares.shape[1]:
            raise InputError(
                f"{names_file} names {len(names)} points, but column {column!r} of {table.path} has {shares.shape[1]}."
            )
        return names, self.check_targets(shares, f"the keypoints of {table.path}")

    def encode(self, target: np.ndarray) -> np.ndarray:
        """Return x, y and visibility of all points in a row."""
        return target.astype("float32").ravel()

    def decode(self, values: np.ndarray, num_outputs: int) -> np.ndarray:
        """Return x, y and visibility, `(keypoints, 3)`."""
        if len(values) != 3 * num_outputs or values.dtype.kind != "f" or not np.isfinite(values).all():
            raise ValueError(f"is {values.tolist()}; it takes x, y and visibility of {num_outputs} points.")
        return values.astype("float32").reshape(num_outputs, 3)

    def warp_targets(self, targets: Any, warp: Warp) -> Any:
        """Move the points with their images; those that leave the image are not labeled any more."""
        import tensorflow as tf

        points = warp.points(targets[..., :2])
        is_inside = tf.reduce_all((points >= 0) & (points <= 1), axis=-1, keepdims=True)
        moved = tf.concat([points, targets[..., 2:]], axis=-1)
        return tf.where(is_inside & (targets[..., 2:] > 0), moved, 0.0)

    def mirror_targets(self, targets: Any, mirrored: Any, labels: Sequence[str]) -> Any:
        """Exchange the points that are named left and right."""
        import tensorflow as tf

        if not labels:
            return targets
        exchanged = tf.gather(targets, mirrored_order(labels), axis=1)
        return tf.where(mirrored[:, tf.newaxis, tf.newaxis], exchanged, targets)

    def training_metrics(self, num_outputs: int) -> list["keras.Metric"]:
        """Return the PCK."""
        import keras

        return [keras.metrics.MeanMetricWrapper(_found, name="pck")]

    def accumulator(self, labels: Sequence[str]) -> "KeypointAccumulator":
        """Return the accumulator of a `KeypointEvaluation`."""
        return KeypointAccumulator(labels)

    def plot_examples(
        self,
        images: np.ndarray,
        targets: np.ndarray,
        outputs: np.ndarray,
        labels: Sequence[str],
        names: Sequence[str],
    ) -> "Figure":
        """Return the images with true points (rings) and predicted ones (crosses)."""
        figure = super().plot_examples(images, targets, outputs, labels, names)
        for axes, target, output in zip(figure.axes, targets, outputs, strict=False):
            draw_points(axes, target[target[:, 2] > 0, :2], "o")
            draw_points(axes, output[output[:, 2] > VISIBLE, :2], "x")
        return figure

    def caption(self, target: np.ndarray, output: np.ndarray, labels: Sequence[str]) -> tuple[str, bool]:
        """Return the point that is farthest off, and whether any is too far."""
        distance = np.where(target[:, 2] > 0, np.hypot(*(target - output)[:, :2].T), 0)
        index = int(distance.argmax())
        return f"{labels[index]}: {distance[index]:.1%} off", bool((distance > NEAR).any())

    def predictions(self, output: np.ndarray, labels: Sequence[str], top: int | None) -> list[tuple[str, float]]:
        """Return the points with their scores, in the order of the labels."""
        return [(label, float(score)) for label, score in zip(labels, output[:, 2], strict=True)]

    def places(self, output: np.ndarray, labels: Sequence[str], top: int | None) -> list[dict[str, float]]:
        """Return x and y of each point."""
        return [{"x": float(x), "y": float(y)} for x, y, _ in output]

    def draw_over(self, image: "Image.Image", output: np.ndarray, labels: Sequence[str]) -> "Image.Image":
        """Return the image with a cross at each point that is probably visible, and its name."""
        from PIL import ImageDraw

        drawn = image.convert("RGB")
        pen = ImageDraw.Draw(drawn)
        for label, (x, y, score) in zip(labels, output, strict=True):
            if score > VISIBLE:
                draw_cross(drawn, x, y, "yellow")
                if max(image.size) >= 200:
                    beside = (x * image.width + max(image.size) // 60, y * image.height)
                    pen.text(beside, str(label), fill="yellow", stroke_width=1, stroke_fill="black")
        return drawn

    def draw_targets(self, images: np.ndarray, targets: np.ndarray, labels: Sequence[str]) -> np.ndarray:
        """Return the images with a cross at each point that is labeled."""
        pairs = zip(images, targets, strict=True)
        return np.stack([np.asarray(self.draw_over(as_image(image), target, labels)) for image, target in pairs])


def mirrored_order(labels: Sequence[str]) -> list[int]:
    """Return the index of the point that takes the place of each one in a mirrored image: of left, right."""
    names = [label.lower() for label in labels]
    swapped = [WORD.sub(lambda word: OTHER_SIDE.get(word[0], word[0]), name) for name in names]
    return [names.index(other) if other in names else index for index, other in enumerate(swapped)]


def _parse_points(value: str) -> np.ndarray:
    """Return x, y and visibility of each point, float32 `(points, 3)`."""
    points = [part.split() for part in value.split(";") if part.strip()]
    if not points or any(len(point) != 3 for point in points):
        raise ValueError(f"{shorten(value)!r} has no x, y and visibility for each point, as in '12 30.5 2; 40 31 1'.")
    try:
        parsed = np.array(points, "float32")
    except ValueError:
        raise ValueError(f"{shorten(value)!r} has a value that is no number.") from None
    for index, visibility in enumerate(parsed[:, 2]):
        if visibility not in VISIBILITIES:
            raise ValueError(
                f"{shorten(value)!r} has the visibility {visibility:g} for point {index}; it takes 0 (not labeled), 1 "
                "or 2."
            )
    return parsed


def check_inside(points: np.ndarray, where: str | Path, size: tuple[int, int]) -> None:
    """Raise InputError where a labeled point is outside of its image.

    Args:
        points: Of an image, `(keypoints, 3)`: x and y as shares, and visibility.
        where: Place of the points, for the message.
        size: Height and width of the image.
    """
    for index, (x, y, visible) in enumerate(points):
        if visible > 0 and not (0 <= x <= 1 and 0 <= y <= 1):
            height, width = size
            place = f"({x * width:g}, {y * height:g})"
            raise InputError(
                f"{where}: point {index} is at {place}, outside of its {width}x{height} pixels; its visibility takes 0."
            )


def _found(targets: Any, outputs: Any) -> Any:
    """Return the share of labeled points of each image that are near, a tensor `(batch,)`."""
    from keras import ops

    labeled = ops.cast(targets[..., 2] > 0, "float32")
    far = ops.norm(targets[..., :2] - outputs[..., :2], axis=-1)
    return ops.sum(labeled * ops.cast(far <= NEAR, "float32"), axis=-1) / ops.maximum(ops.sum(labeled, axis=-1), 1.0)
