"""Image to image: a picture made of each image, such as a denoised, enlarged or colored one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..core.errors import InputError
from .accumulator import Accumulator
from .bootstrap import intervals, mean_of
from .evaluation import BaseEvaluation, Row
from .picture_files import as_image, decode_picture, displayed, resize_picture
from .plots import plot_pictures
from .similarity import PEAKS, peak_of, psnr, structural_similarity
from .table_values import parse_path
from .target_form import Labels, Table, Warp
from .task import HeadConfig, Task, Upsampling

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure
    from PIL import Image

    from ..layers import ImageHead

COLORS = {1: ("gray",), 3: ("red", "green", "blue")}
"""Names of channels by their number."""


class ImageToImage(Task):
    """Pictures `(batch, height, width, channels)`, unbounded, near 0..255 from a head of the zoo; targets are float32
    of the same shape and unit, as large as the images or a whole number of times as large along each axis."""

    name = "image_to_image"
    keras_losses = ("mean_squared_error", "mean_absolute_error", "huber_loss", "huber", "log_cosh")
    covers_image = takes_map = True
    output_axes = ("height", "width", "channels")
    target_form = (
        "finite numbers (count, height, width, channels) or (count, height, width), of the size of the images or a "
        "multiple of it"
    )
    column = "target"
    in_files = True
    may_enlarge = True
    draws_targets = True
    layout = "pairs"
    folder_words: ClassVar = {
        **dict.fromkeys(
            ("noisy", "lr", "low", "degraded", "blurry", "blurred", "corrupted", "source", "sources"), "images"
        ),
        **dict.fromkeys(("clean", "hr", "high", "sharp", "restored", "output", "outputs"), "masks"),
    }
    feature_key = "target/encoded"
    has_colors = True
    losses = ("mae", "mse", "charbonnier", "ssim", "huber")
    metric = "PSNR"
    output_name = "picture"
    output_meaning = (
        "a picture: the values of its channels at each pixel, in the unit of the pictures it was trained on"
    )
    loss_name = "PSNR drop"
    allowed_loss = 0.5
    figure_name = "mean"

    def make_head(self, config: HeadConfig, name: str, upsampling: Callable[[], Upsampling]) -> "ImageHead":
        """Return a head that makes the picture from features of the size of the image.

        Raises:
            ValueError: The features are smaller than the image.
        """
        from ..layers import ImageHead

        if upsampling() != (1, (0, 0)):
            raise ValueError(
                "an image_to_image head takes features of the size of the image, as padded U-Nets and the "
                "super-resolution nets have them; these are smaller."
            )
        options: dict[str, Any] = {"scale": config.scale, "value_range": config.value_range}
        options["image_channels"] = config.image_channels
        return ImageHead(config.num_outputs, labels=config.labels, name=name, **options)

    def target_shape(self, num_outputs: int | None, sides: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return `(height, width, channels)`."""
        return (*sides, num_outputs)

    def fits_image(self, shape: tuple[int, ...], num_outputs: int | None, sides: tuple[int, ...]) -> bool:
        """Return whether both sides are the same multiple of those of the image."""
        return shape[-1] == num_outputs and _scale(shape[:-1], sides) is not None

    def default_labels(self, targets: np.ndarray, ignore: int | None) -> Labels:
        """Return the names of the colors, or the indices of the channels."""
        return _channel_names(targets.shape[-1])

    def count_outputs(self, targets: np.ndarray) -> int:
        """Return the number of channels."""
        return targets.shape[-1]

    def _with_axes(self, targets: np.ndarray) -> np.ndarray:
        return targets[..., np.newaxis] if targets.ndim == 3 else targets

    def read_table(self, table: Table, columns: Mapping[str, str]) -> tuple[None, list[Path]]:
        """Return the paths of the pictures."""
        return None, [table.path.parent / value for value in table.read(columns["target"], parse_path)]

    def decode_file(self, encoded: bytes, name: str) -> np.ndarray:
        """Return the values of a picture, float32 `(height, width, channels)`, as stored."""
        return decode_picture(encoded, name)

    def check_size(self, size: tuple[int, int], name: str, image_size: tuple[int, int]) -> None:
        """Raises InputError where a picture is not as large as its image or a multiple of it."""
        if _scale(size, image_size) is None:
            (height, width), (rows, columns) = size, image_size
            raise InputError(
                f"{name} has {width}x{height} pixels, but its image has {columns}x{rows}; the picture takes the same "
                "number or a multiple of it."
            )

    def check_file(
        self,
        target: np.ndarray,
        name: str,
        image_size: tuple[int, int],
        num_outputs: int | None,
        ignore: int | None = None,
    ) -> None:
        """Raises InputError where a picture has another size than its image or a multiple, or values that are NaN."""
        super().check_file(target, name, image_size, num_outputs, ignore)
        if not np.isfinite(target).all():
            raise InputError(f"{name} has a value that is no finite number.")

    def file_facts(self, target: np.ndarray, image_size: tuple[int, int]) -> tuple[int, int]:
        """Return the channels of a picture and its scale."""
        return target.shape[-1], _scale(target.shape[:2], image_size) or 0

    def settle_files(self, facts: Mapping[str, tuple[int, int]], source: str, ignore: int | None) -> tuple[Labels, int]:
        """Return the names of the channels, and the scale, which all pictures share."""
        (first, (channels, scale)), *others = facts.items()
        for name, (own_channels, own_scale) in others:
            if own_channels != channels:
                raise InputError(
                    f"{source}: {first} has {channels} channels and {name} has {own_channels}; all pictures take the "
                    "same."
                )
            if own_scale != scale:
                raise InputError(
                    f"{source}: {first} has {scale} times the pixels of its image along each side, and {name} has "
                    f"{own_scale} times; all pictures take the same."
                )
        return _channel_names(channels), scale

    def resize_target(self, target: np.ndarray, height: int, width: int) -> np.ndarray:
        """Return the picture in another size, by linear interpolation."""
        return resize_picture(target, height, width)

    def warp_targets(self, targets: Any, warp: Warp) -> Any:
        """Move the pictures with their images."""
        return warp(targets, interpolation="bilinear")

    def training_metrics(self, num_outputs: int) -> list["keras.Metric"]:
        """Return the mean absolute error."""
        import keras

        return [keras.metrics.MeanAbsoluteError(name="mae")]

    def suggested_by(self, labels: np.ndarray) -> bool:
        """Return whether they are maps of numbers with channels; one-hot masks of whole numbers are a segmentation."""
        return labels.ndim == 4 and labels.dtype.kind in "uif"

    def accumulator(self, labels: Sequence[str]) -> "PictureAccumulator":
        """Return the accumulator of a `PictureEvaluation`."""
        return PictureAccumulator(labels)

    def plot_examples(
        self,
        images: np.ndarray,
        targets: np.ndarray,
        outputs: np.ndarray,
        labels: Sequence[str],
        names: Sequence[str],
    ) -> "Figure":
        """Return the image, its target and the output side by side."""
        return plot_pictures(images, displayed(targets), displayed(outputs, like=targets), names)

    def predictions(self, output: np.ndarray, labels: Sequence[str], top: int | None) -> list[tuple[str, float]]:
        """Return the mean of each channel; the picture itself is that of `picture`."""
        return list(zip(labels, map(float, output.mean(axis=(0, 1), dtype="float64")), strict=True))

    def format_figure(self, figure: float) -> str:
        """Return four digits."""
        return f"{figure:.4g}"

    def picture(self, output: np.ndarray) -> "Image.Image | None":
        """Return the output in 8 bits; None where it has another number of channels than 1 and 3."""
        return as_image(displayed(output[np.newaxis])[0]) if output.shape[-1] in COLORS else None

    def draw_targets(self, images: np.ndarray, targets: np.ndarray, labels: Sequence[str]) -> np.ndarray:
        """Return the images, as large as their targets, with these on the right: the first of other numbers of channels
        than 1 and 3."""
        shown = displayed(targets if targets.shape[-1] in COLORS else targets[..., :1])
        scale = targets.shape[1] // images.shape[1]
        enlarged = images.repeat(scale, axis=1).repeat(scale, axis=2)
        colors = (np.broadcast_to(each, (*each.shape[:-1], 3)) for each in (enlarged, shown))
        return np.concatenate(list(colors), axis=2)


