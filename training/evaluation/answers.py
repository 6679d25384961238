"""What a model answers to images, or the mean of what it answers to several views of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np

from ...core.errors import InputError, unknown
from ...core.outputs import by_name, map_outputs
from ..augmentation.test_time import VIEWS


class Artifact(Protocol):
    """What `export.load_artifact` gives, as far as it counts here: what is measured of it is not known to be Keras."""

    path: Path
    metadata: Any
    """With `task` and `labels`, or None where nothing is known."""
    input: Any
    """With `image_shape`."""

    def run(self, images: np.ndarray) -> np.ndarray:
        """Answers to images `(count, height, width, channels)` of 0..255."""


class Answers:
    """A model, in inference mode, or an artifact as a function.

    Args:
        model: The model or artifact.
        test_time_augmentation: Whose views to average over, of `augmentation.test_time`; None: the image as it is.

    Raises:
        InputError: There is no such augmentation.
    """

    def __init__(self, model: keras.Model | Artifact, test_time_augmentation: str | None):
        if test_time_augmentation not in (None, *VIEWS):
            raise unknown("test-time augmentation", test_time_augmentation, VIEWS)
        is_keras = isinstance(model, keras.Model)
        self._name = model.name if is_keras else str(model.path)
        self._ask = model.predict_on_batch if is_keras else model.run
        self._views = VIEWS[test_time_augmentation] if test_time_augmentation else None

    def __call__(self, images: np.ndarray) -> Any:
        """Answers to images `(count, height, width, channels)` of 0..255, a dict by name of several outputs.

        Raises:
            InputError: An answer is no finite number.
        """
        if self._views is None:
            answers = self._ask(images)
        else:
            seen = [map_outputs(_restorer(view.restore), self._ask(view.transform(images))) for view in self._views]
            answers = map_outputs(lambda *of_views: np.mean(of_views, axis=0), *seen)
        self._check(answers)
        return answers

    def _check(self, answers: Any) -> None:
        for name, of_output in by_name(answers).items():
            if not np.isfinite(of_output).all():
                wrong = of_output[~np.isfinite(of_output)][0]
                output = f" (output {name})" if name else ""
                raise InputError(
                    f"{self._name} answers {wrong}{output}, which is no number: its weights are broken, as by a "
                    "training that diverged. Train it with a lower learning rate."
                )


def _restorer(restore: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda answers: restore(answers) if answers.ndim == 4 else answers
