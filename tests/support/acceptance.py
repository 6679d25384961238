"""Every verb on one model of a user: what the acceptance tests of different models share."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import keras
import numpy as np
import pytest
import tensorflow as tf

from pocketzoo import export, training, zoo
from pocketzoo.export.targets import LITERT, TARGETS, Target

BOTH_RUNTIMES = Target(
    dict.fromkeys(("tflite-fp32", "tflite-fp16", "tflite-uint8"), LITERT)
    | {
        "onnx-fp32": ("onnxruntime",),
        "onnx-fp16": ("onnxruntime", "onnxruntime-float16"),
        "onnx-int8": ("onnxruntime",),
    },
    "fp32, fp16 and int8 of each runtime",
)
RECIPE = training.Recipe(epochs=1, batch_size=16, augmentation="none", optimizer={"lr": 1e-4})
STILL = RECIPE.changed(epochs=2, batch_size=8, optimizer={"lr": 1e-7})
"""Leaves the weights as they are, and has enough steps for the ranges of activations: kernels with a folded BatchNorm
are small where pixels are not scaled."""
CELLS = 4
"""Squares along each side of an image."""


@dataclass(frozen=True)
class Case:
    """A model with images that it predicts well; every test gets it with the same weights."""

    model: keras.Model
    images: np.ndarray
    """Raw pixels, uint8 `(count, height, width, channels)`."""
    targets: np.ndarray
    data: training.ImageData
    """Some of the images, for a few steps of training."""
    contract: dict[str, Any] = field(default_factory=dict)
    """What the model does not say itself, such as `pixels`."""
    no_integers: str | None = None
    """Pattern of the types of layers for which training for integers may refuse the model."""
    budget: str = "macs:0.9"
    """For the removal of channels."""

    def __post_init__(self):
        object.__setattr__(self, "_weights", self.model.get_weights())

    def reset(self) -> None:
        self.model.set_weights(self._weights)

    def check_exported(self, folder: Path) -> None:
        """Export for TFLite and ONNX; every file must be equal to Keras on its runtimes, within its thresholds."""
        with patch.dict(TARGETS, {"both-runtimes": BOTH_RUNTIMES}):
            manifest = export.export_model(
                self.model,
                folder / "bundle",
                targets="both-runtimes",
                calibration=self.images[:32],
                evaluation=(self.images[-50:], self.targets[-50:]),
                **self.contract,
            )
        assert {record.format for record in manifest.artifacts} == BOTH_RUNTIMES.checks.keys()
        assert manifest.passed
        gates = [gate for record in manifest.artifacts for _, gate in record.located_gates]
        assert {gate.status for gate in gates if gate.name == "relative difference"} == {"passed"}

    def check_trained(self) -> None:
        with eager_steps():
            result = training.fit(self.model, self.data, RECIPE, verbose=False, **self.contract)
        assert np.isfinite(result.history[-1]["val_loss"])
        changed = [not np.array_equal(*pair) for pair in zip(self._weights, self.model.get_weights(), strict=True)]
        assert any(changed)
        assert all(np.isfinite(weight).all() for weight in self.model.get_weights())

    def check_pruned(self) -> None:
        with eager_steps():
            result = training.prune(self.model, self.data, RECIPE, sparsity=0.5, verbose=False, **self.contract)
        assert result.metrics["sparsity"] == pytest.approx(0.5, abs=0.01)

    def check_narrowed(self) -> None:
        """Remove channels; the function itself proves that the rest computes the same."""
        result = training.prune_channels(self.model, budget=self.budget, round_to=1)
        assert result.after.parameters < result.before.parameters
        assert result.after.multiply_adds is None or result.after.multiply_adds < result.before.multiply_adds
        images = self.images[:2].astype("float32")
        assert result.model(images).shape == self.model(images).shape
        assert all(result.frozen.values())  # each has a reason

    def check_quantized(self, folder: Path) -> None:
        """Train for integers, and export without calibration images; or be refused with the name of a layer."""
        try:
            with eager_steps():
                result = training.quantize_aware(self.model, self.data, STILL, verbose=False, **self.contract)
        except zoo.InputError as error:
            if self.no_integers is None or not re.search(rf"no rule for \w+ \(({self.no_integers})\)", str(error)):
                raise
            return
        evaluation = self.images[-50:], self.targets[-50:]
        manifest = export.export_model(result.model, folder / "bundle", targets="mobile-cpu", evaluation=evaluation)
        assert [record.format for record in manifest.artifacts] == ["tflite-uint8"]


@contextmanager
def eager_steps() -> Iterator[None]:
    """Do not trace steps of training, which takes longer than the few of them here."""
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


def colored_squares(count: int, shape: tuple[int, int, int], classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of squares in the pattern of their class, blended with random ones, and the class of each."""
    random = np.random.default_rng(0)
    patterns = random.uniform(0, 255, (classes, CELLS, CELLS, shape[-1]))
    labels = np.arange(count) % classes
    squares = 0.9 * patterns[labels] + 0.1 * random.uniform(0, 255, (count, *patterns.shape[1:]))
    rows, columns = (np.arange(side) * CELLS // side for side in shape[:2])
    return np.ascontiguousarray(squares[:, rows][:, :, columns].astype("uint8")), labels.astype("int32")


def fit_last_layer(model: keras.Model, values: np.ndarray, labels: np.ndarray) -> None:
    """Give a net of random weights the right outputs for most images, by a ridge regression of its last layer.

    With offsets of 1, BatchNorm lets most values pass, so that rounding errors do not grow with depth, as in
    docs/untrained.py.
    """
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        norm.beta.assign(np.ones(norm.beta.shape))
    model(values[:16], training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    last = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense | keras.layers.Conv2D)][-1]
    trunk = keras.Model(model.input, last.input)
    features = np.concatenate([trunk(values[row : row + 32], training=False) for row in range(0, len(values), 32)])
    features = features.reshape(len(values), -1).astype("float64")
    mean, count = features.mean(axis=0), last.kernel.shape[-1]
    gram = (features - mean) @ (features - mean).T
    gram += 0.1 * np.trace(gram) / len(gram) * np.eye(len(gram))
    kernel = (features - mean).T @ np.linalg.solve(gram, 12 * (np.eye(count)[labels] - 1 / count))
    last.kernel.assign(kernel.reshape(last.kernel.shape))
    last.bias.assign(-mean @ kernel)