@dataclass(frozen=True)
class PictureEvaluation(BaseEvaluation):
    """Metrics of pictures on one split; `loss` is the mean absolute error as a share of `peak`."""

    SUMMARY: ClassVar = {"PSNR": "psnr", "SSIM": "ssim", "mean absolute error": "mae", "loss": "loss"}

    psnr: float
    """Mean over the images of the peak signal-to-noise ratio in decibels, 100 at most: 10 log10(peak**2 / mean squared
    error)."""
    ssim: float | None
    """Mean structural similarity, 1 at best; None where targets are neither shares nor whole numbers to 65535."""
    mae: float
    """Mean absolute error of a value, in the unit of the targets."""
    peak: float
    """Range of the values: 1 of shares, 255 or 65535 of whole numbers, or the difference between the highest and the
    lowest value of all targets."""
    per_channel: dict[str, Row]
    """`psnr` and `mae` of each channel."""

    @property
    def details(self) -> dict[str, Row]:
        """Metrics by channel."""
        return self.per_channel


class PictureAccumulator(Accumulator):
    """Accumulates a `PictureEvaluation`; of each picture a few numbers are kept."""

    def __init__(self, labels: Sequence[str]):
        super().__init__(labels)
        self._squared: list[np.ndarray] = []
        self._absolute: list[np.ndarray] = []
        self._similarity: list[np.ndarray] = []
        self._low, self._high, self._whole = np.inf, -np.inf, True

    def add(self, targets: np.ndarray, outputs: np.ndarray) -> None:
        """Adds a batch of pictures, both `(count, height, width, channels)`."""
        error = outputs.astype("float64") - targets
        self._squared.append((error**2).mean(axis=(1, 2)))
        self._absolute.append(np.abs(error).mean(axis=(1, 2)))
        self._similarity += [structural_similarity(*pair) for pair in zip(targets, outputs, strict=True)]
        self._low, self._high = min(self._low, float(targets.min())), max(self._high, float(targets.max()))
        self._whole &= bool((targets == np.round(targets)).all())

    @property
    def _peak(self) -> float:
        return peak_of(self._low, self._high, whole=self._whole)

    def evaluation(self) -> PictureEvaluation:
        """Return the evaluation of all batches."""
        squared, absolute, scores = np.concatenate(self._squared), np.concatenate(self._absolute), self.scores
        columns = zip(self.labels, psnr(squared.mean(axis=0), self._peak), absolute.mean(axis=0), strict=True)
        is_usual = self._low >= 0 and self._peak in PEAKS
        return PictureEvaluation(
            images=len(scores),
            loss=float(absolute.mean() / self._peak),
            intervals=intervals("psnr", mean_of(scores), len(scores)),
            psnr=float(scores.mean()),
            ssim=float(np.mean(self._similarity, axis=0)[PEAKS.index(self._peak)]) if is_usual else None,
            mae=float(absolute.mean()),
            peak=self._peak,
            per_channel={label: {"psnr": float(ratio), "mae": float(mae)} for label, ratio, mae in columns},
        )

    def errors(self) -> np.ndarray:
        """Return the mean squared errors."""
        return np.concatenate(self._squared).mean(axis=1)

    @property
    def score(self) -> float:
        """Mean PSNR."""
        return float(self.scores.mean())

    @property
    def scores(self) -> np.ndarray:
        """PSNR of each picture, in decibels."""
        return psnr(self.errors(), self._peak)


def _scale(shape: Sequence[int], sides: Sequence[int]) -> int | None:
    """Return how many pixels a picture has for one of its image along both axes; None if that is no whole number."""
    scales = {size // side if size % side == 0 else 0 for size, side in zip(shape, sides, strict=True)}
    return scales.pop() or None if len(scales) == 1 else None


def _channel_names(channels: int) -> Labels:
    return COLORS.get(channels) or tuple(map(str, range(channels)))
