"""Sensitivity of single layers, and the settings proposed from it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pocketzoo import training, zoo
from pocketzoo.training.compression.weights.layer_selection import kernels_of
from pocketzoo.training.compression.weights.sensitivity import equal_rise

LEVELS = (0.5, 0.9)


@pytest.fixture(scope="module")
def scan(trained_file, few_digits):
    return training.sensitivity(zoo.load_model(trained_file), few_digits, 0.7, levels=LEVELS)


def test_each_layer_is_measured_as_the_model_with_that_layer_pruned(scan, trained, few_digits):
    assert [layer.name for layer in scan.layers] == ["stage2_conv_conv", "dense1", "dense2"]
    dense = training.evaluate(trained, few_digits.validation)
    assert scan.dense["loss"] == pytest.approx(dense.loss, rel=1e-5)
    assert scan.dense["accuracy"] == pytest.approx(dense.accuracy)
    assert scan.images == 40
    (kernel,) = kernels_of(trained, ["dense1"])
    values = kernel.numpy()
    kernel.assign(np.where(np.abs(values) > np.quantile(np.abs(values), 0.9), values, 0))
    pruned = training.evaluate(trained, few_digits.validation)
    (figures,) = (layer.figures for layer in scan.layers if layer.name == "dense1")
    assert figures[1]["accuracy"] == pytest.approx(pruned.accuracy)
    assert figures[1]["loss"] == pytest.approx(pruned.loss, rel=1e-4)


def test_model_is_unchanged_afterwards(trained, few_digits):
    before = trained.get_weights()
    training.sensitivity(trained, few_digits, levels=[0.5, 0.7], images=10)
    for one, other in zip(before, trained.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_pruning_by_the_proposal_reaches_the_target(scan, trained, few_digits):
    recipe = training.Recipe(epochs=2, batch_size=40)
    result = training.prune(trained, few_digits, recipe, sparsity=scan.proposal, verbose=False)
    assert result.metrics["sparsity"] == pytest.approx(0.7, abs=1e-3)
    for layer in scan.layers:
        (kernel,) = kernels_of(trained, [layer.name])
        assert np.mean(kernel.numpy() == 0) == pytest.approx(layer.target, abs=0.5 / layer.weights + 1e-6)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 6), st.floats(0.01, 0.95))
def test_shares_cost_the_same_in_each_layer_and_reach_the_target_together(data, layers, target):
    levels = (0.5, 0.8, 0.95)
    rises = data.draw(arrays.arrays("float64", (layers, 3), elements=st.floats(-0.1, 5)))
    weights = data.draw(arrays.arrays("int64", layers, elements=st.integers(1, 10**7)))
    shares = equal_rise(levels, rises, weights, target)
    assert np.average(shares, weights=weights) == pytest.approx(target, abs=2e-4)
    assert (shares >= 0).all()
    assert (shares <= 0.95).all()


def test_robust_layer_gets_more_zeros_than_a_sensitive_one():
    robust, sensitive = equal_rise((0.5, 0.9), np.array([[0.0, 0.1], [0.5, 3.0]]), np.array([100, 100]), 0.6)
    assert robust > 0.9 - 0.01 > 0.5 > sensitive


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"levels": [0.9, 0.5]}, "levels are .0.9, 0.5.; they must increase, above 0 and below 1"),
        ({"levels": []}, "levels are .."),
        ({"sparsity": 0.99}, "target is 0.99; it must be above 0 and at most the last level, 0.95"),
        ({"sparsity": 0.0}, "target is 0.0; it must be above 0"),
        ({"sparsity": training.Sparsity(pattern="2:4")}, "pattern 2:4 has the same share of zeros in every layer"),
        ({"images": 0}, "images is 0; it must be 1 or more"),
    ],
)
def test_invalid_arguments_say_what_is_allowed(trained, few_digits, arguments, message):
    with pytest.raises(zoo.InputError, match=message):
        training.sensitivity(trained, few_digits, **arguments)
