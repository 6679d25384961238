"""One small trained model for each task: data without a download, a model of the zoo, and a recipe of a few minutes."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np

from pocketzoo import training, zoo
from pocketzoo.training import ImageData, Recipe


class Example(NamedTuple):
    """What a task is shown with."""

    load: Callable[[], ImageData]
    model: str
    """Name of the model."""
    arguments: dict[str, Any]
    """Further arguments of `create_model`."""
    recipe: Recipe | None
    """How it is trained; None for a detector that is fitted to good images."""


def noisy_scenes() -> ImageData:
    """Scenes under noise, to be cleaned."""
    scenes = training.load_data("digit-scenes")
    train, validation, test = (noisy(split.images) for split in (scenes.train, scenes.validation, scenes.test))
    return training.from_arrays(*train, task="image_to_image", validation=validation, test=test)


def noisy(clean: Any) -> tuple[np.ndarray, np.ndarray]:
    """Images under noise of a standard deviation of 25 levels, and without."""
    pictures = clean.take(np.arange(min(len(clean), 1500)))
    noise = np.random.default_rng(0).normal(0, 25, pictures.shape)
    return np.clip(pictures + noise, 0, 255).astype("uint8"), pictures


def named(source: str, **options: Any) -> Callable[[], ImageData]:
    """What loads a data set by its name."""
    return lambda: training.load_data(source, **options)


ADAMW = {"name": "adamw", "lr": 2e-3}
EXAMPLES = {
    "classification": Example(
        named("digits", image_size=32, channels=3), "resnet20", {}, Recipe(epochs=8, optimizer=ADAMW)
    ),
    "multi_label": Example(
        named("digit-scenes:multi_label"), "resnet20", {}, Recipe(epochs=15, optimizer=ADAMW, augmentation="none")
    ),
    "regression": Example(
        named("digit-scenes:count"), "resnet20", {}, Recipe(epochs=10, optimizer=ADAMW, augmentation="none")
    ),
    "segmentation": Example(
        named("digit-scenes"),
        "unet_same",
        {"widths": (16, 32, 64), "dropout": 0.0},
        Recipe(epochs=10, batch_size=8, optimizer=ADAMW, loss=["cross_entropy", "dice"], augmentation="none"),
    ),
    "image_to_image": Example(
        noisy_scenes, "edsr_lite", {"blocks": 2, "width": 16}, Recipe(epochs=6, optimizer=ADAMW, augmentation="none")
    ),
    "keypoints": Example(
        named("digit-points", image_size=32),
        "unet_same",
        {"widths": (16, 32, 64), "dropout": 0.0},
        Recipe(epochs=8, optimizer=ADAMW, augmentation="none"),
    ),
    "sequence": Example(
        named("digit-strings"), "crnn_micro", {}, Recipe(epochs=6, optimizer=ADAMW, augmentation="none")
    ),
    "embedding": Example(
        named("digits", image_size=32, channels=3),
        "resnet20",
        {"embedding_size": 32},
        Recipe(epochs=8, optimizer=ADAMW, loss="triplet"),
    ),
    "counting": Example(
        named("digit-scenes:counting"),
        "resnet20",
        {},
        Recipe(epochs=10, optimizer=ADAMW, augmentation="none"),
    ),
    "detection": Example(
        named("digit-scenes:detection"),
        "centernet_mobilenet_v2_035",
        {},
        Recipe(epochs=20, optimizer=ADAMW, augmentation=["translate", "zoom"]),
    ),
    "anomaly": Example(named("digit-defects", channels=3), "resnet20", {"weights": "digits"}, None),
}
"""By task."""


def trained(task: str) -> tuple[keras.Model, ImageData]:
    """The trained model of a task's example, and its data."""
    example = EXAMPLES[task]
    keras.utils.set_random_seed(0)
    data = example.load()
    if example.recipe is None:
        backbone = zoo.create_model(example.model, input_shape=data.image_shape, **example.arguments)
        return training.fit_anomaly(backbone, data).model, data
    labels = {} if task == "embedding" else {"labels": data.labels}
    model = zoo.create_model(example.model, head=task, input_shape=data.image_shape, **labels, **example.arguments)
    training.fit(model, data, example.recipe, verbose=False)
    return model, data
