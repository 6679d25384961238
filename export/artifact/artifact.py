"""An exported model as a value, whichever runtime opened it."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import InputError
from ...core.outputs import by_name, map_outputs
from ...core.short_repr import ShortRepr
from ...core.visible_text import visible_line
from .certificate import Certificate
from .contract import PIXEL_OPTION, Contract, Statements, resolve
from .file_facts import FileFacts
from .metadata import Metadata, OutputForm
from .tensors import RAW, TensorInfo, to_range, values_by_name

_REPORTED = set[str]()
"""What was printed about the files of other tools."""


@dataclass(frozen=True)
class Artifact(ShortRepr):
    """An exported model, opened in its runtime."""

    path: Path
    input: Any
    """A `TensorInfo`, or a dict of them by name, in the order of the model, if it has several inputs."""
    output: Any
    """As `input`."""
    metadata: Metadata | None
    """The metadata embedded in the file, or None if another tool wrote it."""
    invoke: Callable[[Any], Any]
    """The bare runtime call, from an input tensor as `input` describes it to an output tensor as `output` does, or from
    or to a dict of tensors by name."""
    certificate: Certificate | None = None
    """The validation results embedded in the file, or None if it has none."""
    facts: FileFacts | None = None
    """What the file says of itself, if another tool wrote it."""
    contract: Contract | None = None
    """What its inputs and outputs mean, if another tool wrote it: as stated, as the file says, or inferred."""
    statements: Statements = field(default_factory=Statements)
    """What the user states, if another tool wrote it."""

    @property
    def inputs(self) -> dict[str, TensorInfo]:
        """The inputs by name, which is empty for the only one."""
        return by_name(self.input)

    @property
    def outputs(self) -> dict[str, TensorInfo]:
        """The outputs by name, which is empty for the only one."""
        return by_name(self.output)

    @property
    def output_forms(self) -> OutputForm | dict[str, OutputForm] | None:
        """The meaning of the only output, or of all by name; None where nothing is known."""
        if self.metadata is not None:
            return self.metadata.output_forms
        if self.contract is None:
            return None
        forms = dict(self.contract.forms)
        return forms if isinstance(self.output, dict) else forms[""]

    @property
    def pixel_range(self) -> tuple[float, float]:
        """Range of the pixels of its only image.

        Raises:
            InputError: Neither the file nor its user states it.
        """
        if self.metadata is not None:
            return self.metadata.pixel_range
        self.check_pixels_known()
        return next((limits for limits in self.pixel_ranges.values() if limits is not None), RAW)

    @property
    def pixel_ranges(self) -> dict[str, tuple[float, float] | None]:
        """Range of the values of each input by name; None where it is no image, or its range is not known."""
        if self.metadata:
            return {name: form.pixel_range for name, form in self.metadata.input_forms.items()}
        if self.contract:
            return dict(self.contract.ranges)
        return {name: RAW if tensor.is_image else None for name, tensor in self.inputs.items()}

    def check_pixels_known(self) -> None:
        """Raise InputError where the range of pixels of an image is not known."""
        if self.contract and self.contract.unknown_ranges:
            names = ", ".join(repr(name) for name in self.contract.unknown_ranges if name)
            of = f" of {names}" if names else ""
            raise InputError(f"{self.path} does not say what its pixels{of} are; state {PIXEL_OPTION}.")

    def check_takes_images(self) -> None:
        """Raise InputError where it does not take image files: its only input is no image of known channels."""
        tensors = list(self.inputs.values())
        if len(tensors) > 1:
            raise InputError(
                f"{self.path} has several inputs, {', '.join(self.inputs)}; run it in Python, by "
                "pocketzoo.export.predict."
            )
        images = [tensor for tensor in tensors if tensor.is_image and len(tensor.shape) == 4]
        if not images:
            takes = f"an input of shape {tensors[0].shape}" if tensors else "no inputs"
            raise InputError(f"{self.path} takes {takes}, which is no image; run it in Python, by artifact.invoke.")
        if images[0].image_shape[-1] is None:
            raise InputError(f"{self.path} leaves its channels open; give it arrays in Python, by export.predict.")

    def check_runs_one_by_one(self) -> None:
        """Raise InputError where an input takes several images at once, or something that is no array."""
        if not self.inputs:
            raise InputError(f"{self.path} takes no inputs, so there is nothing to predict.")
        for tensor in self.inputs.values():
            if tensor.dtype not in ("bytes", "string") and not tensor.is_number:
                raise InputError(f"{self.path} takes as {tensor.name!r} a {tensor.dtype}, which is not supported.")
            if len(tensor.shape) == 4 and not tensor.has_batch:
                raise InputError(
                    f"{self.path} takes {tensor.shape[0]} images at once, of shape {tensor.shape}; convert it for a "
                    "batch of 1 or of any size."
                )

    def state(self, **statements: Any) -> "Artifact":
        """Return the artifact of another tool's file with what a user states about it: fields of `Statements`.

        Raises:
            InputError: A statement is no allowed value, or does not fit the file.
        """
        if self.metadata is not None or self.facts is None:
            stated = next((name for name, value in statements.items() if value is not None), None)
            if stated is not None and not stated.startswith("known"):
                raise InputError(f"{stated} is {statements[stated]!r}, but {self.path} states it itself; leave it out.")
            return self
        merged = self.statements.updated(**statements)
        contract = resolve(self.path, self.inputs, self.outputs, self.facts, merged)
        return replace(self, contract=contract, statements=merged)

    def report_contract(self) -> None:
        """Print on standard error what was inferred for another tool's file, and what to state; each text once."""
        text = self.contract.describe(self.path) if self.contract else ""
        if text and text not in _REPORTED:
            _REPORTED.add(text)
            print(visible_line(text), file=sys.stderr)

    def decode(self, outputs: Any) -> Any:
        """Return outputs in the form of the task; as they are where the file does not state a task.

        Raises:
            InputError: Those of another tool's file do not have the form of the task that was stated or inferred.
        """
        if self.metadata:
            return self.metadata.decode(outputs)
        if self.contract is None:
            return outputs
        decoded = {name: self.contract.decode(name, values, self.path) for name, values in by_name(outputs).items()}
        return decoded if isinstance(outputs, dict) else decoded[""]

    def predict_raw(self, images: Any) -> Any:
        """Return the outputs in the form of the task for raw pixels 0..255 of any dtype, otherwise like `run`."""
        self.check_pixels_known()
        ranges = self.pixel_ranges
        scaled = {name: _from_raw(values, ranges.get(name)) for name, values in by_name(images).items()}
        return self.decode(self.run(scaled.get("", scaled)))

    def run(self, images: Any) -> Any:
        """Run a batch of images, one after another.

        Args:
            images: `(count, height, width, channels)`: whole numbers are raw pixels 0..255, floats are values in the
                range that the model expects, for models of the zoo 0..255, too. For several inputs a dict of arrays by
                name, or a list in the order of the model.

        Returns:
            Float32 outputs `(count, outputs)`, or maps `(count, height, width, outputs)`; a dict of them by name for
            several outputs. Whole numbers and texts of another tool's file stay what they are, and outputs without a
            batch axis get one, of which the rows are arrays if their shapes differ.
        """
        if isinstance(self.input, dict):
            images = values_by_name(images, list(self.input), "the inputs")
        counts = {len(rows) for rows in by_name(images).values()}
        if len(counts) != 1:
            found = f"{', '.join(map(str, sorted(counts)))} rows" if counts else "no values"
            raise InputError(f"the inputs have {found}; each takes one per image.")
        one_by_one = (map_outputs(lambda rows, row=row: rows[row], images) for row in range(counts.pop()))
        results = [self.invoke(self.to_tensors(values)) for values in one_by_one]
        join = _join if self.contract is None else _join_any
        return map_outputs(join, self.output, *results)

    def to_tensors(self, values: Any) -> Any:
        """Return what `invoke` takes for one value of each input, such as an image of `run`."""
        return map_outputs(_to_tensor, self.input, values, self._only_or_all(self.pixel_ranges))

    def run_at_once(self, images: Any) -> Any:
        """Run a batch of images in one call, of an artifact with an open batch; otherwise like `run`."""
        if any(tensor.shape[0] is not None for tensor in self.inputs.values()):
            return self.run(images)

        def stacked(tensor: TensorInfo, rows: Any, limits: tuple[float, float] | None) -> np.ndarray:
            return np.concatenate([_to_tensor(tensor, row, limits) for row in rows])

        tensors = map_outputs(stacked, self.input, images, self._only_or_all(self.pixel_ranges))
        return map_outputs(_join, self.output, self.invoke(tensors))

    def _only_or_all(self, named: dict[str, Any]) -> Any:
        return named if isinstance(self.input, dict) else named[""]


