"""The targets of a task: their form, how they are validated, read and written, and how they follow augmentation."""

from abc import ABC
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from ..core.errors import InputError

Labels = tuple[str, ...]
"""Names of classes, labels or values, in the order of the outputs."""


class Warp(Protocol):
    """Geometric augmentation of the images of a batch, which moves their targets alike."""

    def __call__(self, maps: Any, interpolation: Literal["nearest", "bilinear"]) -> Any:
        """Return float or integer maps, `(batch, height, width, channels)`, moved; they may have another size."""

    def points(self, positions: Any) -> Any:
        """Return where points are after it.

        Args:
            positions: Float32 `(batch, points, 2)`, x and y as shares of width and height; 0 and 1 are the edges.
        """

    def mirrored(self) -> Any:
        """Return which images are mirrored, bool `(batch,)`: left is right, or up is down."""


class Table(Protocol):
    """Columns of a CSV file, one row for each image."""

    path: Path

    def read(self, column: str, parse: Callable[[str], Any]) -> list[Any]:
        """Return the parsed values of a column; a ValueError of `parse` becomes an InputError with line and column."""


class TargetForm(ABC):
    """Everything that depends on the kind of targets: true values, one for each image."""

    name: ClassVar[str]
    """Name in `create_model(head=...)`, in data, recipes, files and manifests, and `TASK` of the head layer."""

    @property
    def titled(self) -> str:
        """Name with its article, for messages: `an embedding`."""
        return f"{'an' if self.name[0] in 'aeiou' else 'a'} {self.name}"

    min_outputs: ClassVar[int | None] = 1
    """Smallest number of classes, labels or values; None where outputs are not named and their number is fixed."""

    @property
    def names_outputs(self) -> bool:
        """Whether there is an output for each label; if not, labels are those of the targets alone."""
        return self.min_outputs is not None

    # Form
    has_targets: ClassVar[bool] = True
    """Whether there is a true value that outputs can be trained and evaluated with."""
    meaning: ClassVar[str] = ""
    """What an output without targets is, in messages: `"an embedding"`."""
    target_dtype: ClassVar[str] = "float32"
    """NumPy dtype of targets in training."""
    target_kinds: ClassVar[str] = "iuf"
    """NumPy's kind letters of accepted arrays."""
    target_form: ClassVar[str] = ""
    """Description for messages, such as `whole numbers (count,)`."""
    class_indices: ClassVar[bool] = False
    """Whether targets are indices of classes; labels may then include classes that no target has."""

    @property
    def may_lack_classes(self) -> bool:
        """Whether labels may include classes that no target has."""
        return self.class_indices

    def target_shape(self, num_outputs: int | None, sides: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return the shape of one image's target; `sides` are height and width of the output map, `()` of a vector."""
        return (num_outputs,)

    def fits_image(self, shape: tuple[int, ...], num_outputs: int | None, sides: tuple[int, ...]) -> bool:
        """Return whether targets `(*shape)` go with an image of these sides, height and width."""
        return shape == self.target_shape(num_outputs, sides)

    def fill_image(self, targets: np.ndarray, sides: tuple[int, ...]) -> np.ndarray:
        """Return validated targets in the form for images of these sides, where one number may stand for an image."""
        return targets

    def default_labels(self, targets: np.ndarray, ignore: int | None) -> Labels:
        """Return the names of the classes, labels or values of validated targets that nobody named: their indices.

        Raises:
            InputError: The targets are hardly meant as they are.
        """
        return tuple(map(str, range(self.count_outputs(self.without_void(targets, ignore)))))

    def check_targets(
        self,
        targets: np.ndarray,
        what: str,
        *,
        num_outputs: int | None = None,
        ignore: int | None = None,
        dimensions: int = 2,
    ) -> np.ndarray:
        """Return the validated targets in the dtype of training, `(count, *target_shape)`.

        Args:
            targets: One row for each image.
            what: Subject of error messages, in the plural: `"the targets of train"`.
            num_outputs: Number of classes, labels or values; None accepts any.
            ignore: Label of pixels without a class, which may occur besides the classes.
            dimensions: Number of spatial axes of the images; 1 for signals.

        Raises:
            InputError: Dtype, shape or a value is not what the task accepts.
        """
        targets = self._with_axes(_as_integers(np.asarray(targets)) if self.class_indices else np.asarray(targets))
        shape = self.target_shape(num_outputs, (None,) * dimensions)
        if targets.dtype.kind not in self.target_kinds or not fits_shape(targets.shape[1:], shape):
            size = "" if num_outputs is None else f" of {num_outputs}"
            raise InputError(
                f"{what} are {targets.dtype} of the shape {targets.shape}; {self.titled}{size} takes "
                f"{self.target_form}."
            )
        self._check_values(self.without_void(targets, ignore), what, num_outputs)
        return targets.astype(self.target_dtype)

    def _with_axes(self, targets: np.ndarray) -> np.ndarray:
        """Return the targets with an axis added or removed, where a common form differs from that of training."""
        return targets

    def _check_values(self, targets: np.ndarray, what: str, num_outputs: int | None) -> None:
        if not np.isfinite(targets).all():
            raise InputError(f"{what} have a value that is no finite number; {self.titled} takes {self.target_form}.")
        wrong = self.class_out_of_range(targets, num_outputs)
        if wrong is not None:
            end = "on" if num_outputs is None else f"to {num_outputs - 1}"
            raise InputError(f"{what} have the class {wrong}; classes go from 0 {end}.")

    def class_out_of_range(self, targets: np.ndarray, num_outputs: int | None) -> int | None:
        """Return a class index below 0 or not below `num_outputs`; None if there is none, or targets are no classes."""
        if not self.class_indices or not targets.size:
            return None
        low, high = int(targets.min()), int(targets.max())
        if num_outputs is not None and high >= num_outputs:
            return high
        return low if low < 0 else None

    void: ClassVar[int | None] = None
    """Class index of pixels without a class, in the batches of training and evaluation; None where there are none."""

    def mark_void(self, targets: np.ndarray, ignore: int | None) -> np.ndarray:
        """Return the targets with `void` in place of the label `ignore`."""
        if ignore is None or self.void is None:
            return targets
        return np.where(targets == ignore, np.asarray(self.void, targets.dtype), targets)

    def without_void(self, targets: np.ndarray, ignore: int | None) -> np.ndarray:
        """Return the targets in their shape, or a vector of those that are not the label `ignore`."""
        return targets if ignore is None or self.void is None else targets[targets != ignore]

    def count_outputs(self, targets: np.ndarray) -> int:
        """Return the number of classes, labels or values that validated targets have at least."""
        if not targets.size:
            return self.min_outputs or 1
        return max(int(targets.max()) + 1, self.min_outputs or 1) if self.class_indices else targets.shape[1]

    def misfit(self, targets: np.ndarray, output_shape: Sequence[int | None]) -> tuple[int, str] | None:
        """Return the first row of targets that outputs of that shape for an image cannot express, and why.

        The reason continues "IMAGE has ...". None if there is no such row.
        """
        return None

    def target_text(self, target: np.ndarray, labels: Sequence[str]) -> str | None:
        """Return what one image's target says, where it is a text; else None."""
        return None

    def has_form(self, targets: Any) -> bool:
        """Return whether targets have the rank (and if that is ambiguous, the values) of this task's targets."""
        return self.has_targets and len(targets.shape) == 1 + len(self.target_shape(1, (1, 1)))

    # Tables, files and TFRecord shards
    column: ClassVar[str | None] = None
    """Column of a table that states this task; None: all columns without such a name are its values."""
    in_files: ClassVar[bool] = False
    """Whether each target is an encoded file, which `decode_file` and its siblings read when it is needed."""
    may_enlarge: ClassVar[bool] = False
    """Whether targets may have more pixels than their image, a whole number for each of its pixels along each axis."""
    layout: ClassVar[str | None] = None
    """Name of the layout of a folder with images beside a folder with such files; None where there is none."""
    folder_words: ClassVar[Mapping[str, Literal["images", "masks"]]] = {}
    """Further words in names of folders that hold the images or the targets, where the layout is stated."""
    feature_key: ClassVar[str] = ""
    """Key of the target in a `tf.train.Example`, after the output's name and a slash."""

    def read_table(self, table: Table, columns: Mapping[str, str]) -> tuple[Labels | None, np.ndarray | list[Path]]:
        """Return the labels (None if the table does not name them) and the targets, paths for targets `in_files`.

        Args:
            table: The table.
            columns: Full name of each column by its name within the output.

        Raises:
            InputError: A value is wrong, or there are too few classes.
        """
        raise NotImplementedError

    def encode(self, target: np.ndarray) -> np.ndarray:
        """Return one image's target as int64s or float32s for a TFRecord feature; not called for targets `in_files`."""
        raise NotImplementedError

    def decode(self, values: np.ndarray, num_outputs: int) -> np.ndarray | int:
        """Return one image's target from the numbers of a TFRecord feature; not called for targets `in_files`.

        Raises:
            ValueError: The numbers are not what `encode` writes; the message continues "KEY ...".
        """
        raise NotImplementedError

    def stack(self, targets: Sequence[np.ndarray | int]) -> np.ndarray:
        """Return the results of `decode` for several images as one array in the dtype of training."""
        return np.array(targets, self.target_dtype)

    def encode_file(self, target: np.ndarray) -> bytes:
        """Return the content of the file of one image's target, where it is in none yet.

        Raises:
            InputError: Targets of the task have to be in files.
        """
        raise InputError(f"the targets of {self.titled} are in memory; shards take them from files.")

    def decode_file(self, encoded: bytes, name: str) -> np.ndarray:
        """Return one image's target from the content of its file; `name` is for error messages.

        Raises:
            InputError: The content cannot be decoded, or does not hold targets.
        """
        raise NotImplementedError

    def check_size(self, size: tuple[int, int], name: str, image_size: tuple[int, int]) -> None:
        """Raises InputError where a target in a file has not the height and width of its image."""
        if size != image_size:
            (height, width), (rows, columns) = size, image_size
            raise InputError(f"{name} has {width}x{height} pixels, but its image has {columns}x{rows}.")

    def check_file(
        self,
        target: np.ndarray,
        name: str,
        image_size: tuple[int, int],
        num_outputs: int | None,
        ignore: int | None = None,
    ) -> None:
        """Raises InputError where a decoded target does not belong to its image, of that height and width."""
        self.check_size((target.shape[0], target.shape[1]), name, image_size)

    def file_facts(self, target: np.ndarray, image_size: tuple[int, int]) -> Any:
        """Return what `settle_files` needs to know of a decoded target."""
        raise NotImplementedError

    def settle_files(self, facts: Mapping[str, Any], source: str, ignore: int | None) -> tuple[Labels, int]:
        """Return the labels of targets in files that name none, and how many pixels they have for one of the image.

        Args:
            facts: Results of `file_facts` by name of the file.
            source: Name of the data source in messages.
            ignore: Label of pixels without a class.

        Raises:
            InputError: The files do not belong together.
        """
        raise NotImplementedError

    def resize_target(self, target: np.ndarray, height: int, width: int) -> np.ndarray:
        """Return the decoded target in another size."""
        raise NotImplementedError

    # Classes
    class_unit: ClassVar[Literal["images", "pixels"] | None] = None
    """What `class_counts` counts; None where targets have no classes."""
    one_class_per_image: ClassVar[bool] = False
    """Whether targets are one class index for each image, by which splits and folds are stratified."""

    def class_counts(self, targets: np.ndarray, num_outputs: int) -> np.ndarray:
        """Return the number of images or pixels of each class, int64 `(num_outputs,)`."""
        raise NotImplementedError

    def value_statistics(self, targets: np.ndarray, labels: Sequence[str]) -> dict[str, dict[str, float]]:
        """Return the statistics for a survey of targets without classes, by label."""
        return {}

    # Augmentation
    has_order: ClassVar[bool] = False
    """Whether targets have an order from left to right, as texts, so that mirrored images contradict them."""
    has_colors: ClassVar[bool] = False
    """Whether targets are pictures, which would be wrong if the colors of the images alone changed."""
    mixable: ClassVar[bool] = False
    """Whether a weighted mean of two images' targets is a target, as MixUp and CutMix need it."""
    has_objects: ClassVar[bool] = False
    """Whether targets are rows of objects: an image joined from parts of several has the rows of all, as in mosaics."""

    def warp_targets(self, targets: Any, warp: Warp) -> Any:
        """Return the targets of a batch after a geometric augmentation of the images; a tensor of TensorFlow."""
        return targets

    def mirror_targets(self, targets: Any, mirrored: Any, labels: Sequence[str]) -> Any:
        """Return the targets of a batch, after `warp_targets`, with left and right exchanged where images are mirrored.

        Args:
            targets: A tensor of TensorFlow.
            mirrored: bool `(batch,)`.
            labels: Names of the classes, labels or values.
        """
        return targets

    def soft_targets(self, targets: Any, num_outputs: int) -> Any:
        """Return a batch's targets in a form that can be averaged, float32 `(batch, num_outputs)`, where `mixable`."""
        return targets


def _as_integers(targets: np.ndarray) -> np.ndarray:
    """Return truth values, and floats that are all whole, as integers; other targets as they are."""
    is_whole = targets.dtype.kind == "f" and bool(np.isfinite(targets).all() and (targets == np.floor(targets)).all())
    return targets.astype("int64") if targets.dtype.kind == "b" or is_whole else targets


def fits_shape(shape: Sequence[int | None], wanted: tuple[int | None, ...]) -> bool:
    """Return whether a shape is the one that is wanted, in which None stands for any size."""
    return len(shape) == len(wanted) and all(want in (None, side) for side, want in zip(shape, wanted, strict=True))
