"""The outputs of the Keras model, with which artifacts are compared."""

from collections.abc import Iterator
from math import prod

import keras
import numpy as np

from ...core.errors import InputError
from ...tasks.registry import get_task
from ...zoo.fingerprint import weights_sha256
from ..artifact.metadata import Metadata
from ..artifact.tensors import concrete_shape, to_range
from ..large_arrays import Rows, store_rows
from ..sample_images import Samples
from .reference import Origin, Reference

NOISE_IMAGES = 16
KERAS_BATCH = 32
MAX_CHUNK_BYTES = 2**27
"""Memory for the inputs and outputs of one call of Keras: 9 images of a 512x512 U-Net with 21 classes."""


class KerasReference:
    """Runs the Keras model for its comparison with artifacts.

    Args:
        model: The exported model.
    """

    def __init__(self, model: keras.Model):
        self.model = model

    def weights_sha256(self) -> str:
        """Hash of the weights as they are now."""
        return weights_sha256(self.model)

    def evaluate(self, metadata: Metadata, evaluation: Samples | None, calibration: Samples | None) -> Reference:
        """Run the model on the evaluation images, without these on the calibration images, without both on noise.

        Raises:
            InputError: The outputs cannot be used for a comparison.
        """
        origin: Origin
        if evaluation is not None:
            samples, origin = evaluation, "evaluation images"
        elif calibration is not None:
            samples, origin = Samples(calibration.images, None), "calibration images"
        else:
            noise = _noise(concrete_shape(metadata.image_shape))
            samples, origin = Samples(to_range(noise, metadata.pixel_range), None), "noise"
        outputs = store_rows(self._predict(samples.images))
        broken = [row for row, output in enumerate(outputs) if not np.isfinite(output).all()]
        if broken:
            raise InputError(
                f"{self.model.name} has outputs that are not finite numbers for {len(broken)} of {len(outputs)} "
                f"{origin}, first for number {broken[0]}; repair the model before its export."
            )
        if all(np.array_equal(output, outputs[0]) for output in outputs):
            raise InputError(
                f"{self.model.name} has the same output for each of {len(outputs)} {origin}; artifacts cannot be "
                "compared with it."
            )
        if samples.labels is not None:
            _check_label_shape(samples.labels, outputs, metadata)
        return Reference(samples, origin, outputs, metadata.task, metadata.from_logits)

    def _predict(self, images: Rows) -> Iterator[np.ndarray]:
        """Outputs of Keras in chunks of limited size."""
        sides = [side or max(images.shape[1:3]) for side in self.model.output_shape[1:]]
        chunk = max(1, MAX_CHUNK_BYTES // (4 * (prod(sides) + prod(images.shape[1:]))))
        chunk = chunk // KERAS_BATCH * KERAS_BATCH or chunk  # whole batches, as in one call for all images
        for start in range(0, len(images), chunk):
            pixels = np.asarray(images[start : start + chunk])
            yield self.model.predict(pixels, batch_size=min(chunk, KERAS_BATCH), verbose=0)


def _noise(shape: tuple[int, int, int]) -> np.ndarray:
    """Noise of several brightnesses, contrasts and sizes of grain, `(NOISE_IMAGES, height, width, channels)`.

    Deep nets average plain noise to nearly the same features for every image, and a saturated one then hardly varies.
    """
    random, images = np.random.default_rng(0), []
    for number in range(NOISE_IMAGES):
        grain = 2 ** (number % 4)
        low, high = np.sort(random.integers(0, 256, 2)) if number % 2 else (0, 255)
        coarse = random.integers(low, high + 1, (-(-shape[0] // grain), -(-shape[1] // grain), shape[2]))
        images.append(coarse.repeat(grain, axis=0).repeat(grain, axis=1)[: shape[0], : shape[1]])
    return np.stack(images)


def _check_label_shape(labels: Rows, outputs: np.ndarray, metadata: Metadata) -> None:
    """Raise InputError where labels are maps of another size than the outputs, which only their computation shows."""
    size = metadata.decode(outputs[:1]).shape[-1]
    expected = tuple(get_task(metadata.task).target_shape(size, outputs.shape[1:-1]))
    if labels.shape[1:] != expected:
        raise InputError(f"evaluation has labels of shape {labels.shape[1:]}; the model's outputs need {expected}.")
