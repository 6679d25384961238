"""What training minimises and what it measures, by the heads of the model."""

from typing import Any

import keras

from ..outputs import map_outputs
from ..tasks import tasks_of

LOSSES = {
    "classification": "sparse_categorical_crossentropy",
    "multi_label": "binary_crossentropy",
    "regression": "mean_squared_error",
    "segmentation": "sparse_categorical_crossentropy",
}
"""By task: means over the images, and over their labels, numbers or places. Several outputs' losses are added up."""


def objectives(model: keras.Model) -> dict[str, Any]:
    """The `loss` and the `metrics` that `keras.Model.compile` takes, each a dict by name for several outputs.

    Metrics: `accuracy` of a classification, `binary_accuracy` of several labels (there above a probability of 0.5),
    `mae` of a regression (mean absolute error), `mean_iou` of a segmentation.

    Raises:
        InputError: An output is nothing that can be trained here.
    """
    tasks = tasks_of(model)
    return {"loss": map_outputs(LOSSES.__getitem__, tasks), "metrics": map_outputs(_metrics, tasks, model.output)}


def _metrics(task: str, output: keras.KerasTensor) -> list[Any]:
    if task == "segmentation":
        return [keras.metrics.MeanIoU(output.shape[-1], sparse_y_pred=False, name="mean_iou")]
    return [{"classification": "accuracy", "multi_label": "binary_accuracy", "regression": "mae"}[task]]
