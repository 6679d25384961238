import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import beta
from sklearn.metrics import average_precision_score

from pocketzoo import training
from pocketzoo.tasks.bootstrap import intervals, mean_of, share_interval
from pocketzoo.tasks.ranking import weighted_mean_average_precision

pytestmark = pytest.mark.fast


def test_interval_of_an_accuracy_is_that_of_the_binomial_distribution():
    right = np.arange(500) < 400
    low, high = intervals("accuracy", mean_of(right), 500)["accuracy"]
    expected = stats.binom(500, 0.8).ppf([0.025, 0.975]) / 500
    assert (low, high) == (pytest.approx(expected[0], abs=0.005), pytest.approx(expected[1], abs=0.005))


def test_intervals_are_the_same_each_time_and_narrower_of_more_images():
    values = np.random.default_rng(0).normal(size=4000)
    few, again, many = (intervals("x", mean_of(values[:count]), count)["x"] for count in (40, 40, 4000))
    assert few == again
    assert few[1] - few[0] > 5 * (many[1] - many[0])


def test_single_image_has_no_interval():
    assert training.RegressionEvaluation.of(np.ones((1, 1)), np.zeros((1, 1)), ["x"]).intervals == {}


@pytest.mark.parametrize(
    ("evaluation", "field"),
    [
        (
            lambda t, a: training.MultiLabelEvaluation.of((t > 0.5).astype("float32"), a, ["x", "y"]),
            "average_precision",
        ),
        (lambda t, a: training.RegressionEvaluation.of(t, a, ["x", "y"]), "mae"),
    ],
)
def test_figure_lies_within_its_interval(evaluation, field):
    random = np.random.default_rng(0)
    truth = random.random((60, 2))
    measured = evaluation(truth, np.clip(truth + random.normal(size=(60, 2)) / 4, 0, 1))
    low, high = measured.intervals[field]
    assert low < getattr(measured, field) < high


@given(st.integers(0, 2**31), st.integers(2, 30), st.sampled_from([1, 3, 1000]))
def test_weighted_average_precision_is_scikit_learns_of_the_images_drawn(seed, count, levels):
    """A few levels of scores give ties."""
    random = np.random.default_rng(seed)
    there, scores = random.random((count, 2)) < 0.4, random.integers(0, levels, (count, 2)) / levels
    drawn = random.integers(0, count, count)
    weights = np.bincount(drawn, minlength=count).astype("float32")
    columns = [column for column in range(2) if there[drawn, column].any()]
    if not columns:
        return
    expected = np.mean([average_precision_score(there[drawn, c], scores[drawn, c]) for c in columns])
    measured = weighted_mean_average_precision(there, scores)(weights[:, np.newaxis])
    assert measured == pytest.approx(expected, rel=1e-5)


def test_a_share_of_all_or_none_has_the_exact_interval():
    """Clopper and Pearson's, by the beta distribution."""
    low = beta.ppf(0.025, 12, 1)
    assert share_interval("share", np.ones(12, bool))["share"] == pytest.approx((low, 1.0))
    assert share_interval("share", np.zeros(12, bool))["share"] == pytest.approx((0.0, 1 - low))
    assert share_interval("share", np.ones(1, bool)) == {}