def _as_objects(value: Any) -> np.ndarray:
    """Return texts, or a list of anything, as an array of objects."""
    if not isinstance(value, list):
        decoded = [each.decode("utf-8", "replace") if isinstance(each, bytes) else each for each in np.ravel(value)]
        return np.array(decoded, object).reshape(np.shape(value))
    items = np.empty(len(value), object)
    for index, item in enumerate(value):  # which may be arrays of one shape, of which NumPy would make one
        items[index] = item
    return items


def _join(tensor: TensorInfo, *values: np.ndarray) -> np.ndarray:
    """Return the outputs for one image each as one array."""
    return tensor.to_real(np.concatenate(values))


def _join_any(tensor: TensorInfo, *values: Any) -> np.ndarray:
    """Return the outputs of another tool's file for one image each as one array.

    Rows that are not one for each image, such as the objects found in it, stay together.
    """
    if not tensor.is_number:
        rows: list[Any] = [_as_objects(value) for value in values]
    else:
        rows = [value if tensor.is_whole else tensor.to_real(value) for value in values]
    if tensor.has_batch and all(row.ndim and len(row) == 1 for row in rows):
        return np.concatenate(rows)
    if len({row.shape for row in rows}) == 1:
        return np.stack(rows)
    joined = np.empty(len(rows), object)
    joined[:] = rows
    return joined


def _from_raw(values: np.ndarray, limits: tuple[float, float] | None) -> np.ndarray:
    """Return raw pixels 0..255 as values of a range; None for values of other inputs."""
    if limits in (None, RAW):
        return values
    low, high = limits
    return low + values.astype("float32") * np.float32((high - low) / 255)


def _to_tensor(tensor: TensorInfo, value: Any, limits: tuple[float, float] | None) -> np.ndarray:
    """Convert one value of an input, without the batch, to what the input tensor holds."""
    value = np.asarray(value)
    if limits is not None:
        offset = tensor.byte_offset(limits) if value.dtype.kind in "ui" else None
        if offset is not None:
            return tensor.from_bytes(value[None], offset)
        value = to_range(value, limits)
    value = value if tensor.is_whole else np.asarray(value, "float32")
    return tensor.from_real(value[None] if tensor.has_batch else value)
