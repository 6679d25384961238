"""Metrics of a model on images that it was not trained on."""

from typing import Any

import keras
import numpy as np

from ...core.arguments import Count, check_arguments
from ...core.errors import InputError
from ...core.outputs import Flags, LabelNames, PixelRange, TaskNames, by_name, map_outputs
from ...tasks.accumulator import Accumulator
from ...tasks.classification import Evaluation as Evaluation
from ...tasks.evaluation import BaseEvaluation
from ...tasks.multi_label import MultiLabelEvaluation as MultiLabelEvaluation
from ...tasks.registry import get_task
from ...tasks.regression import RegressionEvaluation as RegressionEvaluation
from ...tasks.segmentation import SegmentationEvaluation as SegmentationEvaluation
from ...zoo.contract import contract_of
from ...zoo.model_arguments import accepts_any_model
from ..compatibility import check_fit_together, check_split, describe_model
from ..data.accepted_data import accepts_any_data
from ..data.images import ImageData, ImageSplit
from ..data.pipeline import evaluation_batches
from ..data.stream_functions import raising_failures
from ..input_compatibility import further_maps
from ..model_outputs import tasks_of
from .artifacts import describe_artifact, labels_of, state_of_artifact
from .predictor import Artifact, Predictor


@accepts_any_data("split")
@check_arguments
@accepts_any_model
def evaluate(
    model: keras.Model | Artifact,
    data: ImageData | ImageSplit,
    *,
    batch_size: Count = 32,
    test_time_augmentation: str | None = None,
    task: TaskNames | None = None,
    labels: LabelNames | None = None,
    pixels: PixelRange | None = None,
    from_logits: Flags | None = None,
) -> BaseEvaluation | dict[str, BaseEvaluation]:
    """Evaluates `model` in inference mode on `data.test`, or on the given split.

    Args:
        model: A model whose tasks are those of the data, or an artifact of one, from `export.load_artifact`.
        data: A dataset or a split, or what `as_data` accepts; of arrays and datasets without splits, all images.
        batch_size: Images at a time; changes the metrics by rounding only.
        test_time_augmentation: Average the outputs over views of each image: `"flip"`, the image and its mirror image,
            or `"shift"`, the image and itself moved by a few pixels in four directions. Not for several images at once.
        task: As in `fit`.
        labels: As in `fit`.
        pixels: As in `fit`.
        from_logits: As in `fit`.

    Returns:
        An `Evaluation` of a classification, a `MultiLabelEvaluation`, a `RegressionEvaluation` or a
        `SegmentationEvaluation`; a dict of them by name for several outputs.

    Raises:
        InputError: The model does not accept images of this shape, has other tasks or classes, or outputs that are not
            finite; or there are no images.
    """
    statements: dict[str, Any] = {"task": task, "labels": labels, "pixels": pixels, "from_logits": from_logits}
    if isinstance(model, keras.Model):
        describe_model(model, data, **statements, verbose=True)
    else:
        model = state_of_artifact(model, data, **statements)
    predictor = Predictor(model, test_time_augmentation)
    _, accumulators = accumulate(predictor, model, data, batch_size)
    return map_outputs(lambda accumulator: accumulator.evaluation(), accumulators)


def accumulate(
    predictor: Predictor, model: keras.Model | Artifact, data: ImageData | ImageSplit, batch_size: int
) -> tuple[Any, Any]:
    """Return the task name and accumulator of each output of `model`; arguments and errors are those of `evaluate`."""
    split = split_of(data)
    described = _describe_model(model, data) if isinstance(model, keras.Model) else describe_artifact(model, data)
    tasks, labels = described
    if not len(split):
        source = f"{data.source}: the test split" if isinstance(data, ImageData) else "the split"
        raise InputError(f"{source} has no images to evaluate on.")
    accumulators = map_outputs(lambda task, labels: get_task(task).accumulator(labels), tasks, labels)
    if predictor.has_views and (maps := further_maps(split)):
        raise InputError(
            f"test_time_augmentation moves the image {split.image_name!r} but not the input {maps[0]!r}; leave it out."
        )
    if predictor.has_views and len(split.images.shape) != 3:
        raise InputError(f"test_time_augmentation moves images, but the data has {split.images.shape}; leave it out.")
    moving = [task for task in map(get_task, by_name(tasks).values()) if task.has_order or task.draws_over]
    if predictor.has_views and moving:
        raise InputError(
            f"test_time_augmentation averages outputs over views, but those of {moving[0].titled} move with the image; "
            "leave it out."
        )
    batches = evaluation_batches(split, batch_size)
    with raising_failures(batches):
        for inputs, targets in batches:
            outputs = predictor(as_arrays(inputs))
            map_outputs(_add_batch, accumulators, targets, outputs)
    return tasks, accumulators


def as_arrays(inputs: Any) -> Any:
    """Return a batch of `evaluation_batches` as arrays."""
    return map_outputs(lambda values: values.numpy(), inputs)


def split_of(data: ImageData | ImageSplit) -> ImageSplit:
    """Return the split that is evaluated."""
    return data.test if isinstance(data, ImageData) else data


def _add_batch(accumulator: Accumulator, targets: Any, outputs: np.ndarray) -> None:
    accumulator.add(targets.numpy(), outputs)


def _describe_model(model: keras.Model, data: ImageData | ImageSplit) -> tuple[Any, Any]:
    """Return the task and labels of each output, after checking that the data fits."""
    if isinstance(data, ImageData):
        check_fit_together(model, data)
    check_split(model, split_of(data))
    outputs = contract_of(model).outputs
    if isinstance(data, ImageData):
        return tasks_of(model), data.labels
    return tasks_of(model), map_outputs(lambda output: labels_of(output.task, output.names, data), outputs)
