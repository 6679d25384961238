"""Metrics of embeddings, compared with plain definitions."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from pocketzoo import zoo
from pocketzoo.tasks import get_task
from pocketzoo.tasks import retrieval as retrieval_module
from pocketzoo.tasks.retrieval import Retrieval, Verification, unit_vectors

pytestmark = pytest.mark.fast

TASK = get_task("embedding")
sets = st.tuples(st.lists(st.integers(0, 3), min_size=4, max_size=30), st.integers(0, 2**16))


def made(classes, seed, length=5):
    vectors = np.random.default_rng(seed).standard_normal((len(classes), length)).astype("float32")
    return np.array(classes), vectors + np.eye(4, length, dtype="float32")[classes]


def evaluation_of(classes, vectors, labels="abcd"):
    accumulator = TASK.accumulator(list(labels))
    accumulator.add(classes, vectors)
    return accumulator.evaluation()


@given(sets)
@settings(max_examples=25, deadline=None)
def test_retrieval_is_what_a_search_among_all_other_images_finds(drawn):
    classes, vectors = made(*drawn)
    similar = unit_vectors(vectors) @ unit_vectors(vectors).T
    queries = [row for row, own in enumerate(classes) if (classes == own).sum() > 1]
    assume(queries and len(set(classes)) > 1)
    hits, precisions = [], []
    for row in queries:
        others = np.delete(np.arange(len(classes)), row)
        order = others[np.argsort(-similar[row, others])]
        hits.append(classes[order] == classes[row])
        precisions.append(average_precision_score(classes[others] == classes[row], similar[row, others]))
    found = evaluation_of(classes, vectors)
    assert found.queries == len(queries)
    assert found.recall_at_1 == pytest.approx(np.mean([hit[0] for hit in hits]))
    assert found.recall_at_5 == pytest.approx(np.mean([hit[:5].any() for hit in hits]))
    assert found.mean_average_precision == pytest.approx(np.mean(precisions), abs=1e-6)


@given(sets)
@settings(max_examples=25, deadline=None)
def test_verification_is_over_all_pairs(drawn):
    classes, vectors = made(*drawn)
    first, second = np.triu_indices(len(classes), 1)
    same = classes[first] == classes[second]
    assume(same.any() and not same.all())
    similar = (unit_vectors(vectors)[first] * unit_vectors(vectors)[second]).sum(axis=1)
    found = Verification.of(classes, unit_vectors(vectors))
    assert (len(found.positive), len(found.negative)) == (same.sum(), (~same).sum())
    assert found.roc_auc == pytest.approx(roc_auc_score(same, similar), abs=1e-3)
    for rate in (0.05, 0.3, 1.0):
        accepted = found.true_accept_rate(rate)
        if rate * (~same).sum() < 1:
            assert accepted is None
            continue
        rates = [
            (similar[same] > threshold).mean()
            for threshold in [-2, *similar[~same]]
            if (similar[~same] > threshold).mean() <= rate + 1e-9
        ]
        assert accepted == pytest.approx(max(rates), abs=0.02)


def test_few_pairs_give_no_rate_that_they_cannot_show():
    classes, vectors = made([0, 1] * 10, 3)
    found = evaluation_of(classes, vectors, "ab")
    assert found.other_pairs == 100
    assert found.tar_at_far_1_percent is not None
    assert found.tar_at_far_01_percent is None


def test_many_pairs_are_drawn_and_give_nearly_the_same_figures(monkeypatch):
    classes, vectors = made(list(np.arange(400) % 4), 1)
    every = Verification.of(classes, unit_vectors(vectors))
    monkeypatch.setattr(retrieval_module, "MOST_PAIRS", 20_000)
    drawn = Verification.of(classes, unit_vectors(vectors))
    assert len(drawn.positive) == 10_000
    assert drawn.roc_auc == pytest.approx(every.roc_auc, abs=0.02)
    again = Verification.of(classes, unit_vectors(vectors))
    np.testing.assert_array_equal(drawn.negative, again.negative)


def test_average_precision_of_many_images_is_that_of_a_sample(monkeypatch):
    classes, vectors = made(list(np.arange(300) % 4), 1)
    every = Retrieval.of(classes, vectors).average_precision[1].mean()
    monkeypatch.setattr(retrieval_module, "RANKED_QUERIES", 100)
    rows, precisions = Retrieval.of(classes, vectors).average_precision
    assert len(rows) == 100
    assert precisions.mean() == pytest.approx(every, abs=0.05)


def test_model_whose_outputs_are_all_the_same_finds_nothing():
    found = evaluation_of(np.arange(12) % 3, np.ones((12, 4), "float32"), "abc")
    assert (found.recall_at_1, found.roc_auc) == (0, 0.5)
    assert found.recall_at_5 == 0


def test_length_of_the_vectors_does_not_matter():
    classes, vectors = made(list(np.arange(40) % 4), 2)
    scaled = vectors * np.geomspace(0.01, 100, 40, dtype="float32")[:, None]
    assert evaluation_of(classes, scaled).recall_at_1 == evaluation_of(classes, vectors).recall_at_1


@pytest.mark.parametrize(
    ("classes", "message"),
    [([1, 1, 1], "all images are of class 'b'; recall@1 takes 2 or more"), ([0, 1, 2], "no class has two images")],
)
def test_images_that_have_nothing_to_be_found_are_refused(classes, message):
    with pytest.raises(zoo.InputError, match=message):
        evaluation_of(np.array(classes), np.eye(3, dtype="float32"), "abc")
    accumulator = TASK.accumulator(list("abc"))
    accumulator.add(np.array(classes), np.eye(3, dtype="float32"))
    assert np.isnan(accumulator.score)
    assert accumulator.loss_against(accumulator) is None


def test_image_alone_in_its_class_is_no_query():
    found = evaluation_of(np.array([0, 0, 1, 1, 2]), np.eye(5, 3, dtype="float32") + 1, "abc")
    assert (found.images, found.queries) == (5, 4)
    assert found.per_class["c"] == {"recall@1": None, "average precision": None, "support": 1.0}


def test_sheet_has_the_worst_images_with_the_nearest_beside_them():
    classes, vectors = made(list(np.arange(40) % 4), 2)
    accumulator = TASK.accumulator(list("abcd"))
    accumulator.add(classes, vectors)
    rows = accumulator.shown(24).reshape(4, 6)
    assert rows[0, 0] == np.argmax(accumulator.errors())
    similar = unit_vectors(vectors) @ unit_vectors(vectors).T
    for query, *nearest in rows:
        expected = np.argsort(-np.where(np.arange(40) == query, -2, similar[query]))[:5]
        assert similar[query, nearest] == pytest.approx(similar[query, expected])
    assert evaluation_of(classes, vectors).plots("abcd").keys() == {"roc.png"}
