"""Fine-tuning with heads of every task."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from support.transfer import BRIEF, lenet, moved_stages, values, with_tasks

from pocketzoo import training, zoo
from pocketzoo.training.data.images import ArrayImages


@pytest.mark.parametrize(
    "tasks", ["multi_label", "regression", {"digit": "classification", "kind": "multi_label", "value": "regression"}]
)
@pytest.mark.parametrize("augmentation", ["none", pytest.param("light", marks=pytest.mark.every_card)])
def test_heads_of_every_task_are_fine_tuned(small_digits, tasks, augmentation):
    data = with_tasks(small_digits, tasks)
    model = lenet(head=tasks, labels=data.labels)
    before = values(model)
    recipe = BRIEF.changed(epochs=4, head_epochs=4, unfreeze_from="neck", augmentation=augmentation, l2_sp=1e-3)
    result = training.fine_tune(model, data, recipe, verbose=False)
    assert moved_stages(model, before) == ["neck", "heads"]
    assert result.history[-1]["val_loss"] < result.history[0]["val_loss"]


def test_segmentation_trains_the_decoder_with_the_head_on_a_frozen_encoder(small_digits):
    def of_ink(split):
        images, _ = split.arrays()
        images = np.repeat(np.repeat(images, 2, axis=1), 2, axis=2)
        return training.ImageSplit(ArrayImages(images), (images[..., 0] > 100).astype("int32"))

    parts = {name: of_ink(getattr(small_digits, name)) for name in ("train", "validation", "test")}
    data = replace(small_digits, task="segmentation", labels=("paper", "ink"), **parts)
    keras.utils.set_random_seed(0)
    model = zoo.create_model(
        "unet_vgg16",
        backbone_arguments={"widths": (4, 4, 8, 8, 8), "convs": (1, 1, 1, 1, 1)},
        widths=(8, 8, 8, 8, 4),
        input_shape=(32, 32, 1),
        labels=data.labels,
    )
    before = values(model)
    recipe = BRIEF.changed(mode="feature_extraction", head_epochs=6)
    result = training.fine_tune(model, data, recipe, verbose=False)
    assert moved_stages(model, before) == [*(f"decoder{step}" for step in range(1, 6)), "heads"]
    assert any(np.any(value != before[name]) for name, value in values(model).items() if "moving_mean" in name)
    assert result.history[-1]["val_loss"] < result.history[0]["val_loss"]
