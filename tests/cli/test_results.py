"""How evaluations are printed."""

import numpy as np
import pytest

from pocketzoo.cli.results import show_evaluation
from pocketzoo.tasks import get_task

pytestmark = pytest.mark.fast

OUTPUTS = {
    "counting": (np.array([[[0.5, 0.5, 0], [0.2, 0.2, 0]]] * 40), np.full((40, 1, 1, 1), 2.5)),
    "detection": (np.array([[[0, 0, 1, 1, 0]]] * 40), np.array([[[0, 0, 1, 1, 0.9]]] * 40)),
    "keypoints": (np.full((40, 1, 3), 1.0), np.full((40, 1, 3), 1.0)),
    "image_to_image": (np.full((40, 12, 12, 1), 200.0), np.full((40, 12, 12, 1), 210.0)),
}
"""Targets and outputs for forty images."""


@pytest.mark.parametrize(
    ("task", "texts"),
    [
        ("counting", ["class", "objects", "80", "0.5", "relative error 25.00%"]),
        ("detection", ["class", "objects", "40", "MAP 100.00%"]),
        ("keypoints", ["point", "labeled", "40", "PCK 100.00%"]),
        ("image_to_image", ["channel", "psnr", "28.13", "PSNR 28.13", "mean absolute error 10"]),
    ],
)
def test_counts_and_decibels_are_no_percentages(task, texts, capsys):
    targets, outputs = OUTPUTS[task]
    accumulator = get_task(task).accumulator(["thing"])
    accumulator.add(targets, outputs.astype("float32"))
    show_evaluation(accumulator.evaluation(), "net")
    printed = capsys.readouterr().out
    assert [text for text in texts if text not in printed] == []
    assert "00.00%" not in printed.replace("100.00%", "")
