"""The task of targets in arrays, from their values and the end of the model."""

import numpy as np
import pytest

from pocketzoo import zoo
from pocketzoo.training.data.suggested_tasks import LastLayer, suggested_task

CLASSES = np.arange(12) % 4
BINARY = CLASSES // 2
SOFTMAX, LINEAR = LastLayer((None, 4), "softmax", None), LastLayer((None, 1), "linear", None)
SIGMOID = LastLayer((None, 1), "sigmoid", None)
MASKS = np.tile(BINARY[:, None, None], (1, 4, 4))
SIGMOID_MAP = LastLayer((None, 4, 4, 1), "sigmoid", None)


@pytest.mark.parametrize(
    ("targets", "last", "task"),
    [
        (CLASSES, SOFTMAX, "classification"),
        (CLASSES.astype("float32"), SOFTMAX, "classification"),
        (CLASSES.astype("float32")[:, None], SOFTMAX, "classification"),
        (np.eye(4, dtype="float32")[CLASSES], SOFTMAX, "classification"),
        (BINARY > 0, SIGMOID, "classification"),
        (BINARY.astype("float32"), SIGMOID, "classification"),
        (BINARY.astype("float32")[:, None], SIGMOID, "classification"),
        (BINARY.astype("float32"), LastLayer((None, 1), "linear", "binary_crossentropy"), "classification"),
        (BINARY, LINEAR, "classification"),
        (BINARY, LastLayer((None, 1), "linear", "mean_squared_error"), "regression"),
        (20 + CLASSES, LINEAR, "regression"),
        (CLASSES / 7, SIGMOID, "regression"),
        (CLASSES[:, None] / 7, LINEAR, "regression"),
        ((BINARY.astype("float32")), LINEAR, None),
        (MASKS, SIGMOID_MAP, "segmentation"),
        (MASKS.astype("float32")[..., None], SIGMOID_MAP, "segmentation"),
        (np.eye(2)[MASKS], LastLayer((None, 4, 4, 2), "softmax", None), "segmentation"),
        (MASKS / 3, SIGMOID_MAP, None),
        (CLASSES, None, "classification"),
    ],
)
def test_targets_and_last_layer_show_the_task(targets, last, task):
    assert suggested_task(targets, last) == task


@pytest.mark.parametrize(
    ("targets", "last", "words"),
    [
        (np.full((12, 4), 0.25), SOFTMAX, "fractions, but the model ends in a softmax; give class indices"),
        (np.array(["cat", "dog"]), SOFTMAX, r"give class indices and their names: .*numpy\.unique"),
    ],
)
def test_targets_that_do_not_go_with_the_model_are_refused(targets, last, words):
    with pytest.raises(zoo.InputError, match=words):
        suggested_task(targets, last)
