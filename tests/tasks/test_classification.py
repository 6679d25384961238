import json

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score, top_k_accuracy_score

from pocketzoo import training, zoo
from pocketzoo.tasks.calibration import BINS, calibration_error, reliability

pytestmark = pytest.mark.fast


def answers_to(truth, classes, seed=0):
    scores = np.random.default_rng(seed).random((len(truth), classes)) + 0.4 * np.eye(classes)[truth]
    return scores / scores.sum(axis=1, keepdims=True)


def test_figures_are_scikit_learns():
    truth = np.random.default_rng(0).integers(0, 7, 200)
    answers = answers_to(truth, 7)
    evaluation = training.Evaluation.of(truth, answers, list("abcdefg"))
    predicted = answers.argmax(axis=1)
    assert 0.5 < evaluation.accuracy < 1
    assert evaluation.accuracy == f1_score(truth, predicted, average="micro")
    assert evaluation.top_5_accuracy == top_k_accuracy_score(truth, answers, k=5) < 1
    assert evaluation.macro_precision == pytest.approx(precision_score(truth, predicted, average="macro"))
    assert evaluation.macro_recall == pytest.approx(recall_score(truth, predicted, average="macro"))
    assert evaluation.macro_f1 == pytest.approx(f1_score(truth, predicted, average="macro"))
    assert evaluation.roc_auc == pytest.approx(roc_auc_score(truth, answers, multi_class="ovr"))


def test_logits_are_not_evaluated_as_probabilities():
    truth, logits = np.array([0, 1, 2]), np.array([[3, -2, 1], [-4, 2, 0], [0, 1, 5]], "float32")
    with pytest.raises(zoo.InputError, match="go from -4 to 5; they must be probabilities from 0 to 1"):
        training.Evaluation.of(truth, logits, list("abc"))


def test_loss_of_saturated_probabilities_is_that_of_keras():
    truth, answers = np.array([0, 1, 1, 0]), np.array([[1, 0], [1, 0], [0, 1], [0, 1]], "float32")
    loss = training.Evaluation.of(truth, answers, list("ab")).loss
    assert loss == pytest.approx(float(keras.losses.SparseCategoricalCrossentropy()(truth, answers)), rel=1e-5)


def test_five_classes_have_no_top_five():
    truth = np.arange(5)
    assert training.Evaluation.of(truth, answers_to(truth, 5), list("abcde")).top_5_accuracy is None


def test_class_that_no_image_has_takes_nothing_from_the_means():
    truth = np.array([0, 0, 1, 1])
    evaluation = training.Evaluation.of(truth, np.eye(3)[truth] * 0.7 + 0.1, ["a", "b", "c"])
    assert (evaluation.macro_f1, evaluation.roc_auc) == (1, 1)
    assert training.Evaluation.of(truth[:2], np.eye(3)[truth[:2]] * 0.7 + 0.1, ["a", "b", "c"]).roc_auc is None


def test_calibration_error_is_the_gap_counted_by_hand():
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.5, 0.5])
    right = np.array([1, 1, 1, 0, 1, 0], bool)
    bins = reliability(confidence, right)
    assert bins[14].tolist() == [4, pytest.approx(0.95), 0.75]
    assert bins[7].tolist() == [2, 0.5, 0.5]
    assert calibration_error(bins) == pytest.approx(4 / 6 * 0.2)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1))
def test_every_image_is_in_the_bin_of_its_confidence(pairs):
    confidence, right = (np.array(column) for column in zip(*pairs, strict=True))
    bins = reliability(confidence, right)
    count, mean, accuracy = bins.T
    assert count.sum() == len(pairs)
    filled = count > 0
    edges = np.arange(BINS + 1) / BINS
    assert np.all((mean >= edges[:-1] - 1e-9)[filled] & (mean <= edges[1:] + 1e-9)[filled])
    assert (count * accuracy).sum() == pytest.approx(right.sum())
    assert 0 <= calibration_error(bins) <= 1


def test_everything_is_plain_json():
    truth = np.array([0, 1])
    facts = json.loads(json.dumps(training.Evaluation.of(truth, answers_to(truth, 3), list("abc")).to_dict()))
    assert len(facts["reliability"]) == BINS
    assert facts["intervals"].keys() == {"accuracy"}
