"""Losses and metrics of the user: Keras objects, functions or names.

They get the network's outputs in the form of the task: probabilities, or the numbers of a regression. Targets of
classes are indices for losses and metrics that Keras calls sparse and for functions of the user, as the data has them;
the others of Keras get one-hot targets. Where a model has one unit for two classes, they get its probability and the
targets as `(..., 1)`, as from Keras; only what is called categorical gets both classes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from ...core.errors import InputError
from ...core.outputs import by_name
from ...tasks.registry import get_task
from ...zoo.contract import contract_of
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

    def arguments(self, model: keras.Model, recipe: Recipe, labels: Any = None) -> dict[str, Any]:
        """Return the arguments `loss` and `metrics` of `keras.Model.compile`; `labels` as in `objectives`.

        Raises:
            InputError: Both the recipe and the user state a loss, an output has none of its own, a name is unknown, a
                loss expects logits, or one of class indices would get mixed targets; or as in `objectives`.
        """
        if self.loss is not None and recipe.loss is not None:
            raise InputError(f"loss is {named(self.loss)}, and the recipe has a loss too; leave one of them out.")
        own, tasks = objectives(model, recipe.loss, labels), by_name(tasks_of(model))
        outputs = by_name(contract_of(model).outputs)
        losses, added = _by_output("loss", self.loss, tasks), _by_output("metrics", self.metrics, tasks)
        if losses and losses.keys() != tasks.keys():
            missing = next(name for name in tasks if name not in losses)
            raise InputError(f"loss has none for the output {missing!r}; give one for each output.")
        mixed = bool(mixing(recipe.augmentation))
        loss = by_name(own["loss"]) | {
            name: _loss(one, tasks[name], mixed, outputs[name].is_single) for name, one in losses.items()
        }
        metrics = {
            name: [
                *known,
                *(
                    _metric(one, tasks[name], outputs[name].is_single)
                    for one in added.get(name, ())
                    if not _is_among(one, known)
                ),
            ]
            for name, known in by_name(own["metrics"]).items()
        }
        return {"loss": loss, "metrics": metrics} if "" not in tasks else {"loss": loss[""], "metrics": metrics[""]}


CHOSEN_BY_SHAPE = {
    **dict.fromkeys(("accuracy", "acc"), keras.metrics.BinaryAccuracy),
    **dict.fromkeys(("crossentropy", "ce"), keras.metrics.BinaryCrossentropy),
}
"""Metrics that Keras chooses by the shapes, with the one for a single unit."""
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
    if isinstance(stated, str | type):
        return stated if isinstance(stated, str) else stated.__name__
    name = getattr(stated, "name", getattr(stated, "__name__", type(stated).__name__))
    return name.strip("<>")  # of a lambda, which TensorFlow does not accept as a name


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


def _loss(stated: UserLoss, task: str, mixed: bool, is_single: bool) -> keras.losses.Loss:
    loss = _found("loss", stated, keras.losses.get)
    one_unit = is_single and not _takes_all_classes(loss)
    one_hot = get_task(task).class_indices and not one_unit and _takes_one_hot(loss)
    if getattr(loss, "get_config", dict)().get("from_logits"):
        raise InputError(
            f"loss {named(stated)} expects logits, but gets the outputs of a {task}; leave out its from_logits, and "
            "state from_logits of the model instead."
        )
    if mixed and get_task(task).class_indices and "sparse" in _kind(loss):
        raise InputError(f"loss {named(stated)} takes class indices, but the augmentation mixes classes; use another.")
    if one_unit:
        is_loss = isinstance(loss, keras.losses.Loss)
        loss = loss if is_loss else PointwiseLoss(loss, class_indices=False, name=named(stated))
        return OneUnit(loss, name=loss.name)
    if isinstance(loss, keras.losses.Loss):
        return OneHot(loss, name=loss.name) if one_hot else WeightedSum([(1.0, loss)])
    return PointwiseLoss(loss, class_indices=one_hot, name=named(stated))


def _metric(stated: UserMetric, task: str, is_single: bool) -> Any:
    if isinstance(stated, str) and stated in CHOSEN_BY_SHAPE:
        if not is_single:
            return stated
        return MetricOf(second_class, CHOSEN_BY_SHAPE[stated](name=stated))
    metric = _found("metric", stated, keras.metrics.get)
    one_unit = is_single and not _takes_all_classes(metric)
    if not one_unit and not (get_task(task).class_indices and _takes_one_hot(metric)):
        return metric
    if not isinstance(metric, keras.metrics.Metric):
        metric = keras.metrics.MeanMetricWrapper(metric, name=named(stated))
    return MetricOf(second_class if one_unit else _one_hot, metric)


def _found(what: str, stated: Any, get: Callable[[Any], Any]) -> Any:
    if isinstance(stated, type):
        return _instance(what, stated)
    try:
        return get(stated) if isinstance(stated, str) else stated
    except ValueError as error:
        raise InputError(f"{what} {stated!r} is unknown; Keras has none of that name.") from error


def _instance(what: str, stated: type) -> Any:
    """Return an object of a class of losses or metrics, which Keras takes too."""
    if not issubclass(stated, keras.losses.Loss | keras.metrics.Metric):
        raise InputError(f"{what} is the class {stated.__name__}, which is no {what} of Keras.")
    try:
        return stated()
    except TypeError as error:
        raise InputError(f"{what} is the class {stated.__name__}, which needs arguments; give an object.") from error


def _kind(objective: Any) -> str:
    return str(getattr(objective, "__name__", type(objective).__name__)).lower()


def _takes_one_hot(objective: Any) -> bool:
    module = getattr(objective, "__module__", None) or type(objective).__module__
    takes_indices = getattr(objective, "sparse_y_true", "sparse" in _kind(objective))
    return module.startswith("keras.") and not takes_indices


def _takes_all_classes(objective: Any) -> bool:
    """Return whether an objective is for one output of each class, and not for a single unit."""
    kind = _kind(objective)
    return "categorical" in kind or "onehot" in kind or getattr(objective, "sparse_y_pred", True) is False


def second_class(targets: Any, outputs: Any) -> tuple[Any, Any]:
    """Return targets and probability of the second of two classes, `(..., 1)`, as of a model of one unit."""
    is_mixed = len(targets.shape) == len(outputs.shape)
    return targets[..., 1:] if is_mixed else keras.ops.expand_dims(targets, -1), outputs[..., 1:]


def _one_hot(targets: Any, outputs: Any) -> tuple[Any, Any]:
    return class_shares(targets, outputs), outputs


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


class OneUnit(keras.losses.Loss):
    """A loss that gets the probability of the second of two classes, as a model of one unit outputs it.

    Args:
        loss: Loss of targets and outputs `(..., 1)`.
    """

    def __init__(self, loss: keras.losses.Loss, *, name: str):
        super().__init__(name=name)
        self._loss = loss

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the loss."""
        return self._loss(*second_class(y_true, y_pred), sample_weight)


class MetricOf(keras.metrics.Metric):
    """A metric of targets and outputs in another form.

    Args:
        form: Returns targets and outputs in the form that the metric takes.
        metric: The metric.
    """

    def __init__(self, form: Callable[[Any, Any], tuple[Any, Any]], metric: keras.metrics.Metric):
        super().__init__(name=metric.name)
        self._form = form
        self._metric = metric

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Accumulate a batch."""
        return self._metric.update_state(*self._form(y_true, y_pred), sample_weight=sample_weight)

    def result(self) -> Any:
        """Return the result of the metric."""
        return self._metric.result()

    def reset_state(self) -> None:
        """Forget all batches."""
        self._metric.reset_state()
