"""Importance criteria: how much each unit contributes."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy.spatial.distance import cdist

from .....core.errors import InputError, unknown
from .....core.layer_traits import main_kernel, traits_of
from .....zoo.contract import contract_of
from .....zoo.decoded_form import decoded_form, with_raw_pixels
from ....data.images import ImageData
from ....data.pipeline import evaluation_batches
from ....engine.objectives import objectives
from ..graph.channel_graph import ChannelGraph
from ..graph.labels import Labels
from ..graph.layer_rules import values_of

Score = tuple[Labels, np.ndarray]
"""The channels of one layer and the score of each, 0 or more."""
BATCHES, BATCH_SIZE = 10, 32
"""Training images that a criterion of data uses."""


def l1(graph: ChannelGraph) -> Iterator[Score]:
    """Sum of a filter's absolute weights (Li et al.: Pruning Filters for Efficient ConvNets, arXiv:1608.08710)."""
    return ((labels, np.abs(filters).sum(axis=1)) for labels, filters in _filters(graph))


def l2(graph: ChannelGraph) -> Iterator[Score]:
    """Euclidean norm of a filter."""
    return ((labels, np.linalg.norm(filters, axis=1)) for labels, filters in _filters(graph))


def fpgm(graph: ChannelGraph) -> Iterator[Score]:
    """Sum of a filter's distances to the others of its layer: near the geometric median it is replaceable (He et
    al.: Filter Pruning via Geometric Median, arXiv:1811.00250)."""
    return ((labels, cdist(filters, filters).sum(axis=1)) for labels, filters in _filters(graph))


def bn_gamma(graph: ChannelGraph) -> Iterator[Score]:
    """Absolute gain (gamma) of a channel's BatchNorm (Liu et al.: Network Slimming, arXiv:1708.06519)."""
    for node in graph.flat.nodes:
        layer = node.operation
        if isinstance(layer, keras.layers.BatchNormalization) and layer.gamma is not None:
            yield graph.labels[node.inputs[0]], np.abs(values_of(layer.gamma))


def taylor(graph: ChannelGraph, data: ImageData) -> Iterator[Score]:
    """Squared first-order change of the loss without the filter (Molchanov et al.: Importance Estimation for Neural
    Network Pruning, arXiv:1906.10771, equation 8)."""
    return _from_gradients(graph, data, lambda weights, gradients: (weights * gradients).sum(axis=1) ** 2)


def obd(graph: ChannelGraph, data: ImageData) -> Iterator[Score]:
    """Second-order increase of the loss without the filter, at a minimum, with squared gradients in place of the
    Hessian's diagonal (LeCun, Denker, Solla: Optimal Brain Damage, 1989)."""
    return _from_gradients(graph, data, lambda weights, gradients: (weights**2 * gradients**2).sum(axis=1) / 2)


def activation(graph: ChannelGraph, data: ImageData) -> Iterator[Score]:
    """Mean absolute value of a channel at the input of a kernel (Molchanov et al., arXiv:1611.06440, section 2.2)."""
    kernel_inputs = (node.inputs[0] for node in graph.flat.nodes if traits_of(node.operation).kernels)
    tensors = list(dict.fromkeys(kernel_inputs))
    intermediate = with_raw_pixels(keras.Model(graph.flat.model_input, tensors), contract_of(graph.model))
    sums = [np.zeros(tensor.shape[-1]) for tensor in tensors]
    for images, _ in training_images(data):
        for total, values in zip(sums, intermediate.predict_on_batch(images), strict=True):
            total += np.abs(values.astype("float32")).mean(axis=tuple(range(values.ndim - 1)))
    yield from zip((graph.labels[tensor] for tensor in tensors), sums, strict=True)


WEIGHT_CRITERIA: dict[str, Callable[[ChannelGraph], Iterable[Score]]] = {
    "l1": l1,
    "l2": l2,
    "fpgm": fpgm,
    "bn_gamma": bn_gamma,
}
DATA_CRITERIA: dict[str, Callable[[ChannelGraph, ImageData], Iterable[Score]]] = {
    "taylor": taylor,
    "obd": obd,
    "activation": activation,
}
CRITERIA = (*WEIGHT_CRITERIA, *DATA_CRITERIA, "random")


