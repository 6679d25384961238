"""An exported model as a value, whichever runtime opened it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import InputError
from ...core.outputs import by_name, map_outputs
from .certificate import Certificate
from .metadata import Metadata
from .tensors import RAW, TensorInfo, to_range, values_by_name


@dataclass(frozen=True)
class Artifact:
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

    @property
    def inputs(self) -> dict[str, TensorInfo]:
        """The inputs by name, which is empty for the only one."""
        return by_name(self.input)

    @property
    def outputs(self) -> dict[str, TensorInfo]:
        """The outputs by name, which is empty for the only one."""
        return by_name(self.output)

    @property
    def pixel_range(self) -> tuple[float, float]:
        """Range of the input's values; raw pixels where the file does not state it."""
        return self.metadata.pixel_range if self.metadata else RAW

    @property
    def pixel_ranges(self) -> dict[str, tuple[float, float] | None]:
        """Range of the values of each input by name; None where it is no image."""
        if self.metadata:
            return {name: form.pixel_range for name, form in self.metadata.input_forms.items()}
        return {name: RAW if tensor.is_image else None for name, tensor in self.inputs.items()}

    def decode(self, outputs: Any) -> Any:
        """Return outputs in the form of the task; as they are where the file does not state a task."""
        return self.metadata.decode(outputs) if self.metadata else outputs

    def predict_raw(self, images: Any) -> Any:
        """Return the outputs in the form of the task for raw pixels 0..255 of any dtype, otherwise like `run`."""
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
            several outputs.
        """
        if isinstance(self.input, dict):
            images = values_by_name(images, list(self.input), "the inputs")
        counts = {len(rows) for rows in by_name(images).values()}
        if len(counts) > 1:
            raise InputError(f"the inputs have {', '.join(map(str, sorted(counts)))} rows; each takes one per image.")
        results = [self._run_once(map_outputs(lambda rows, row=row: rows[row], images)) for row in range(counts.pop())]
        return map_outputs(lambda tensor, *values: tensor.to_real(np.concatenate(values)), self.output, *results)

    def _run_once(self, values: Any) -> Any:
        """Return the output tensors for one value of each input."""
        return self.invoke(map_outputs(_to_tensor, self.input, values, self._only_or_all(self.pixel_ranges)))

    def _only_or_all(self, named: dict[str, Any]) -> Any:
        return named if isinstance(self.input, dict) else named[""]


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
        value = to_range(value, limits)
    return tensor.from_real(value[None] if tensor.is_whole else np.asarray(value, "float32")[None])
