"""Every loss against its formula in NumPy, for every task that may be trained with it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pocketzoo import training, zoo
from pocketzoo.tasks import get_task, task_names
from pocketzoo.training.engine.losses import make_loss
from pocketzoo.training.engine.objectives import objectives

RANDOM = np.random.default_rng(0)
SHAPES = {"classification": (6, 5), "multi_label": (6, 4), "regression": (6, 3), "segmentation": (6, 4, 3, 5)}
WEIGHTS = np.array([0.0, 1.0, 2.0, 0.5, 1.0, 3.0])


def answers_of(task: str) -> np.ndarray:
    raw = RANDOM.normal(size=SHAPES[task])
    if task == "regression":
        return 2 * raw
    if task == "multi_label":
        return 1 / (1 + np.exp(-raw))
    return np.exp(raw) / np.exp(raw).sum(axis=-1, keepdims=True)


def targets_of(task: str) -> np.ndarray:
    """As the data has them: indices of classes, or a number for each answer."""
    shape = SHAPES[task]
    if task == "regression":
        return RANDOM.normal(size=shape)
    if task == "multi_label":
        return RANDOM.integers(0, 2, shape).astype("float64")
    return RANDOM.integers(0, shape[-1] - 1, shape[:-1])  # nothing is of the last class


def one_hot(targets: np.ndarray, classes: int) -> np.ndarray:
    return np.eye(classes)[targets]


def cross_entropy(t, p, smoothing=0.0):
    t = t * (1 - smoothing) + smoothing / t.shape[-1]
    return -(t * np.log(p)).sum(axis=-1)


def binary(t, p, smoothing=0.0):
    t = t * (1 - smoothing) + smoothing / 2
    return -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean(axis=-1)


def focal(t, p, gamma, smoothing=0.0):
    t = t * (1 - smoothing) + smoothing / t.shape[-1]
    return -(t * (1 - p) ** gamma * np.log(p)).sum(axis=-1)


def binary_focal(t, p, gamma):
    right = t * p + (1 - t) * (1 - p)
    return -((1 - right) ** gamma * (t * np.log(p) + (1 - t) * np.log(1 - p))).mean(axis=-1)


def hinge(t, p):
    return np.maximum(0, 1 + np.where(t == 1, 0, p).max(axis=-1) - (t * p).sum(axis=-1))


def binary_hinge(t, p):
    return np.maximum(0, 1 - np.where(t == 1, 1, -1) * (2 * p - 1)).mean(axis=-1)


def huber(t, p, delta):
    off = np.abs(t - p)
    return np.where(off < delta, off**2 / 2, delta * off - delta**2 / 2).mean(axis=-1)


EACH = [
    ("classification", {"name": "cross_entropy"}, cross_entropy),
    ("classification", {"name": "cross_entropy", "label_smoothing": 0.2}, lambda t, p: cross_entropy(t, p, 0.2)),
    ("classification", {"name": "focal", "gamma": 1.5}, lambda t, p: focal(t, p, 1.5)),
    ("classification", {"name": "focal", "label_smoothing": 0.1}, lambda t, p: focal(t, p, 2.0, 0.1)),
    ("classification", {"name": "hinge"}, hinge),
    ("classification", {"name": "mse"}, lambda t, p: ((t - p) ** 2).mean(axis=-1)),
    ("multi_label", {"name": "binary_cross_entropy"}, binary),
    ("multi_label", {"name": "binary_cross_entropy", "label_smoothing": 0.2}, lambda t, p: binary(t, p, 0.2)),
    ("multi_label", {"name": "focal", "gamma": 1.5}, lambda t, p: binary_focal(t, p, 1.5)),
    ("multi_label", {"name": "focal", "gamma": 0.0}, lambda t, p: binary_focal(t, p, 0.0)),
    ("multi_label", {"name": "hinge"}, binary_hinge),
    ("multi_label", {"name": "mse"}, lambda t, p: ((t - p) ** 2).mean(axis=-1)),
    ("regression", {"name": "mse"}, lambda t, p: ((t - p) ** 2).mean(axis=-1)),
    ("regression", {"name": "mae"}, lambda t, p: np.abs(t - p).mean(axis=-1)),
    ("regression", {"name": "huber", "delta": 0.7}, lambda t, p: huber(t, p, 0.7)),
    ("segmentation", {"name": "cross_entropy"}, cross_entropy),
    ("segmentation", {"name": "focal"}, lambda t, p: focal(t, p, 2.0)),
]
OVERLAPS = [
    (task, how, *shares)
    for task in ("multi_label", "segmentation")
    for how, shares in (
        ({"name": "dice"}, (0.5, 0.5)),
        ({"name": "tversky"}, (0.3, 0.7)),
        ({"name": "tversky", "alpha": 1.0, "beta": 0.0}, (1.0, 0.0)),
    )
]


def test_every_loss_of_every_task_is_checked_here():
    checked = {(task, how["name"]) for task, how, *_ in EACH + OVERLAPS}
    elsewhere = (
        "counting",
        "detection",
        "embedding",
        "image_to_image",
        "keypoints",
        "sequence",
    )  # in tests of their own
    assert checked == {(task, name) for task in task_names() for name in get_task(task).losses if task not in elsewhere}


def loss_of(how, task: str) -> keras.Loss:
    return make_loss(training.Recipe(loss=how).loss, get_task(task).class_indices)


def shares(targets: np.ndarray, task: str) -> np.ndarray:
    return one_hot(targets, SHAPES[task][-1]) if task in ("classification", "segmentation") else targets


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("task", "how", "formula"), EACH)
def test_loss_is_its_formula_and_images_count_by_their_weights(task, how, formula, compiled):
    loss, answers, targets = loss_of(how, task), answers_of(task), targets_of(task)
    loss = tf.function(loss) if compiled else loss
    each = formula(shares(targets, task), answers)
    answers = answers.astype("float32")
    assert float(loss(targets, answers)) == pytest.approx(each.mean(), rel=1e-5)
    weighted = each * WEIGHTS.reshape(-1, *(1,) * (each.ndim - 1))
    assert float(loss(targets, answers, WEIGHTS.astype("float32"))) == pytest.approx(weighted.mean(), rel=1e-5)


@pytest.mark.parametrize(("task", "how", "alpha", "beta"), OVERLAPS)
def test_overlap_is_of_the_batch_and_of_the_classes_that_are_in_it(task, how, alpha, beta):
    loss, answers, targets = loss_of(how, task), answers_of(task), targets_of(task)
    if task == "multi_label":
        targets[:, -1] = 0

    def expected(weights):
        t, p = shares(targets, task), answers
        w = weights.reshape(-1, *(1,) * (t.ndim - 1))
        axes = tuple(range(t.ndim - 1))
        right, wrong, missed = ((w * part).sum(axis=axes) for part in (t * p, (1 - t) * p, t * (1 - p)))
        there = (w * t).sum(axis=axes) > 0
        assert not there[-1]
        return (1 - right / (right + alpha * wrong + beta * missed))[there].mean()

    p = answers.astype("float32")
    assert float(loss(targets, p)) == pytest.approx(expected(np.ones(6)), rel=1e-5)
    assert float(loss(targets, p, WEIGHTS.astype("float32"))) == pytest.approx(expected(WEIGHTS), rel=1e-5)


def test_overlap_of_a_batch_without_any_label_is_no_loss():
    loss = loss_of("dice", "multi_label")
    assert float(loss(np.zeros((3, 2)), np.full((3, 2), 0.4, "float32"))) == 0


@pytest.mark.parametrize("name", get_task("classification").losses)
def test_indices_of_classes_and_their_shares_are_one_loss(name):
    loss, answers, targets = loss_of(name, "classification"), answers_of("classification"), targets_of("classification")
    given = one_hot(targets, 5).astype("float32")
    assert float(loss(targets, answers)) == pytest.approx(float(loss(given, answers)), rel=1e-6)


def test_mixed_targets_weigh_both_classes():
    loss, answers = loss_of("cross_entropy", "classification"), answers_of("classification")
    first, second = targets_of("classification"), targets_of("classification")
    mixed = 0.3 * one_hot(first, 5) + 0.7 * one_hot(second, 5)
    apart = 0.3 * float(loss(first, answers)) + 0.7 * float(loss(second, answers))
    assert float(loss(mixed, answers)) == pytest.approx(apart, rel=1e-5)


def test_sum_adds_losses_by_their_weights():
    answers, targets = answers_of("segmentation"), targets_of("segmentation")
    both = loss_of(["cross_entropy", {"name": "dice", "weight": 0.3}], "segmentation")
    parts = [float(loss_of(name, "segmentation")(targets, answers)) for name in ("cross_entropy", "dice")]
    assert float(both(targets, answers)) == pytest.approx(parts[0] + 0.3 * parts[1], rel=1e-5)


@pytest.mark.parametrize("name", get_task("segmentation").losses)
def test_answers_in_half_precision_are_measured_in_float32(name):
    loss, targets = loss_of(name, "segmentation"), targets_of("segmentation")
    answers = tf.cast(answers_of("segmentation"), "bfloat16")
    measured = loss(targets, answers)
    assert measured.dtype == "float32"
    assert float(measured) == pytest.approx(float(loss(targets, tf.cast(answers, "float32"))), rel=1e-6)


def test_confident_mistake_is_told_from_a_worse_one_inside_a_compiled_step():
    """Where a softmax has gone to 0, Keras goes back to what it was made from."""
    loss = loss_of({"name": "cross_entropy"}, "classification")
    compiled = tf.function(lambda scores: loss(tf.constant([1]), tf.nn.softmax(scores)))
    assert float(compiled(tf.constant([[200.0, 0.0]]))) == pytest.approx(200)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("task", ["classification", "multi_label"])
@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0])
def test_focal_loss_has_finite_gradients_where_outputs_are_saturated(task, gamma, compiled):
    activation = {"classification": tf.nn.softmax, "multi_label": tf.nn.sigmoid}[task]
    loss = loss_of({"name": "focal", "gamma": gamma}, task)
    targets = tf.constant([0, 1] if task == "classification" else [[1.0, 0.0], [0.0, 1.0]])

    def gradient(scores):
        with tf.GradientTape() as tape:
            tape.watch(scores)
            value = loss(targets, activation(scores))
        return value, tape.gradient(value, scores)

    gradient = tf.function(gradient) if compiled else gradient
    for scores in ([[200.0, -200.0], [-200.0, 200.0]], [[-200.0, 200.0], [200.0, -200.0]], [[30.0, 0.0], [0.0, 0.0]]):
        assert all(np.isfinite(value).all() for value in gradient(tf.constant(scores)))


def model_for(task):
    return zoo.create_model("lenet5", head=task, classes=dict.fromkeys(task, 3) if isinstance(task, dict) else 3)


def test_loss_that_does_not_fit_the_task_names_those_that_do():
    model = model_for("multi_label")
    with pytest.raises(
        zoo.InputError,
        match="loss 'cross_entropy' does not fit lenet5, a multi_label; that takes binary_cross_entropy, focal",
    ):
        objectives(model, training.Recipe(loss=["dice", "cross_entropy"]).loss)


def test_several_outputs_take_their_own_losses_or_one_that_fits_all():
    model = model_for({"kind": "classification", "size": "regression"})
    losses = objectives(model)["loss"]
    assert {name: loss.name for name, loss in losses.items()} == {"kind": "cross_entropy", "size": "mse"}
    losses = objectives(model, training.Recipe(loss="mse").loss)["loss"]
    assert {name: loss.name for name, loss in losses.items()} == {"kind": "mse", "size": "mse"}
    with pytest.raises(zoo.InputError, match="loss 'focal' does not fit lenet5's output 'size', a regression"):
        objectives(model, training.Recipe(loss="focal").loss)


@pytest.mark.parametrize(
    ("task", "targets", "mixed", "answers", "right"),
    [
        ("classification", [0, 2], [[0.6, 0.4, 0], [0, 0.3, 0.7]], [[0.5, 0.3, 0.2], [0.2, 0.7, 0.1]], 0.5),
        ("multi_label", [[1, 0, 1]], [[0.8, 0.3, 0.6]], [[0.9, 0.2, 0.4]], 2 / 3),
    ],
)
def test_metric_takes_targets_as_they_are_and_mixed_ones(task, targets, mixed, answers, right):
    (metric,) = objectives(model_for(task))["metrics"]
    for given in (targets, mixed):
        metric.reset_state()
        metric.update_state(np.array(given), np.array(answers))
        assert float(metric.result()) == pytest.approx(right)


def test_mixed_targets_in_training_and_indices_in_validation_are_both_measured(few_digits):
    images, labels = few_digits.validation.arrays()
    model = zoo.create_model("lenet5")
    model.compile("sgd", **objectives(model))
    run = model.fit(
        images, one_hot(labels, 10).astype("float32"), epochs=1, verbose=0, validation_data=(images, labels)
    )
    facts = model.evaluate(images, one_hot(labels, 10).astype("float32"), verbose=0, return_dict=True)
    assert facts["accuracy"] == pytest.approx(run.history["val_accuracy"][0])
    assert facts["loss"] == pytest.approx(run.history["val_loss"][0], rel=1e-5)