def unit_importance(graph: ChannelGraph, criterion: str, data: ImageData | None = None, seed: int = 0) -> np.ndarray:
    """Return the importance of each unit, 0 or more; infinite if the criterion does not apply, so that it is kept.

    A channel that a tensor has several times, as after a Flatten once for each position, has the mean of these scores.
    Layers differ in scale: scores are divided by their mean over the layer. The importance of a unit is the sum over
    its channels; that of `random` is drawn with `seed`.

    Raises:
        InputError: The criterion is unknown, needs data that is missing, or applies to no layer of the model.
    """
    if criterion == "random":
        return np.random.default_rng(seed).random(graph.unit_count)
    if criterion not in CRITERIA:
        raise unknown("criterion", criterion, CRITERIA)
    if criterion in DATA_CRITERIA and data is None:
        raise InputError(f"criterion {criterion} uses images; pass data, or use one of {', '.join(WEIGHT_CRITERIA)}.")
    scores = DATA_CRITERIA[criterion](graph, data) if criterion in DATA_CRITERIA else WEIGHT_CRITERIA[criterion](graph)
    total, scored = np.zeros(graph.unit_count), np.zeros(graph.unit_count, bool)
    for repeated, each in scores:
        labels, where = np.unique(repeated, return_inverse=True)
        score = np.bincount(where, each) / np.bincount(where)
        units = graph.unit_of[labels]
        np.add.at(total, units, score / max(score.mean(), np.finfo("float64").tiny))
        scored[units] = True
    if not scored.any():
        raise InputError(f"criterion {criterion} does not apply to {graph.model.name}: it has no such layers.")
    return np.where(scored, total, np.inf)


def _filters(graph: ChannelGraph) -> Iterator[tuple[Labels, np.ndarray]]:
    """Yield the labels of every producer's channels, and its filters, one per row."""
    for producer in graph.producers.values():
        yield producer.labels, _filter_rows(producer.layer, values_of(main_kernel(producer.layer)))


def _filter_rows(layer: keras.Layer, kernel: np.ndarray) -> np.ndarray:
    (axis,) = traits_of(layer).main_kernel.output_axes
    return np.moveaxis(kernel, axis, 0).reshape(kernel.shape[axis], -1)


def _from_gradients(
    graph: ChannelGraph, data: ImageData, score: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> Iterator[Score]:
    """Yield the sum over batches of `score` of the filters and their gradients."""
    producers = list(graph.producers.values())
    kernels = [main_kernel(producer.layer) for producer in producers]
    compute_gradients = _gradient_function(graph.model, kernels)
    sums = [np.zeros(len(producer.labels)) for producer in producers]
    for images, targets in training_images(data):
        gradients = compute_gradients(images, targets)
        for producer, kernel, gradient, total in zip(producers, kernels, gradients, sums, strict=True):
            total += score(*(_filter_rows(producer.layer, values_of(values)) for values in (kernel, gradient)))
    yield from ((producer.labels, total) for producer, total in zip(producers, sums, strict=True))


def _gradient_function(model: keras.Model, kernels: list[keras.Variable]) -> Callable[[Any, Any], list[Any]]:
    """Return the function from images and targets to the gradients of the task's loss, in inference mode."""
    losses, decoded = keras.tree.flatten(objectives(model)["loss"]), decoded_form(model)

    @tf.function
    def gradients(images: Any, targets: Any) -> list[Any]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([kernel.value for kernel in kernels])
            outputs = decoded(images, training=False)
            pairs = zip(losses, keras.tree.flatten(targets), keras.tree.flatten(outputs), strict=True)
            loss = sum(one(target, output) for one, target, output in pairs)
        return tape.gradient(loss, [kernel.value for kernel in kernels], unconnected_gradients="zero")

    return gradients


def training_images(data: ImageData) -> Iterator[Any]:
    """Return batches of training images drawn from all of them, with their targets, not augmented."""
    return iter(evaluation_batches(data.train.drawn(BATCHES * BATCH_SIZE), BATCH_SIZE))
