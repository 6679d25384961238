"""Our pruning against TF-MOT's own `prune_low_magnitude`, which takes tf_keras models only: the oracle of the masks."""

from dataclasses import dataclass, field

import keras
import numpy as np
import pytest
import tensorflow as tf

from pocketzoo import training
from pocketzoo.training.compression.weights.mask_schedule import MaskSchedule, schedule_of
from pocketzoo.training.compression.weights.masks import Masks

STEPS = 20


@dataclass(frozen=True)
class Case:
    """The same pruning in our words and in TF-MOT's."""

    ours: dict
    theirs: dict = field(default_factory=dict)
    is_dense: bool = False
    """Whether all layers are dense, as TF-MOT's blocks want it."""


CASES = {
    "element": Case({"target": 0.75}),
    "element, from half on": Case({"target": 0.9, "initial": 0.5, "begin": 0.25, "frequency": 2}),
    "element, at once": Case({"target": 0.6, "schedule": "constant", "begin": 0.1}),
    "block 4x1, greatest": Case(
        {"target": 0.7, "pattern": "block:4x1", "pooling": "max"},
        {"block_size": (4, 1), "block_pooling_type": "MAX"},
        is_dense=True,
    ),
    "block 1x4, mean": Case(
        {"target": 0.5, "pattern": "block:1x4"}, {"block_size": (1, 4), "block_pooling_type": "AVG"}, is_dense=True
    ),
    "block 3x2, mean": Case(
        {"target": 0.8, "pattern": "block:3x2"}, {"block_size": (3, 2), "block_pooling_type": "AVG"}, is_dense=True
    ),
    "2:4": Case({"pattern": "2:4"}, {"sparsity_m_by_n": (2, 4)}),
    "1:3": Case({"pattern": "1:3"}, {"sparsity_m_by_n": (1, 3)}),
}


def twin(case: Case, schedule: MaskSchedule):
    """TF-MOT's pruned tf_keras layers, built.

    Their channels are of numbers that M:N does not divide; dense sides are, by blocks: where these do not divide a
    kernel TF-MOT measures other windows than it removes.
    """
    import tensorflow_model_optimization as tfmot
    import tf_keras

    sparsity = tfmot.sparsity.keras
    settings = training.Sparsity(**case.ours)
    if settings.schedule == "constant":
        steps = sparsity.ConstantSparsity(settings.target, schedule.begin, frequency=schedule.frequency)
    else:
        begin, end, frequency = schedule.begin, schedule.end, schedule.frequency
        steps = sparsity.PolynomialDecay(settings.initial, settings.target, begin, end, frequency=frequency)
    dense = [(tf_keras.layers.Dense(20), (1, 24)), (tf_keras.layers.Dense(8), (1, 36))]
    conv = [
        (tf_keras.layers.Conv2D(7, 3), (1, 4, 4, 6)),
        (tf_keras.layers.Conv2DTranspose(3, 2), (1, 4, 4, 9)),
        (tf_keras.layers.SeparableConv2D(8, 3), (1, 4, 4, 6)),
    ]
    wrapped = []
    for layer, shape in dense if case.is_dense else dense + conv:
        wrapper = sparsity.prune_low_magnitude(layer, pruning_schedule=steps, **case.theirs)
        wrapper.build(shape)
        wrapped.append((wrapper, np.zeros(shape, "float32")))
    return wrapped


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_masks_and_weights_equal_those_of_prune_low_magnitude_at_every_step(case):
    tf.keras.utils.set_random_seed(0)
    settings = training.Sparsity(**{"end": 1.0, "frequency": 5} | case.ours)
    schedule = MaskSchedule.of(settings, STEPS)
    theirs = twin(case, schedule)
    variables = [wrapper.pruning_vars[0] for wrapper, _ in theirs]
    kernels = [keras.Variable(weight.numpy()) for weight, *_ in variables]
    masks = Masks(kernels, settings)
    sparsity_at = schedule_of(settings, settings.target, schedule)
    random = np.random.default_rng(0)
    done, shares = schedule.due(0), []
    for now in range(1, STEPS + 5):  # TF-MOT counts from 1
        for (weight, *_), kernel, mask in zip(variables, kernels, masks.variables, strict=True):
            noise = random.normal(size=kernel.shape).astype("float32") * 0.01 * mask.numpy()
            weight.assign_add(noise)
            kernel.assign_add(noise)
        for wrapper, inputs in theirs:
            wrapper.pruning_step.assign(now - 1)  # the wrapper counts on before it prunes
            wrapper(inputs, training=True)
        if (settings.m_by_n and now == 1) or schedule.due(now) > done:
            done = schedule.due(now)
            masks.update([sparsity_at(schedule.step(done))] * len(kernels))
        for (weight, mask, _), kernel, ours in zip(variables, kernels, masks.variables, strict=True):
            np.testing.assert_array_equal(ours.numpy(), mask.numpy() == 1)
            np.testing.assert_array_equal(kernel.numpy(), weight.numpy())
        shares.append(np.mean([np.mean(~mask.numpy()) for mask in masks.variables]))
    assert shares == sorted(shares)
    # At the sides of these small kernels blocks are cut, and groups of channels that are too few lose fewer.
    assert 0.7 * settings.target < shares[-1] < settings.target + 0.05
