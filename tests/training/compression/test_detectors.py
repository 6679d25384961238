"""Compression of detectors: one map, and a pyramid of maps."""

import keras
import numpy as np
import pytest

from pocketzoo import training, zoo
from pocketzoo.zoo.layer_table import count_macs

BRIEF = training.Recipe(epochs=1, batch_size=8, augmentation="none", optimizer={"lr": 1e-4})


@pytest.fixture(scope="module")
def squares():
    """Images of 32 x 32 pixels with one bright square each."""
    rng = np.random.default_rng(0)
    images, boxes = rng.integers(0, 60, (32, 32, 32, 3), "uint8"), np.zeros((32, 1, 5), "float32")
    for image, box in zip(images, boxes, strict=True):
        left, top, side = *rng.integers(0, 16, 2), rng.integers(8, 16)
        image[top : top + side, left : left + side] = 220
        box[0] = [left / 32, top / 32, (left + side) / 32, (top + side) / 32, rng.integers(2)]
    return training.from_arrays(images, boxes, task="detection", labels=("cat", "dog"))


@pytest.fixture(scope="module", params=["centernet_mobilenet_v1_025", "fcos_mobilenet_v2_035"])
def detector(request):
    return zoo.create_model(request.param, input_shape=(32, 32, 3), classes=2, labels=("cat", "dog"), weights=None)


def test_training_for_integers_is_refused_with_what_to_do_instead(detector, squares):
    with pytest.raises(zoo.InputError, match=r"no rule for subtract.* or export the model with calibration images"):
        training.quantize_aware(detector, squares, BRIEF, verbose=False)


def test_pruned_kernels_are_sparse(detector, squares):
    copy = keras.models.clone_model(detector)  # `prune` changes its model
    copy.set_weights(detector.get_weights())
    recipe = BRIEF.model_copy(update={"epochs": 2})
    result = training.prune(copy, squares, recipe, sparsity=training.Sparsity(target=0.5), verbose=False)
    assert result.metrics["sparsity"] == pytest.approx(0.5, abs=0.02)


def test_channels_are_removed_and_the_head_keeps_its_candidates(detector, squares):
    result = training.prune_channels(detector, squares, budget="macs:0.7", recipe=BRIEF, teacher=None, verbose=False)
    assert result.model.output_shape == detector.output_shape
    assert count_macs(result.model) <= 0.7 * count_macs(detector)
    assert training.evaluate(result.model, squares.test).images == len(squares.test)
