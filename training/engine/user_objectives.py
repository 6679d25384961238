"""Losses and metrics of the user: Keras objects, functions or names.

They get the network's outputs in the form of the task: probabilities, or the numbers of a regression. Targets of
classes are indices for losses and metrics that Keras calls sparse and for functions of the user, as the data has them;
the others of Keras get one-hot targets.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from ...core.errors import InputError
from ...core.outputs import by_name
from ...tasks.registry import get_task
from ..augmentation.mixing import mixing
from ..model_outputs import tasks_of
from ..recipe.recipe import Recipe
from .losses import PointwiseLoss, WeightedSum, class_shares
from .objectives import objectives

UserLoss = str | keras.losses.Loss | Callable[..., Any]
UserMetric = str | keras.metrics.Metric | Callable[..., Any]
Losses = UserLoss | Mapping[str, UserLoss]
"""For the only output, or by name."""
Metrics = Sequence[UserMetric] | Mapping[str, Sequence[UserMetric]]


@dataclass(frozen=True)
class UserObjectives:
    """What a user states for the outputs of a model."""

    loss: Losses | None = None
    """In place of the task's; None for that of the recipe or the task."""
    metrics: Metrics | None = None
    """In addition to those of the task."""

    def settings(self) -> dict[str, Any]:
        """Return the names, by which a run recognizes them when it is resumed."""
        stated = {"user_loss": self.loss, "user_metrics": self.metrics}
        return {name: named(value) for name, value in stated.items() if value is not None}

    def arguments(self, model: keras.Model, recipe: Recipe) -> dict[str, Any]:
        """Return the arguments `loss` and `metrics` of `keras.Model.compile`.

        Raises:
            InputError: Both the recipe and the user state a loss, an output has none of its own, a name is unknown, a
                loss expects logits, or one of class indices would get mixed targets; or as in `objectives`.
        """
        if self.loss is not None and recipe.loss is not None:
            raise InputError(f"loss is {named(self.loss)}, and the recipe has a loss too; leave one of them out.")
        own, tasks = objectives(model, recipe.loss), by_name(tasks_of(model))
        losses, added = _by_output("loss", self.loss, tasks), _by_output("metrics", self.metrics, tasks)
        if losses and losses.keys() != tasks.keys():
            missing = next(name for name in tasks if name not in losses)
            raise InputError(f"loss has none for the output {missing!r}; give one for each output.")
        mixed = bool(mixing(recipe.augmentation))
        loss = by_name(own["loss"]) | {name: _loss(one, tasks[name], mixed) for name, one in losses.items()}
        metrics = {
            name: [*known, *(_metric(one, tasks[name]) for one in added.get(name, ()) if not _is_among(one, known))]
            for name, known in by_name(own["metrics"]).items()
        }
        return {"loss": loss, "metrics": metrics} if "" not in tasks else {"loss": loss[""], "metrics": metrics[""]}


OF_THE_RECIPE = UserObjectives()
"""Nothing that the user states."""


def _is_among(stated: UserMetric, metrics: Sequence[keras.metrics.Metric]) -> bool:
    return named(stated) in [metric.name for metric in metrics]


def named(stated: Any) -> Any:
    """Return the names of losses or metrics, as they are recorded in a run."""
    if isinstance(stated, Mapping):
        return {name: named(own) for name, own in stated.items()}
    if isinstance(stated, list | tuple):
        return [named(one) for one in stated]
    own_name = getattr(stated, "name", getattr(stated, "__name__", type(stated).__name__))
    return stated if isinstance(stated, str) else own_name


def _by_output(argument: str, stated: Any, tasks: Mapping[str, str]) -> dict[str, Any]:
    if stated is None:
        return {}
    if not isinstance(stated, Mapping):
        if "" not in tasks:
            raise InputError(f"{argument} is stated for one output; give a dict by name, for {', '.join(tasks)}.")
        return {"": stated}
    if unknown := [name for name in stated if name not in tasks]:
        outputs = ", ".join(name or "one without a name" for name in tasks)
        raise InputError(f"{argument} names the output {unknown[0]!r}; the model has {outputs}.")
    return dict(stated)


def _loss(stated: UserLoss, task: str, mixed: bool) -> keras.losses.Loss:
    loss = _found("loss", stated, keras.losses.get)
    one_hot = get_task(task).class_indices and _takes_one_hot(loss)
    if getattr(loss, "get_config", dict)().get("from_logits"):
        raise InputError(
            f"loss {named(stated)} expects logits, but gets the outputs of a {task}; leave out its from_logits, and "
            "state from_logits of the model instead."
        )
    if mixed and get_task(task).class_indices and "sparse" in _kind(loss):
        raise InputError(f"loss {named(stated)} takes class indices, but the augmentation mixes classes; use another.")
    if isinstance(loss, keras.losses.Loss):
        return OneHot(loss, name=loss.name) if one_hot else WeightedSum([(1.0, loss)])
    return PointwiseLoss(loss, class_indices=one_hot, name=named(stated))


def _metric(stated: UserMetric, task: str) -> Any:
    if isinstance(stated, str) and stated in ("accuracy", "acc", "crossentropy", "ce"):  # Keras chooses by the shapes
        return stated
    metric = _found("metric", stated, keras.metrics.get)
    if not (get_task(task).class_indices and _takes_one_hot(metric)):
        return metric
    if not isinstance(metric, keras.metrics.Metric):
        metric = keras.metrics.MeanMetricWrapper(metric, name=named(stated))
    return MetricOfOneHot(metric)


def _found(what: str, stated: Any, get: Callable[[Any], Any]) -> Any:
    try:
        return get(stated) if isinstance(stated, str) else stated
    except ValueError as error:
        raise InputError(f"{what} {stated!r} is unknown; Keras has none of that name.") from error


def _kind(objective: Any) -> str:
    return str(getattr(objective, "__name__", type(objective).__name__)).lower()


def _takes_one_hot(objective: Any) -> bool:
    module = getattr(objective, "__module__", None) or type(objective).__module__
    return module.startswith("keras.") and "sparse" not in _kind(objective)


class OneHot(keras.losses.Loss):
    """A loss that gets class indices as one-hot targets.

    Args:
        loss: Loss of one-hot targets.
    """

    def __init__(self, loss: keras.losses.Loss, *, name: str):
        super().__init__(name=name)
        self._loss = loss

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the loss."""
        return self._loss(class_shares(y_true, y_pred), y_pred, sample_weight)


class MetricOfOneHot(keras.metrics.Metric):
    """A metric that gets class indices as one-hot targets.

    Args:
        metric: Metric of one-hot targets.
    """

    def __init__(self, metric: keras.metrics.Metric):
        super().__init__(name=metric.name)
        self._metric = metric

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Accumulate a batch."""
        return self._metric.update_state(class_shares(y_true, y_pred), y_pred, sample_weight=sample_weight)

    def result(self) -> Any:
        """Return the result of the metric."""
        return self._metric.result()

    def reset_state(self) -> None:
        """Forget all batches."""
        self._metric.reset_state()
