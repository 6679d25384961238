"""Outputs of a model or an artifact, averaged over views of the images where that is requested."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np

from ...core.errors import InputError
from ...core.outputs import by_name, map_outputs
from ...zoo.decoded_form import decoded_form
from ..augmentation.test_time import VIEWS, check_views


class Artifact(Protocol):
    """What evaluation needs of the result of `export.load_artifact`."""

    @property
    def path(self) -> Path:
        """Its file."""

    @property
    def output_forms(self) -> Any:
        """With `task` and `labels`, a dict by name for several outputs; None where nothing is known."""

    @property
    def input(self) -> Any:
        """With `value_shape`; a dict by name for several inputs."""

    @property
    def output(self) -> Any:
        """A dict by name for several outputs."""

    @property
    def contract(self) -> Any:
        """What was stated or inferred, if another tool wrote its file; else None."""

    def state(self, **statements: Any) -> "Artifact":
        """Return it with what is stated about it."""

    def report_contract(self) -> None:
        """Print what was inferred."""

    def predict_raw(self, images: Any) -> Any:
        """Return the outputs of the task for raw pixels 0..255, `(count, height, width, channels)`; by name if there
        are several inputs or outputs."""


class Predictor:
    """A model in inference mode, or an artifact, as a function.

    Args:
        model: The model or artifact.
        test_time_augmentation: Name of the views to average over, from `augmentation.test_time`; None for the image
            itself.

    Raises:
        InputError: There is no such augmentation.
    """

    def __init__(self, model: keras.Model | Artifact, test_time_augmentation: str | None):
        check_views(test_time_augmentation)
        self._predict: Callable[..., Any]
        if isinstance(model, keras.Model):
            _check_one_replica(model)
            self._name, self._predict = model.name, decoded_form(model).predict_on_batch
        else:
            self._name, self._predict = str(model.path), _taking_signals(model.predict_raw)
        self._views = VIEWS[test_time_augmentation] if test_time_augmentation else None

    @property
    def has_views(self) -> bool:
        """Whether outputs are averaged over views of the images."""
        return self._views is not None

    def __call__(self, images: np.ndarray | dict[str, np.ndarray]) -> Any:
        """Return the outputs for images `(count, height, width, channels)` of 0..255, a dict for several outputs.

        Args:
            images: The images, or a dict of all inputs by name; views are of its images.

        Raises:
            InputError: An output is not finite.
        """
        if self._views is None:
            outputs = self._predict(images)
        else:
            height = next(each.shape[1] for each in by_name(images).values() if each.ndim == 4)
            by_view = [
                map_outputs(
                    _of_maps(lambda outputs, view=view: view.restore(outputs, height)),
                    self._predict(map_outputs(_of_maps(view.transform), images)),
                )
                for view in self._views
            ]
            outputs = map_outputs(lambda *of_views: np.mean(of_views, axis=0), *by_view)
        self._check_finite(outputs)
        return outputs

    def _check_finite(self, outputs: Any) -> None:
        for name, values in by_name(outputs).items():
            if not np.isfinite(values).all():
                wrong = values[~np.isfinite(values)][0]
                output = f" (output {name})" if name else ""
                raise InputError(
                    f"{self._name} outputs {wrong}{output}, which is not a finite number: its weights are broken, as "
                    "after a training that diverged. Train it with a lower learning rate."
                )


def _check_one_replica(model: keras.Model) -> None:
    """Raise InputError in a scope where every device would predict the same batch, and its outputs come twice."""
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    if strategy.num_replicas_in_sync > 1:
        raise InputError(
            f"{model.name} is evaluated on one device; call this function outside of the scope of "
            f"{type(strategy).__name__}."
        )


def _taking_signals(predict: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function of images take signals `(count, length, channels)`, which files take as images of one row."""

    def predict_signals(values: Any) -> Any:
        if np.ndim(values) != 3 or isinstance(values, dict):
            return predict(values)
        outputs = predict(values[:, np.newaxis])
        return map_outputs(lambda output: output[:, 0] if output.ndim == 4 else output, outputs)

    return predict_signals


def _of_maps(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda values: function(values) if values.ndim == 4 else values
