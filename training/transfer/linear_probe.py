"""Linear probe: logistic regression on the features of a frozen model, assigned to its head."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import keras
import numpy as np

from ...core.errors import InputError
from ...layers import Head
from ...layers.heads import VectorHead
from ...tasks.registry import get_task
from ...zoo.contract import contract_of
from ...zoo.decoded_form import with_raw_pixels
from ..data.images import ImageData, ImageSplit
from ..engine.history import History
from ..engine.job import Phase
from ..engine.run_directory import RunDirectory
from ..recipe.augmentation import Function, transformations
from ..recipe.recipe import FineTuneRecipe
from .freezing import freeze_stages, preserve_trainability, report, show_report
from .frozen_trunk import cached_features, split_at_frozen
from .model_stages import stages_of

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

STRENGTHS = np.logspace(1, -6, 15)
"""Strengths of the L2 penalty, from strong to weak: the loss is mean cross-entropy + strength / 2 * |kernel|^2 on
standardized features."""


class Features(NamedTuple):
    """Features and labels of a split."""

    vectors: np.ndarray
    """`(count, features)`."""
    labels: np.ndarray
    """`(count,)`."""


class Probe(NamedTuple):
    """Metrics and coefficients at one strength of the penalty."""

    metrics: dict[str, float]
    kernel: np.ndarray
    """`(features, classes)`."""
    bias: np.ndarray
    """`(classes,)`."""


def linear_probe(model: keras.Model, data: ImageData, recipe: FineTuneRecipe, *, verbose: bool) -> Phase:
    """Return the phase that fits the head on frozen features with each of `STRENGTHS`, an epoch of the history each.

    The dense layer of the head gets the coefficients with the least validation loss, so that the model has the
    probabilities of scikit-learn's classifier. The search is fast compared with the features: an interrupted one starts
    over.

    Raises:
        InputError: The model's head is not a classification by a dense layer, or the recipe sets an option that
            logistic regression does not have.
    """
    stages = stages_of(model)
    *frozen, (_, layers, _) = stages
    heads = [layer for layer in layers if isinstance(layer, Head)]
    if len(heads) != 1 or not _can_be_probed(heads[0]):
        if not heads:
            raise InputError(
                f"mode 'linear_probe' takes a model with a head of the zoo; zoo.replace_head({model.name}, "
                "'classification', ...) makes one."
            )
        kinds = (f"{head.TASK} by a score map" if getattr(head, "score_map", False) else head.TASK for head in heads)
        raise InputError(
            f"mode 'linear_probe' takes a model with one head, a classification by a dense layer; {model.name} has "
            f"{' and '.join(kinds)}."
        )
    if not heads[0].trainable_weights:
        raise InputError(f"{model.name}: nothing is left to train; its head is frozen.")
    _check_recipe(recipe)
    with preserve_trainability(model):
        freeze_stages(frozen)
        trainable = report(stages, lambda stage: None)

    def train(run: RunDirectory, history: History) -> None:
        show_report(trainable, f"{model.name}, linear probe", quiet=not verbose)
        with preserve_trainability(model):
            freeze_stages(frozen)
            trunk, tail = split_at_frozen(model)
            trunk = with_raw_pixels(trunk, contract_of(model))
            with cached_features(trunk, data, run.path, batch_size=recipe.batch_size, quiet=not verbose) as features:
                probes = list(_search(*(_vectors(split) for split in (features.train, features.validation))))
        history.epochs.extend(probe.metrics for probe in probes)
        best = min(probes, key=lambda probe: probe.metrics["val_loss"])
        heads[0].dense.kernel.assign(best.kernel)
        heads[0].dense.bias.assign(best.bias)
        run.save_checkpoint(model, tail, history, is_best=True)

    return Phase(len(STRENGTHS), train, {"name": "linear probe"} | trainable.to_dict())


def _can_be_probed(head: Head) -> bool:
    """Return whether a dense layer on the features computes the outputs of a task that logistic regression fits."""
    return isinstance(head, VectorHead) and not head.score_map and get_task(head.TASK).has_linear_probe


def _vectors(split: ImageSplit) -> Features:
    (vectors,), labels = split.arrays()
    return Features(vectors.astype("float64"), labels)


def _check_recipe(recipe: FineTuneRecipe) -> None:
    is_set = {
        "loss": recipe.loss is not None,
        "l1": recipe.l1,
        "l2": recipe.l2,
        "dropout": recipe.dropout is not None,
        "data.class_weights": recipe.data.class_weights != "none",
        "data.sampling": recipe.data.sampling != "none",
        "functions in augmentation": any(isinstance(step, Function) for step in transformations(recipe.augmentation)),
    }
    if unsupported := [name for name, value in is_set.items() if value]:
        raise InputError(
            f"mode 'linear_probe' is plain logistic regression; it does not support {' or '.join(unsupported)}."
        )


def _search(train: Features, validation: Features) -> Iterator[Probe]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(train.vectors)
    train, validation = (part._replace(vectors=scaler.transform(part.vectors)) for part in (train, validation))
    classifier = LogisticRegression(max_iter=1000, warm_start=True)
    for strength in STRENGTHS:
        # scikit-learn's C is the weight of the summed losses relative to half the squared norm.
        classifier.set_params(C=1 / (strength * len(train.labels))).fit(*train)
        metrics = {"l2": float(strength), **_measure(classifier, train)}
        metrics |= {f"val_{name}": value for name, value in _measure(classifier, validation).items()}
        yield Probe(metrics, *_kernel_and_bias(classifier, scaler))


def _measure(classifier: "LogisticRegression", features: Features) -> dict[str, float]:
    from sklearn.metrics import log_loss

    loss = log_loss(features.labels, classifier.predict_proba(features.vectors), labels=classifier.classes_)
    return {"accuracy": float(classifier.score(*features)), "loss": float(loss)}


def _kernel_and_bias(classifier: "LogisticRegression", scaler: "StandardScaler") -> tuple[np.ndarray, np.ndarray]:
    """Return the weights of a dense layer whose softmax on raw features is the classifier's on standardized ones."""
    coefficients, intercepts = classifier.coef_, classifier.intercept_
    if len(classifier.classes_) == 2:  # scikit-learn stores the difference of the two scores
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    kernel = (coefficients / scaler.scale_).T
    return kernel, intercepts - scaler.mean_ @ kernel
