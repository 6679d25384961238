"""Losses and metrics that a user passes to `fit` and `fine_tune`."""

import keras
import numpy as np
import pytest
from keras import ops
from support.small_net import small_net
from support.transfer import BRIEF as OF_FINE_TUNING
from support.transfer import lenet, with_tasks

from pocketzoo import training, zoo
from pocketzoo.training.engine.user_objectives import UserObjectives
from pocketzoo.zoo.contract import state_contract

BRIEF = training.Recipe(epochs=2, batch_size=40, augmentation="none")


def net() -> keras.Model:
    keras.utils.set_random_seed(0)
    return small_net()


def own_cross_entropy(targets, outputs):
    """As a user writes it, for the targets of the data."""
    assert len(targets.shape) == 1
    return keras.losses.sparse_categorical_crossentropy(targets, outputs)


@pytest.fixture(scope="module")
def default(small_digits):
    return training.fit(net(), small_digits, BRIEF, verbose=False)


@pytest.fixture(scope="module")
def one_epoch(small_digits):
    return training.fit(net(), small_digits, BRIEF.changed(epochs=1), verbose=False)


LOSSES = [
    "sparse_categorical_crossentropy",
    "categorical_crossentropy",
    keras.losses.CategoricalCrossentropy(),
    keras.losses.SparseCategoricalCrossentropy(),
    keras.losses.categorical_crossentropy,
    own_cross_entropy,
]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: str(getattr(loss, "name", getattr(loss, "__name__", loss))))
def test_loss_gets_the_targets_in_its_form(small_digits, one_epoch, loss):
    result = training.fit(net(), small_digits, BRIEF.changed(epochs=1), loss=loss, verbose=False)
    assert result.history[0]["val_loss"] == pytest.approx(one_epoch.history[0]["val_loss"], rel=1e-4)


def test_metrics_are_reported_and_recorded(small_digits, default, tmp_path):
    def confidence(targets, outputs):
        return ops.max(outputs, axis=-1)

    metrics = [
        "accuracy",
        keras.metrics.TopKCategoricalAccuracy(3, name="top_3"),
        keras.metrics.AUC(name="auc"),
        confidence,
    ]
    result = training.fit(net(), small_digits, BRIEF, metrics=metrics, run_dir=tmp_path, verbose=False)
    for epoch, plain in zip(result.history, default.history, strict=True):
        assert plain.items() <= epoch.items()
        assert {"val_top_3", "val_auc", "val_confidence", "top_3"} <= epoch.keys()
        assert epoch["val_accuracy"] <= epoch["val_top_3"] <= 1
    with pytest.raises(zoo.InputError, match=r"user_metrics was .*'top_3'"):
        training.fit(net(), small_digits, BRIEF, metrics=["accuracy"], run_dir=tmp_path, resume=True)


def test_losses_of_several_outputs_are_stated_by_name(small_digits):
    data = with_tasks(small_digits, {"digit": "classification", "value": "regression"})
    model = lenet(head=data.task, labels=data.labels)
    losses = {"digit": "categorical_crossentropy", "value": "mae"}
    result = training.fit(model, data, BRIEF, loss=losses, metrics={"value": ["mse"]}, verbose=False)
    assert "val_value_mse" in result.history[0] or "val_value_mean_squared_error" in result.history[0]
    with pytest.raises(zoo.InputError, match="loss is stated for one output; give a dict by name, for digit, value"):
        training.fit(model, data, BRIEF, loss="mse")
    with pytest.raises(zoo.InputError, match="loss has none for the output 'value'"):
        training.fit(model, data, BRIEF, loss={"digit": "mse"})
    with pytest.raises(zoo.InputError, match="metrics names the output 'valeu'; the model has digit, value"):
        training.fit(model, data, BRIEF, metrics={"valeu": ["mse"]})


def test_fine_tuning_takes_them_in_every_phase(small_digits):
    recipe = OF_FINE_TUNING.changed(epochs=1, head_epochs=1)
    result = training.fine_tune(
        lenet(),
        small_digits,
        recipe,
        loss="categorical_crossentropy",
        metrics=[keras.metrics.AUC(name="auc")],
        verbose=False,
    )
    assert all("val_auc" in epoch for epoch in result.history)


@pytest.mark.parametrize(
    ("loss", "recipe", "message"),
    [
        ("mse", {"loss": "focal"}, "loss is mse, and the recipe has a loss too; leave one of them out"),
        ("mze", {}, "loss 'mze' is unknown"),
        (keras.Model, {}, "loss is the class Model, which is no loss of Keras"),
        (keras.losses.CategoricalCrossentropy(from_logits=True), {}, "expects logits, but gets the outputs of a"),
        ("sparse_categorical_crossentropy", {"augmentation": ["mixup"]}, "takes class indices, but the augmentation"),
    ],
)
def test_loss_that_cannot_be_right_is_refused(small_digits, loss, recipe, message):
    with pytest.raises(zoo.InputError, match=message):
        training.fit(net(), small_digits, BRIEF.changed(**recipe), loss=loss, verbose=False)
    assert np.isfinite(net().get_weights()[0]).all()


def test_losses_and_metrics_of_one_unit_are_those_of_keras():
    generator = np.random.default_rng(0)
    targets, outputs = generator.integers(0, 2, 40), generator.random((40, 1)).astype("float32")
    image = keras.Input((4, 4, 1))
    model = keras.Model(image, keras.layers.Dense(1, "sigmoid")(keras.layers.Flatten()(image)))
    state_contract(model, task="classification", report=False)
    kinds = [keras.metrics.Precision, keras.metrics.AUC, keras.metrics.BinaryCrossentropy]
    stated = UserObjectives(
        lambda targets, outputs: ops.mean(ops.square(targets - outputs), axis=-1),
        [kinds[0], kinds[1](), "binary_crossentropy"],
    )
    arguments = stated.arguments(model, BRIEF)
    both = np.concatenate([1 - outputs, outputs], axis=-1)
    squared = np.mean((targets[:, np.newaxis] - outputs) ** 2)
    assert float(arguments["loss"](targets, both)) == pytest.approx(squared, rel=1e-5)
    for metric, kind in zip(arguments["metrics"][-3:], kinds, strict=True):
        of_keras = kind()
        metric.update_state(targets, both)
        of_keras.update_state(targets[:, np.newaxis], outputs)
        assert float(metric.result()) == pytest.approx(float(of_keras.result()), rel=1e-5)


def test_metric_of_several_values_is_refused(small_digits):
    metrics = [keras.metrics.MeanIoU(10, sparse_y_pred=False), keras.metrics.F1Score()]
    with pytest.raises(zoo.InputError, match="metric f1_score has 10 values; give metrics of one number"):
        training.fit(net(), small_digits, BRIEF, metrics=metrics, verbose=False)
