"""An exported model as a value, whichever runtime opened it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .certificate import Certificate
from .metadata import Metadata
from .tensors import RAW, TensorInfo, to_range


@dataclass(frozen=True)
class Artifact:
    """An exported model, opened in its runtime."""

    path: Path
    input: TensorInfo
    output: TensorInfo
    metadata: Metadata | None
    """The metadata embedded in the file, or None if another tool wrote it."""
    invoke: Callable[[np.ndarray], np.ndarray]
    """The bare runtime call, from an input tensor as `input` describes it to an output tensor as `output` does."""
    certificate: Certificate | None = None
    """The validation results embedded in the file, or None if it has none."""

    @property
    def pixel_range(self) -> tuple[float, float]:
        """Range of the input's values; raw pixels where the file does not state it."""
        return self.metadata.pixel_range if self.metadata else RAW

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Return outputs in the form of the task; as they are where the file does not state a task."""
        return self.metadata.decode(outputs) if self.metadata else outputs

    def predict_raw(self, images: np.ndarray) -> np.ndarray:
        """Return the outputs in the form of the task for raw pixels 0..255 of any dtype, otherwise like `run`."""
        low, high = self.pixel_range
        if self.pixel_range != RAW:
            images = low + np.float32(images) * np.float32((high - low) / 255)
        return self.decode(self.run(images))

    def run(self, images: np.ndarray) -> np.ndarray:
        """Run a batch of images, one after another.

        Args:
            images: `(count, height, width, channels)`: whole numbers are raw pixels 0..255, floats are values in the
                range that the model expects, for models of the zoo 0..255, too.

        Returns:
            Float32 outputs `(count, outputs)`, or maps `(count, height, width, outputs)`.
        """
        return np.concatenate(
            [
                self.output.to_real(self.invoke(self.input.from_real(np.asarray(image, "float32")[None])))
                for image in (to_range(np.asarray(image), self.pixel_range) for image in images)
            ]
        )
