import json

import keras
import numpy as np
import pytest

from pocketzoo import training
from pocketzoo.tasks import get_task
from pocketzoo.tasks.segmentation import PixelAccumulator

pytestmark = pytest.mark.fast


def test_multi_label_figures_are_those_counted_by_hand():
    truth = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 0]], "float32")
    answers = np.array([[0.9, 0.2, 0.1], [0.4, 0.8, 0.6], [0.7, 0.1, 0.2], [0.1, 0.3, 0.3]])
    evaluation = training.MultiLabelEvaluation.of(truth, answers, ["cat", "dog", "elk"])
    assert evaluation.images == 4
    assert evaluation.accuracy == pytest.approx(8 / 12)
    assert evaluation.exact == pytest.approx(1 / 4)
    cat = evaluation.per_class["cat"]
    assert (cat["precision"], cat["recall"], cat["support"]) == (0.5, 0.5, 2)
    assert cat["average precision"] == pytest.approx((1 + 2 / 3) / 2)  # right at ranks 1 and 3
    assert evaluation.per_class["dog"]["average precision"] == 1
    assert evaluation.per_class["elk"]["average precision"] is None  # no image has it
    assert evaluation.average_precision == pytest.approx((5 / 6 + 1) / 2)
    loss = keras.losses.BinaryCrossentropy()(truth, answers.astype("float32"))
    assert evaluation.loss == pytest.approx(float(loss), rel=1e-5)


def test_regression_figures_are_those_counted_by_hand():
    truth = np.array([[1, 5], [2, 5], [6, 5]], "float32")
    answers = np.array([[2, 5], [2, 6], [4, 7]], "float64")
    evaluation = training.RegressionEvaluation.of(truth, answers, ["height", "width"])
    assert (evaluation.images, evaluation.mae, evaluation.loss) == (3, 1, pytest.approx(10 / 6))
    height = {"mae": pytest.approx(1), "rmse": pytest.approx(np.sqrt(5 / 3)), "r2": pytest.approx(1 - 5 / 14)}
    assert evaluation.per_output["height"] == height
    assert evaluation.per_output["width"]["r2"] is None  # it does not vary


@pytest.mark.parametrize("constant", [0.1, 16.7, 1e-20, -3e8])
def test_value_that_never_varies_has_no_deviation_to_be_measured_in(constant):
    targets = np.stack([np.full(180, constant), np.arange(180)], axis=1).astype("float32")
    outputs = targets + np.array([[1e-3, 0]], "float32") * abs(constant)
    outputs[7, 1] += 100  # the hardest image
    accumulator = get_task("regression").accumulator(["constant", "varying"])
    accumulator.add(targets, outputs)
    assert np.argmax(accumulator.errors()) == 7 or abs(constant) > 1e6
    assert accumulator.errors()[0] == pytest.approx(abs(constant) * 1e-3 / 2, rel=1e-2)
    assert accumulator.evaluation().per_output["constant"]["r2"] is None


def test_segmentation_figures_are_those_of_keras_batch_by_batch():
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, (10, 4, 5))
    answers = keras.ops.softmax(random.normal(size=(10, 4, 5, 4)) + 2 * np.eye(4)[truth]).numpy().astype("float32")
    accumulator = PixelAccumulator(["road", "sky", "tree", "lamp"])
    for batch in (slice(0, 4), slice(4, 8), slice(8, 10)):
        accumulator.add(truth[batch], answers[batch])
    evaluation = accumulator.evaluation()
    iou, accuracy = keras.metrics.MeanIoU(4, sparse_y_pred=False), keras.metrics.SparseCategoricalAccuracy()
    for metric in (iou, accuracy):
        metric.update_state(truth, answers)
    assert evaluation.images == 10
    assert evaluation.mean_iou == pytest.approx(float(iou.result()), rel=1e-5)
    assert evaluation.accuracy == pytest.approx(float(accuracy.result()), rel=1e-5)
    loss = keras.losses.SparseCategoricalCrossentropy()(truth, answers)
    assert evaluation.loss == pytest.approx(float(loss), rel=1e-5)
    assert evaluation.confusion.sum() == truth.size
    assert sum(row["pixels"] for row in evaluation.per_class.values()) == truth.size


def test_class_that_is_nowhere_counts_for_nothing():
    accumulator = PixelAccumulator(["road", "sky", "lamp"])
    accumulator.add(np.array([[[0, 0], [1, 1]]]), np.eye(3, dtype="float32")[[[[0, 1], [1, 1]]]])
    evaluation = accumulator.evaluation()
    assert evaluation.per_class["road"] == {"iou": 1 / 2, "dice": 2 / 3, "precision": 1, "recall": 1 / 2, "pixels": 2}
    assert evaluation.per_class["sky"] == {"iou": 2 / 3, "dice": 4 / 5, "precision": 2 / 3, "recall": 1, "pixels": 2}
    assert evaluation.per_class["lamp"] == {"iou": None, "dice": None, "precision": None, "recall": None, "pixels": 0}
    assert evaluation.mean_iou == pytest.approx(7 / 12)


def test_figures_are_plain_json():
    truth, answers = np.array([[1.0, 2.0]], "float32"), np.array([[1.0, 1.5]])
    evaluation = training.RegressionEvaluation.of(truth, answers, ["x", "y"])
    assert json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))["per_output"]["y"]["mae"] == 0.5
