"""Anomaly detection: how unlike good images each pixel is; models are fitted to good images alone."""

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import InputError
from .anomaly_metrics import THRESHOLD, AnomalyAccumulator, image_scores, kinds_of
from .picture_files import as_image
from .plots import plot_pictures
from .table_values import parse_label
from .target_form import Labels, Table, Warp
from .task import HeadConfig, Task, Upsampling

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

    from ..layers import Head

GOOD = "good"
"""Name of what has no defect: of a folder, in a table, and the first label."""
PASTED = (0.1, 0.4)
"""Range of the sides of parts that are pasted into images for calibration, as shares of the image's."""
OPACITY = 0.8
"""Of a score of 1 over the image, 0..1."""


class Anomaly(Task):
    """Scores `(batch, height, width, 1)` from 0 to 1; the highest is that of the image, and 0.5 is the threshold.

    Targets are masks, int32 `(count, height, width)`: 0 where an image is good, or the index of a kind of defect. Where
    only the image is known to have the defect of index k, all pixels are -k.
    """

    name = "anomaly"
    made_by = "training.fit_anomaly (`pocketzoo fit-anomaly`)"
    min_outputs = None
    meaning = "scores of anomalies"
    covers_image = takes_map = True
    output_axes = ("height", "width", "outputs")
    is_likely = False
    target_dtype = "int32"
    target_kinds = "iub"
    target_form = (
        "whole numbers, 0 for good and from 1 on for kinds of defects: masks (count, height, width), or one for each "
        "image (count,)"
    )
    class_indices = True
    column = "defect"
    in_files = True
    feature_key = "defect/encoded"
    metric = "image AUROC"
    output_name = "anomaly"
    output_meaning = (
        "a score from 0 to 1 for each pixel; the highest is that of the image, which has an anomaly where it is 0.5 or "
        "more"
    )
    loss_name = "image AUROC drop"
    figure_name = "anomaly score"
    place_names = ("x", "y")
    draws_over = draws_targets = True

    def make_head(self, config: HeadConfig, name: str, upsampling: Callable[[], Upsampling]) -> "Head":
        """Return a head for a map of distances in the form of the features."""
        from ..layers import AnomalyHead

        strides, crop = upsampling()
        return AnomalyHead(strides=strides, crop=crop, name=name)

    # Targets

    def target_shape(self, num_outputs: int | None, sides: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return `(height, width)`."""
        return tuple(sides)

    def fits_image(self, shape: tuple[int, ...], num_outputs: int | None, sides: tuple[int, ...]) -> bool:
        """Return whether targets are masks of that size, or one number for each image."""
        return shape == (1, 1) or super().fits_image(shape, num_outputs, sides)

    def fill_image(self, targets: np.ndarray, sides: tuple[int, ...]) -> np.ndarray:
        """Return masks; a number for an image is that of all its pixels."""
        return np.broadcast_to(targets, (len(targets), *sides))

    def _with_axes(self, targets: np.ndarray) -> np.ndarray:
        return -np.abs(targets.astype("int64")).reshape(-1, 1, 1) if targets.ndim == 1 else targets

    def count_outputs(self, targets: np.ndarray) -> int:
        """Return the number of kinds of defects, and one for good."""
        return int(np.abs(targets).max(initial=0)) + 1

    def class_out_of_range(self, targets: np.ndarray, num_outputs: int | None) -> int | None:
        """Return an index that is of no kind; None if there is none."""
        return super().class_out_of_range(np.abs(targets), num_outputs)

    def default_labels(self, targets: np.ndarray, ignore: int | None) -> Labels:
        """Return `good` and `defect`, or the index of each kind.

        Raises:
            InputError: A kind does not occur, as where masks are 0 and 255.
        """
        kinds = np.unique(np.abs(targets))
        kinds = kinds[kinds > 0]
        if len(kinds) and kinds[-1] != len(kinds):
            raise InputError(
                f"the targets have the kind of defect {kinds[-1]}, but {len(kinds)} kinds; they are numbered from 1 "
                "on, 0 is good, so divide masks of 0 and 255 by 255."
            )
        return (GOOD, "defect") if len(kinds) < 2 else (GOOD, *map(str, kinds))

    def read_table(self, table: Table, columns: Mapping[str, str]) -> tuple[Labels, np.ndarray]:
        """Return the kinds of defects in alphabetical order after `good`, and targets without places.

        Raises:
            InputError: No image is good.
        """
        values = table.read(columns["defect"], parse_label)
        if GOOD not in values:
            raise InputError(f"{table.path}: column {columns['defect']!r} has no {GOOD!r}, for images without defects.")
        labels = (GOOD, *sorted({*values} - {GOOD}))
        indices = {label: index for index, label in enumerate(labels)}
        return labels, -np.array([indices[value] for value in values], "int32").reshape(-1, 1, 1)

    def encode_file(self, target: np.ndarray) -> bytes:
        """Return a PNG whose pixels are indices of kinds; of one pixel for good images and unknown places."""
        from PIL import Image

        content = BytesIO()
        whole = target[:1, :1] if (target <= 0).all() else target
        Image.fromarray(np.abs(whole).astype("uint8")).save(content, "PNG")
        return content.getvalue()

    def decode_file(self, encoded: bytes, name: str) -> np.ndarray:
        """Return the target in a file of `encode_file`."""
        from ..core.encoded_images import read_values

        kinds = read_values(encoded, name)[..., 0].astype("int32")
        return -kinds if kinds.shape == (1, 1) else kinds

    def check_size(self, size: tuple[int, int], name: str, image_size: tuple[int, int]) -> None:
        """Raises InputError where a mask has not the height and width of its image."""
        if size != (1, 1):
            super().check_size(size, name, image_size)

    def resize_target(self, target: np.ndarray, height: int, width: int) -> np.ndarray:
        """Return the nearest pixels, and at least one of each defect."""
        from PIL import Image

        if target.shape == (1, 1):
            return np.full((height, width), target[0, 0], "int32")
        resized = np.array(Image.fromarray(target).resize((width, height), Image.Resampling.NEAREST))
        for kind in np.setdiff1d(target, resized):
            row, column = np.argwhere(target == kind)[0] * (height, width) // target.shape
            resized[row, column] = kind
        return resized

    def warp_targets(self, targets: Any, warp: Warp) -> Any:
        """Move masks with their images, by the nearest pixel."""
        return warp(targets[..., None], interpolation="nearest")[..., 0]

    def target_text(self, target: np.ndarray, labels: Sequence[str]) -> str:
        """Return the kind of defect."""
        return str(labels[kinds_of(target[np.newaxis])[0]])

    # Outputs

    def calibration_images(self, images: np.ndarray) -> np.ndarray:
        """Return the images with a part of another one pasted into every second one, as in CutPaste (arXiv:2104.04015):
        ranges of good images alone would end below the scores of defects."""
        changed, random = np.array(images), np.random.default_rng(0)
        sides = np.array(changed.shape[1:3])
        for row in range(0, len(changed), 2):
            size = np.maximum(1, (sides * random.uniform(*PASTED, 2)).astype(int))
            (y, x), (from_y, from_x) = random.integers(0, sides - size + 1, (2, 2))
            part = images[(row + 1) % len(images)][from_y : from_y + size[0], from_x : from_x + size[1]]
            changed[row, y : y + size[0], x : x + size[1]] = part
        return changed

    def accumulator(self, labels: Sequence[str]) -> AnomalyAccumulator:
        """Return the accumulator of an `AnomalyEvaluation`."""
        return AnomalyAccumulator(labels)

    def plot_examples(
        self,
        images: np.ndarray,
        targets: np.ndarray,
        outputs: np.ndarray,
        labels: Sequence[str],
        names: Sequence[str],
    ) -> "Figure":
        """Return the image, its mask and the heat map side by side."""
        marked = np.broadcast_to(targets[..., np.newaxis] != 0, outputs.shape)
        heat = self._heat(images, outputs)
        scored = [f"{name} {score:.2f}" for name, score in zip(names, image_scores(outputs), strict=True)]
        return plot_pictures(images, (marked * 255).astype("uint8"), heat, scored)

    def equal_decisions(self, outputs: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """Return whether both find an anomaly in an image, or none."""
        decided = [image_scores(each) >= THRESHOLD for each in (outputs, reference)]
        return (decided[0] == decided[1])[:, np.newaxis]

    def predictions(self, output: np.ndarray, labels: Sequence[str], top: int | None) -> list[tuple[str, float]]:
        """Return whether the image is good, and its score."""
        score = float(output.max())
        return [("defect" if score >= THRESHOLD else GOOD, score)]

    def format_figure(self, figure: float) -> str:
        """Return three digits after the point."""
        return f"{figure:.3f}"

    def places(self, output: np.ndarray, labels: Sequence[str], top: int | None) -> list[dict[str, float]]:
        """Return where the score is the highest."""
        rows, columns = output.shape[:2]
        row, column = np.unravel_index(output[..., 0].argmax(), (rows, columns))
        return [{"x": float((column + 0.5) / columns), "y": float((row + 0.5) / rows)}]

    def draw_over(self, image: "Image.Image", output: np.ndarray, labels: Sequence[str]) -> "Image.Image":
        """Return the image under a heat map: the higher the score, the more opaque, from yellow to red."""
        from PIL import Image

        drawn = image.convert("RGB")
        score = np.asarray(
            Image.fromarray(output[..., 0].astype("float32")).resize(drawn.size, Image.Resampling.BILINEAR)
        )
        score = score.clip(0, 1)[..., np.newaxis]
        color = np.concatenate([np.full_like(score, 255), 255 * (1 - score), np.zeros_like(score)], axis=-1)
        mixed = (1 - OPACITY * score) * np.asarray(drawn) + OPACITY * score * color
        return Image.fromarray(mixed.round().astype("uint8"))

    def draw_targets(self, images: np.ndarray, targets: np.ndarray, labels: Sequence[str]) -> np.ndarray:
        """Return the images with known places of defects in red."""
        return self._heat(images, (targets > 0)[..., np.newaxis])

    def _heat(self, images: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """Return images under their heat maps, uint8 `(count, height, width, 3)`."""
        return np.stack(
            [
                np.asarray(self.draw_over(as_image(image), output, ()))
                for image, output in zip(images, outputs, strict=True)
            ]
        )
