"""Small networks for fine-tuning tests, and comparisons of their weights."""

from dataclasses import replace

import keras
import numpy as np

from pocketzoo import training, zoo
from pocketzoo.training.transfer.model_stages import stages_of

BRIEF = training.FineTuneRecipe(epochs=2, head_epochs=2, batch_size=40, augmentation="none")
MODES = ("feature_extraction", "linear_probe", "fine_tune", "gradual")


def narrow_resnet(**arguments) -> keras.Model:
    """A stand-in for a pretrained model: these tests do not depend on its weights."""
    keras.utils.set_random_seed(0)
    return zoo.create_model("resnet20", widths=(4, 8, 8), input_shape=(16, 16, 1), **arguments)


def lenet(**arguments) -> keras.Model:
    keras.utils.set_random_seed(0)
    return zoo.create_model("lenet5", input_shape=(16, 16, 1), **arguments)


def values(model: keras.Model) -> dict[str, np.ndarray]:
    return {weight.path: np.array(weight) for weight in model.weights}


def moved_stages(model: keras.Model, before: dict[str, np.ndarray]) -> list[str]:
    def moved(layer):
        return any(np.any(np.array(weight) != before[weight.path]) for weight in layer.weights)

    return [stage.name for stage in stages_of(model) if any(map(moved, stage.layers))]


def assert_equal(first: keras.Model, second: keras.Model) -> None:
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def targets(digits: training.ImageData, task: str) -> tuple[object, object]:
    """Labels of the outputs and a function from class indices to targets."""
    return {
        "classification": (digits.labels, lambda index: index),
        "multi_label": (("odd", "large"), lambda index: np.stack([index % 2, index > 4], 1).astype("float32")),
        "regression": (("value",), lambda index: index[:, None].astype("float32") / 10),
    }[task]


def with_tasks(digits: training.ImageData, tasks: str | dict[str, str]) -> training.ImageData:
    """The digits with targets for other tasks."""

    def by_output(function):
        return {name: function(task) for name, task in tasks.items()} if isinstance(tasks, dict) else function(tasks)

    def split(part):
        return training.ImageSplit(part.images, by_output(lambda task: targets(digits, task)[1](part.labels)))

    parts = {name: split(getattr(digits, name)) for name in ("train", "validation", "test")}
    return replace(digits, task=tasks, labels=by_output(lambda task: targets(digits, task)[0]), **parts)
