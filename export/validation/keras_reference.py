"""The outputs of the Keras model, with which artifacts are compared."""

from collections.abc import Iterator
from contextlib import nullcontext
from math import prod
from typing import Any

import keras
import numpy as np

from ...core.errors import InputError
from ...core.keras_private import replace_name_scopes
from ...core.outputs import by_name, map_outputs
from ...tasks.target_form import fits_shape
from ...zoo.fingerprint import weights_sha256
from ...zoo.signature import arrange_inputs, name_outputs, named_inputs, named_outputs
from ..artifact.metadata import InputForm, Metadata
from ..artifact.tensors import concrete_shape, to_range
from ..large_arrays import store_rows
from ..sample_images import Samples
from .reference import Origin, Reference

NOISE_IMAGES = 16
KERAS_BATCH = 32
MAX_CHANGE = 0.05
"""Of the outputs for an image, relative to them, when it is alone; rounding alone changes less."""
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
            samples, origin = _noise_samples(self.model.name, metadata), "noise"
        outputs = store_rows(self._predict(samples, metadata))
        for name, rows in by_name(outputs).items():
            self._check_usable(rows, f"{self.model.name} has" + (f" in {name!r}" if name else ""), origin)
        self._check_repeatable(samples, metadata, outputs)
        reference = Reference(
            samples,
            origin,
            outputs,
            map_outputs(lambda form: form.task, metadata.output_forms),
            map_outputs(lambda form: form.from_logits, metadata.output_forms),
        )
        for name, part in reference.parts.items():
            _check_label_shape(part, name)
        return reference

    def _check_usable(self, outputs: np.ndarray, model: str, origin: Origin) -> None:
        """Raise InputError where outputs cannot be used for a comparison; `model` begins the message."""
        broken = [row for row, output in enumerate(outputs) if not np.isfinite(output).all()]
        if broken:
            raise InputError(
                f"{model} outputs that are not finite numbers for {len(broken)} of {len(outputs)} {origin}, first for "
                f"number {broken[0]}; repair the model before its export."
            )
        if all(np.array_equal(output, outputs[0]) for output in outputs):
            raise InputError(
                f"{model} the same output for each of {len(outputs)} {origin}; artifacts cannot be compared with it, "
                "so give several images that differ."
            )

    def _check_repeatable(self, samples: Samples, metadata: Metadata, outputs: Any) -> None:
        """Raise InputError where the outputs for an image are others when it is alone: files take one at a time."""
        alone = by_name(next(self._predict(samples.select(np.arange(1)), metadata)))
        for name, rows in by_name(outputs).items():
            first, again = np.asarray(rows[:1], "float64"), np.asarray(alone[name], "float64")
            if np.sqrt(np.mean((again - first) ** 2)) > MAX_CHANGE * np.sqrt(np.mean(first**2)):
                where = f" in {name!r}" if name else ""
                raise InputError(
                    f"{self.model.name} outputs other numbers{where} for an image that is alone than for the same "
                    "image among others: it draws random numbers, or computes across the images of a batch; a file "
                    "takes one image at a time, so leave that out."
                )

    def _predict(self, samples: Samples, metadata: Metadata) -> Iterator[Any]:
        """Outputs of Keras in chunks of limited size, by name if there are several."""
        inputs = dict(zip(named_inputs(self.model), by_name(samples.images).values(), strict=True))
        largest = max(max(rows.shape[1:3], default=1) for rows in inputs.values())
        sides = [[side or largest for side in tensor.shape[1:]] for tensor in named_outputs(self.model).values()]
        values = sum(map(prod, sides)) + sum(prod(rows.shape[1:]) for rows in inputs.values())
        chunk = max(1, MAX_CHUNK_BYTES // (4 * values))
        chunk = chunk // KERAS_BATCH * KERAS_BATCH or chunk  # whole batches, as in one call for all images
        for start in range(0, len(samples), chunk):
            part = {name: np.asarray(rows[start : start + chunk]) for name, rows in inputs.items()}
            arranged = arrange_inputs(self.model, part)
            with replace_name_scopes(lambda _: nullcontext()):  # TensorFlow does not accept every name
                outputs = self.model.predict(arranged, batch_size=min(chunk, KERAS_BATCH), verbose=0)
            named = name_outputs(self.model, outputs)
            yield next(iter(named.values())) if metadata.outputs is None else named


def _noise_samples(model: str, metadata: Metadata) -> Samples:
    """Noise for every input: pixels, and standard normal numbers.

    Raises:
        InputError: An input takes whole numbers, of which nothing is known.
    """

    def noise(form: InputForm, name: str = "") -> np.ndarray:
        if form.pixel_range is not None:
            return to_range(_noise(concrete_shape(form.shape)), form.pixel_range)
        if not form.dtype.startswith("float"):
            raise InputError(
                f"the input {name!r} of {model} takes {form.dtype}, whose range is not known; give evaluation or "
                "calibration data."
            )
        return np.random.default_rng(0).standard_normal((NOISE_IMAGES, *form.shape)).astype("float32")

    if metadata.inputs is None:
        return Samples(noise(metadata.input_forms[""]), None)
    return Samples({name: noise(form, name) for name, form in metadata.inputs.items()}, None)


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


def _check_label_shape(reference: Reference, name: str) -> None:
    """Raise InputError where labels are maps of another size than the outputs, which only their computation shows."""
    labels, outputs = reference.samples.labels, reference.outputs
    if labels is None:
        return
    size = reference.task.count_named(reference.decode(outputs[:1]).shape[1:])
    expected = tuple(reference.task.target_shape(size, outputs.shape[1:-1]))
    if not fits_shape(labels.shape[1:], expected):
        what = f"evaluation has labels{f' of {name!r}' if name else ''} of shape {labels.shape[1:]}"
        raise InputError(f"{what}; the model's outputs need {expected}.")
