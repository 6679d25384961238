import keras
import numpy as np
import pytest
from support.reference import convolve, randomized, sigmoid

from pocketzoo import layers

pytestmark = pytest.mark.fast


def softmax(x: np.ndarray) -> np.ndarray:
    exponentials = np.exp(x - x.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize(
    ("head_class", "activation"),
    [
        (layers.ClassificationHead, softmax),
        (layers.MultiLabelHead, sigmoid),
        (layers.RegressionHead, lambda x: x),
    ],
)
def test_head_is_an_activation_of_a_dense_layer_on_the_mean_over_the_area(x, head_class, activation):
    head = randomized(head_class(4), x)
    logits = x.mean(axis=(1, 2)) @ head.dense.kernel.numpy() + head.dense.bias.numpy()
    np.testing.assert_allclose(head(x), activation(logits), rtol=1e-4, atol=1e-5)


def test_score_map_averages_the_scores_of_every_place(x):
    head = randomized(layers.ClassificationHead(4, score_map=True), x)
    scores = np.maximum(convolve(x, head.dense.kernel.numpy()) + head.dense.bias.numpy(), 0)
    np.testing.assert_allclose(head(x), softmax(scores.mean(axis=(1, 2))), rtol=1e-4, atol=1e-5)


def test_embedding_is_the_mean_over_the_area(x):
    np.testing.assert_allclose(layers.EmbeddingHead()(x), x.mean((1, 2)), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(layers.EmbeddingHead()(x[:, 0, 0]), x[:, 0, 0])


def test_segmentation_head_answers_for_every_place(x):
    head = randomized(layers.SegmentationHead(4), x)
    scores = convolve(x, head.scores.kernel.numpy()) + head.scores.bias.numpy()
    np.testing.assert_allclose(head(x), softmax(scores), rtol=1e-4, atol=1e-5)


def test_segmentation_head_enlarges_its_scores_without_leaving_their_range(x):
    head = layers.SegmentationHead(2, strides=4, crop=(3, 1))
    answers = head(np.ones_like(x)).numpy()
    assert answers.shape == (2, 25, 19, 2)
    np.testing.assert_allclose(answers, np.broadcast_to(answers[:1, :1, :1], answers.shape), rtol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_head_gives_float32_probabilities_under_mixed_precision(policy):
    head = layers.ClassificationHead(3, dtype=policy)
    symbolic = head(keras.Input((4, 4, 2)))
    assert symbolic.dtype == "float32"
    assert head(np.ones((1, 4, 4, 2))).dtype == "float32"


@pytest.mark.parametrize("head_class", [layers.ClassificationHead, layers.SegmentationHead])
def test_labels_are_one_for_each_class(head_class):
    with pytest.raises(ValueError, match="1 labels for 3 classes"):
        head_class(3, labels=["a"])


def test_segmentation_needs_a_map(x):
    with pytest.raises(ValueError, match="takes a map"):
        layers.SegmentationHead(3)(x[:, 0, 0])
