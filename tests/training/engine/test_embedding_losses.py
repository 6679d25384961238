"""Losses of embeddings, compared with their formulas in NumPy, image by image."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketzoo.training.engine.embedding_losses import ArcFaceLoss, ContrastiveLoss, TripletLoss
from pocketzoo.training.recipe.loss import Triplet

pytestmark = pytest.mark.fast

batches = st.tuples(st.lists(st.integers(0, 3), min_size=2, max_size=12), st.integers(0, 2**16))


def made(classes, seed):
    vectors = np.random.default_rng(seed).standard_normal((len(classes), 4)).astype("float32")
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.array(classes), vectors, np.linalg.norm(unit[:, None] - unit[None], axis=2)


def others(classes, row):
    same = [i for i in range(len(classes)) if i != row and classes[i] == classes[row]]
    return same, [i for i in range(len(classes)) if classes[i] != classes[row]]


def triplet(classes, distances, margin, mining):
    losses = []
    for row in range(len(classes)):
        same, different = others(classes, row)
        if not same or not different:
            continue
        own = distances[row]
        if mining == "hard":
            losses.append(max(0, margin + max(own[same]) - min(own[different])))
            continue
        parts = []
        for positive in same:
            farther = [own[n] for n in different if own[n] > own[positive]]
            parts.append(max(0, margin + own[positive] - (min(farther) if farther else max(own[different]))))
        losses.append(np.mean(parts))
    return np.mean(losses) if losses else 0


@given(batches, st.sampled_from(["semi_hard", "hard"]), st.floats(0.05, 1))
@settings(max_examples=20, deadline=None)
def test_triplet_loss_is_its_formula(batch, mining, margin):
    classes, vectors, distances = made(*batch)
    loss = TripletLoss(Triplet(margin=margin, mining=mining))(classes, vectors)
    assert float(loss) == pytest.approx(triplet(classes, distances, margin, mining), abs=2e-3)


@given(batches, st.floats(0.1, 1.9))
@settings(max_examples=20, deadline=None)
def test_contrastive_loss_is_its_formula(batch, margin):
    classes, vectors, distances = made(*batch)
    expected = []
    for row in range(len(classes)):
        same, different = others(classes, row)
        near = np.mean(distances[row, same] ** 2) if same else 0
        far = np.mean(np.maximum(0, margin - distances[row, different]) ** 2) if different else 0
        expected.append((near + far) / 2)
    assert float(ContrastiveLoss(margin)(classes, vectors)) == pytest.approx(np.mean(expected), abs=2e-3)


@given(batches, st.floats(0, 1.4), st.floats(1, 64))
@settings(max_examples=20, deadline=None)
def test_arcface_loss_is_its_formula(batch, margin, scale):
    classes, vectors, _ = made(*batch)
    loss = ArcFaceLoss(4, 4, margin=margin, scale=scale)
    centers = loss.centers.directions.numpy().astype("float64")
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    expected = []
    for own, vector in zip(classes, vectors.astype("float64"), strict=True):
        cosines = centers @ vector / np.linalg.norm(vector)
        angle = math.acos(np.clip(cosines[own], -1, 1))
        beyond = cosines[own] - margin * math.sin(margin)
        moved = math.cos(angle + margin) if angle + margin < math.pi else beyond
        logits = np.where(np.arange(4) == own, moved, cosines) * scale
        expected.append(np.logaddexp.reduce(logits) - logits[own])
    assert float(loss(classes, vectors)) == pytest.approx(np.mean(expected), rel=1e-2, abs=1e-2)


@pytest.mark.parametrize(
    "loss",
    [
        TripletLoss(Triplet()),
        TripletLoss(Triplet(mining="hard")),
        ContrastiveLoss(1.0),
        ArcFaceLoss(2, 3, margin=0.5, scale=30),
    ],
    ids=["semi_hard", "hard", "contrastive", "arcface"],
)
@pytest.mark.parametrize("vectors", [np.ones((4, 3)), np.zeros((4, 3)), np.eye(4, 3)])
def test_gradients_are_finite_where_embeddings_are_equal_or_opposite(loss, vectors):
    import tensorflow as tf

    outputs = tf.Variable(vectors, dtype="float32")
    with tf.GradientTape() as tape:
        value = loss(np.array([0, 0, 1, 1]), outputs)
    assert np.isfinite(value)
    assert np.isfinite(tape.gradient(value, outputs)).all()


def test_images_without_others_to_compare_do_not_count():
    classes, vectors, distances = made([0, 0, 1, 2, 3], 5)
    loss = TripletLoss(Triplet(margin=0.7))
    assert float(loss(classes, vectors)) == pytest.approx(triplet(classes, distances, 0.7, "semi_hard"), abs=1e-3)
    assert float(loss(np.arange(5), vectors)) == 0
    assert float(loss(np.zeros(5), vectors)) == 0


def test_weight_of_an_image_multiplies_its_loss():
    classes, vectors, _ = made([0, 0, 1, 1], 5)
    loss = ContrastiveLoss(1.0)
    assert float(loss(classes, vectors, np.full(4, 2.0))) == pytest.approx(2 * float(loss(classes, vectors)))
    assert float(loss(classes, vectors, np.zeros(4))) == 0
