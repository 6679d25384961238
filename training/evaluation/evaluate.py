"""How good a model is on images it never saw."""

from typing import Any

import keras

from ...core.errors import InputError
from ...core.outputs import map_outputs
from ...layers import Head
from ..compatibility import check_fit_together, check_split
from ..data.images import ImageData, ImageSplit
from ..data.pipeline import evaluation_batches
from ..tasks import heads_of, tasks_of
from .answers import Answers, Artifact
from .artifacts import describe_artifact
from .figures import Figures
from .tallies import Places, Rows, Tally


def evaluate(
    model: keras.Model | Artifact,
    data: ImageData | ImageSplit,
    *,
    batch_size: int = 32,
    test_time_augmentation: str | None = None,
) -> Figures | dict[str, Figures]:
    """Runs `model` on `data.test` (or on the split that is given) in inference mode.

    Args:
        model: A model whose heads answer what the data has, or an artifact of one, from `export.load_artifact`.
        data: What to evaluate on.
        batch_size: Images at a time; it changes no figure, but for rounding.
        test_time_augmentation: Average the answers over views of each image: `"flip"`, as it is and mirrored, or
            `"shift"`, as it is and moved by a few pixels in four directions.

    Returns:
        An `Evaluation` of a classification, a `MultiLabelEvaluation`, a `RegressionEvaluation` or a
        `SegmentationEvaluation`; a dict of them by name for several outputs.

    Raises:
        InputError: The model does not take images of this shape, or answers something else, or no finite numbers; or
            there are no images.
    """
    tallies = tally(Answers(model, test_time_augmentation), model, data, batch_size)
    return map_outputs(lambda tally: tally.figures(), tallies)


def tally(answer: Answers, model: keras.Model | Artifact, data: ImageData | ImageSplit, batch_size: int) -> Any:
    """All answers to a split, in a `Tally` for each output of `model`; arguments and errors are those of `evaluate`."""
    split = split_of(data)
    described = _describe_model if isinstance(model, keras.Model) else describe_artifact
    tasks, names = described(model, data)
    if not len(split):
        source = f"{data.source}: the test split" if isinstance(data, ImageData) else "the split"
        raise InputError(f"{source} has no images to evaluate on.")
    tallies = map_outputs(_empty, tasks, names)
    for images, targets in evaluation_batches(split, batch_size):
        answers = answer(images.numpy())
        map_outputs(lambda tally, truth, given: tally.add(truth.numpy(), given), tallies, targets, answers)
    return tallies


def _describe_model(model: keras.Model, data: ImageData | ImageSplit) -> tuple[Any, Any]:
    """Task and names of each output, once it is known that the data fits."""
    if isinstance(data, ImageData):
        check_fit_together(model, data)
    check_split(model, split_of(data))
    labels = data.labels if isinstance(data, ImageData) else map_outputs(_names, model.output, heads_of(model))
    return tasks_of(model), labels


def split_of(data: ImageData | ImageSplit) -> ImageSplit:
    """The split that is evaluated."""
    return data.test if isinstance(data, ImageData) else data


def _names(output: keras.KerasTensor, head: Head | None) -> list[str]:
    """The head's labels, or the indices of the outputs."""
    return (head and head.labels) or [str(index) for index in range(output.shape[-1])]


def _empty(task: str, names: tuple[str, ...]) -> Tally:
    return Places(list(names)) if task == "segmentation" else Rows(task, list(names))
