"""Every task is trained and measured on real digits: what is asked of them here can be seen in their pixels."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest

from pocketzoo import training, zoo
from pocketzoo.core.outputs import by_name
from pocketzoo.training.engine.callbacks.run_recorder import RunRecorder
from pocketzoo.training.model_outputs import heads_of


def parity(images, digits):
    return (digits % 2 == 0).astype("int32")


def marks(images, digits):
    return np.stack([np.isin(digits, (0, 6, 8, 9)), digits == 8, digits == 7], axis=1).astype("float32")


def ink(images, digits):
    shares = images[..., 0].astype("float32") / 255
    return np.stack([shares.mean(axis=(1, 2)), shares[:, :16].mean(axis=(1, 2))], axis=1) * 10


def strokes(images, digits):
    return (images[..., 0] > 100).astype("int32")


QUESTIONS = {
    "classification": (("odd", "even"), parity),
    "multi_label": (("loop", "two loops", "seven"), marks),
    "regression": (("ink", "ink above"), ink),
    "segmentation": (("paper", "ink"), strokes),
}
SEVERAL = {"parity": "classification", "marks": "multi_label", "ink": "regression"}
QUICK = training.Recipe(epochs=6, optimizer={"lr": 4e-3}, augmentation="none")
ONE_EPOCH = QUICK.changed(epochs=1)


def asked(digits, task):
    """The digits with that to answer: a task, or a dict of them by name."""

    def split(of):
        images, labels = of.arrays()
        if isinstance(task, dict):
            return replace(of, labels={name: QUESTIONS[kind][1](images, labels) for name, kind in task.items()})
        return replace(of, labels=QUESTIONS[task][1](images, labels))

    names = {n: QUESTIONS[k][0] for n, k in task.items()} if isinstance(task, dict) else QUESTIONS[task][0]
    splits = {name: split(getattr(digits, name)) for name in ("train", "validation", "test")}
    return replace(digits, task=task, labels=names, **splits)


def net(data):
    keras.utils.set_random_seed(0)
    arguments = {"head": data.task, "labels": data.labels, "input_shape": data.image_shape}
    if data.task == "segmentation":
        return zoo.create_model("resnet20", blocks=1, **arguments)
    return zoo.create_model("lenet5", **arguments)


def few(data):
    return replace(data, train=data.validation)


@pytest.fixture(scope="module", params=[*QUESTIONS, "several"])
def run(request, digits, tmp_path_factory):
    """A run of every task, and of several at once."""
    data = asked(digits, SEVERAL if request.param == "several" else request.param)
    path = tmp_path_factory.mktemp(request.param) / "run"
    recipe = QUICK.changed(epochs=2) if request.param == "segmentation" else QUICK  # every pixel is a target
    return data, training.fit(net(data), data, recipe, run_dir=path, verbose=False)


def test_every_task_is_learned(run):
    data, result = run
    evaluations = by_name(training.evaluate(result.model, data))
    for name, task in by_name(data.task).items():
        assert evaluations[name].images == len(data.test)
        match evaluations[name]:
            case training.Evaluation() as evaluation:
                assert task == "classification"
                assert evaluation.accuracy > 0.9
            case training.MultiLabelEvaluation() as evaluation:
                assert task == "multi_label"
                assert evaluation.average_precision > 0.9
            case training.RegressionEvaluation() as evaluation:
                assert task == "regression"
                assert min(row["r2"] for row in evaluation.per_output.values()) > 0.8
            case training.SegmentationEvaluation() as evaluation:
                assert task == "segmentation"
                assert evaluation.mean_iou > 0.6  # strokes are a few pixels wide, and the net decides on a grid of 4


def test_loss_that_is_trained_is_the_loss_that_is_measured(run):
    data, result = run
    measured = by_name(training.evaluate(result.model, data.validation)).values()
    assert sum(figures.loss for figures in measured) == pytest.approx(result.metrics["val_loss"], rel=1e-3)


def test_best_model_is_kept_with_its_labels(run):
    data, result = run
    kept = zoo.load_model(result.run_dir / "best.keras")
    labels = {name: list(names) for name, names in by_name(data.labels).items()}
    assert {name: head.labels for name, head in by_name(heads_of(kept)).items()} == labels
    figures = [by_name(training.evaluate(model, data)).values() for model in (kept, result.model)]
    for one, other in zip(*figures, strict=True):
        assert json.dumps(one.to_dict()) == json.dumps(other.to_dict())


def test_epochs_are_told_and_drawn_by_what_the_task_is_measured_by(run):
    data, result = run
    metrics = {"classification": "accuracy", "multi_label": "binary_accuracy", "regression": "mae"}
    metrics["segmentation"] = "mean_iou"
    for name, task in by_name(data.task).items():
        metric = f"{name}_{metrics[task]}" if name else metrics[task]
        assert {metric, f"val_{metric}"} <= result.history[-1].keys()
    assert (result.run_dir / "curves.png").stat().st_size > 0


class StoppedHereError(Exception):
    pass


def test_run_of_several_outputs_resumes_where_it_was_stopped(digits, tmp_path, monkeypatch):
    data, how = few(asked(digits, SEVERAL)), QUICK.changed(epochs=2)
    whole = training.fit(net(data), data, how, verbose=False)
    keep = RunRecorder.on_epoch_end

    def stop(self, epoch, logs=None):
        keep(self, epoch, logs)
        raise StoppedHereError

    with monkeypatch.context() as patch:
        patch.setattr(RunRecorder, "on_epoch_end", stop)
        with pytest.raises(StoppedHereError):
            training.fit(net(data), data, how, run_dir=tmp_path / "run", verbose=False)
    resumed = training.fit(net(data), data, how, run_dir=tmp_path / "run", resume=True, verbose=False)
    assert resumed.history == whole.history
    assert all(
        np.array_equal(a, b) for a, b in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True)
    )


def test_labels_come_from_the_data_for_every_head(digits):
    data = few(asked(digits, SEVERAL))
    classes = {name: len(labels) for name, labels in data.labels.items()}
    model = zoo.create_model("lenet5", head=data.task, classes=classes)
    training.fit(model, data, ONE_EPOCH, verbose=False)
    assert {name: tuple(head.labels) for name, head in heads_of(model).items()} == data.labels


def test_progress_is_told_for_a_task_without_accuracy(digits, capsys):
    data = few(asked(digits, "regression"))
    training.fit(net(data), data, ONE_EPOCH)
    told = capsys.readouterr().err
    assert "val_loss" in told
    assert "val_mae" in told


def test_net_of_another_task_is_pruned_too(digits):
    data = few(asked(digits, "regression"))
    pruned = training.prune(net(data), data, QUICK.changed(epochs=2), sparsity=0.5, verbose=False)
    assert pruned.metrics["sparsity"] == pytest.approx(0.5, abs=1e-3)
