import keras
import numpy as np
import pytest

from pocketzoo import training, zoo
from pocketzoo.training.engine.lr_finder import RateSearch


def test_search_suggests_a_usable_rate_and_restores_the_model(small_digits, tmp_path):
    keras.utils.set_random_seed(0)
    model = zoo.create_model("lenet5", input_shape=(16, 16, 1), dropout=0.3)
    before = [np.array(variable) for variable in model.variables]
    search = training.find_learning_rate(model, small_digits, training.Recipe(batch_size=20))
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    assert not model.compiled
    assert 3e-4 < search.suggestion < 0.1  # where AdamW trains this net: 3e-3 is usual
    assert search.rates[0] == pytest.approx(1e-6)
    np.testing.assert_allclose(np.diff(np.log(search.rates)), np.log(1e7) / 99, rtol=1e-3)
    assert search.smoothed[-1] <= 4 * min(search.smoothed)
    search.plot(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_suggestion_is_where_the_loss_falls_fastest():
    rates = np.geomspace(1e-6, 10, 100).tolist()
    losses = [2 - np.tanh(2 * (np.log10(rate) + 2.5)) + max(0, np.log10(rate)) ** 2 for rate in rates]
    assert RateSearch(rates, losses, losses).suggestion == pytest.approx(10**-2.5, rel=0.2)


def test_nan_loss_is_rejected(small_digits):
    model = zoo.create_model("lenet5", input_shape=(16, 16, 1))
    model.get_layer("dense1").kernel.assign(np.full(model.get_layer("dense1").kernel.shape, np.nan))
    with pytest.raises(zoo.InputError, match="the loss of lenet5 is nan after 0 batches"):
        training.find_learning_rate(model, small_digits, training.Recipe(batch_size=20))
