"""An exported model as a value, whichever runtime opened it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .certificate import Certificate
from .metadata import Metadata
from .tensors import TensorInfo


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

    def run(self, images: np.ndarray) -> np.ndarray:
        """Run a batch of images, one after another.

        Args:
            images: Raw pixels 0..255, `(count, height, width, channels)`.

        Returns:
            Float32 outputs `(count, outputs)`, or maps `(count, height, width, outputs)`.
        """
        return np.concatenate(
            [
                self.output.to_real(self.invoke(self.input.from_real(np.asarray(image, "float32")[None])))
                for image in images
            ]
        )
