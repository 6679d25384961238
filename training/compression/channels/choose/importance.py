"""How much each unit matters."""

from collections.abc import Callable, Iterable, Iterator

import keras
import numpy as np
import tensorflow as tf
from scipy.spatial.distance import cdist

from .....core.errors import InputError, unknown
from ....data.images import ImageData
from ....data.pipeline import evaluation_batches
from ....engine.objectives import objectives
from ...weights.layer_selection import kernel_of
from ..graph.channel_graph import ChannelGraph, Labels
from ..graph.kernel_rules import Kernel
from ..graph.layer_rules import values_of
from ..graph.rule_table import kind_of

Score = tuple[Labels, np.ndarray]
"""Of the channels of one layer, one number each, 0 or more."""
BATCHES, BATCH_SIZE = 10, 32
"""Of the training images that a criterion looks at."""


def l1(graph: ChannelGraph) -> Iterator[Score]:
    """The sum of a filter's absolute weights (Li et al.: Pruning Filters for Efficient ConvNets, arXiv:1608.08710)."""
    return ((labels, np.abs(filters).sum(axis=1)) for labels, filters in _filters(graph))


def l2(graph: ChannelGraph) -> Iterator[Score]:
    """The Euclidean norm of a filter."""
    return ((labels, np.linalg.norm(filters, axis=1)) for labels, filters in _filters(graph))


def fpgm(graph: ChannelGraph) -> Iterator[Score]:
    """The sum of a filter's distances to the others of its layer: near the geometric median it is replaceable (He et
    al.: Filter Pruning via Geometric Median, arXiv:1811.00250)."""
    return ((labels, cdist(filters, filters).sum(axis=1)) for labels, filters in _filters(graph))


def bn_gamma(graph: ChannelGraph) -> Iterator[Score]:
    """The size of the gains that normalise a channel (Liu et al.: Network Slimming, arXiv:1708.06519)."""
    for call in graph.calls:
        if isinstance(call.op, keras.layers.BatchNormalization) and call.op.gamma is not None:
            yield graph.labels[id(call.inputs[0])], np.abs(values_of(call.op.gamma))


def taylor(graph: ChannelGraph, data: ImageData) -> Iterator[Score]:
    """What the loss would change by without the filter, to first order, squared (Molchanov et al.: Importance
    Estimation for Neural Network Pruning, arXiv:1906.10771, equation 8)."""
    return _from_gradients(graph, data, lambda weights, slopes: (weights * slopes).sum(axis=1) ** 2)


def obd(graph: ChannelGraph, data: ImageData) -> Iterator[Score]:
    """What the loss would grow by without the filter, to second order at a minimum, with the squared gradients in the
    place of the Hessian's diagonal (LeCun, Denker, Solla: Optimal Brain Damage, 1989)."""
    return _from_gradients(graph, data, lambda weights, slopes: (weights**2 * slopes**2).sum(axis=1) / 2)


def activation(graph: ChannelGraph, data: ImageData) -> Iterator[Score]:
    """The mean size of a channel where a kernel sees it (Molchanov et al., arXiv:1611.06440, section 2.2)."""
    seen = {id(call.inputs[0]): call.inputs[0] for call in graph.calls if isinstance(kind_of(call), Kernel)}
    tensors = list(seen.values())
    look = keras.Model(graph.flat.inputs, tensors)
    sizes = [np.zeros(tensor.shape[-1]) for tensor in tensors]
    for images, _ in training_images(data):
        for size, values in zip(sizes, look.predict_on_batch(images), strict=True):
            size += np.abs(values).mean(axis=tuple(range(values.ndim - 1)))
    yield from zip((graph.labels[key] for key in seen), sizes, strict=True)


OF_WEIGHTS: dict[str, Callable[[ChannelGraph], Iterable[Score]]] = {
    "l1": l1,
    "l2": l2,
    "fpgm": fpgm,
    "bn_gamma": bn_gamma,
}
OF_DATA: dict[str, Callable[[ChannelGraph, ImageData], Iterable[Score]]] = {
    "taylor": taylor,
    "obd": obd,
    "activation": activation,
}
CRITERIA = (*OF_WEIGHTS, *OF_DATA, "random")


def unit_scores(graph: ChannelGraph, criterion: str, data: ImageData | None = None, seed: int = 0) -> np.ndarray:
    """How much each unit matters, 0 or more; infinite where the criterion says nothing of it, so that it stays.

    Layers differ in scale: their scores are divided by their mean over the layer. A unit's score is the sum over the
    channels that go with it. Those of `random` are drawn by `seed`.

    Raises:
        InputError: There is no such criterion, it needs data and there is none, or it says nothing of this model.
    """
    if criterion == "random":
        return np.random.default_rng(seed).random(graph.units)
    if criterion not in CRITERIA:
        raise unknown("criterion", criterion, CRITERIA)
    if criterion in OF_DATA and data is None:
        raise InputError(f"criterion {criterion} looks at images; give data, or take one of {', '.join(OF_WEIGHTS)}.")
    scores = OF_DATA[criterion](graph, data) if criterion in OF_DATA else OF_WEIGHTS[criterion](graph)
    total, known = np.zeros(graph.units), np.zeros(graph.units, bool)
    for labels, score in scores:
        units = graph.unit_of[labels]
        np.add.at(total, units, score / max(score.mean(), np.finfo("float64").tiny))
        known[units] = True
    if not known.any():
        raise InputError(f"criterion {criterion} says nothing of {graph.model.name}: it has no such layers.")
    return np.where(known, total, np.inf)


def _filters(graph: ChannelGraph) -> Iterator[tuple[Labels, np.ndarray]]:
    """Of every layer that makes channels: their labels and its filters, a row each."""
    for producer in graph.producers.values():
        yield producer.labels, _by_filter(producer.layer, values_of(kernel_of(producer.layer)))


def _by_filter(layer: keras.Layer, kernel: np.ndarray) -> np.ndarray:
    axis = -2 if isinstance(layer, keras.layers.Conv2DTranspose) else -1
    return np.moveaxis(kernel, axis, 0).reshape(kernel.shape[axis], -1)


def _from_gradients(
    graph: ChannelGraph, data: ImageData, score: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> Iterator[Score]:
    """The mean of `score` of filters and their gradients over the batches."""
    producers = list(graph.producers.values())
    kernels = [kernel_of(producer.layer) for producer in producers]
    slopes_of = _gradients(graph.model, kernels)
    sums = [np.zeros(len(producer.labels)) for producer in producers]
    for images, targets in training_images(data):
        for producer, kernel, slopes, total in zip(producers, kernels, slopes_of(images, targets), sums, strict=True):
            filters = [_by_filter(producer.layer, values_of(values)) for values in (kernel, slopes)]
            total += score(*filters)
    yield from ((producer.labels, total) for producer, total in zip(producers, sums, strict=True))


def _gradients(model: keras.Model, kernels: list[keras.Variable]) -> Callable:
    """The function from images and targets to the gradients of the task's loss, in inference mode."""
    losses = keras.tree.flatten(objectives(model)["loss"])

    @tf.function
    def gradients(images, targets):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([kernel.value for kernel in kernels])
            answers = model(images, training=False)
            pairs = zip(losses, keras.tree.flatten(targets), keras.tree.flatten(answers), strict=True)
            loss = sum(one(target, answer) for one, target, answer in pairs)
        return tape.gradient(loss, [kernel.value for kernel in kernels], unconnected_gradients="zero")

    return gradients


def training_images(data: ImageData) -> Iterator:
    """Batches of some training images, drawn from all of them, and their targets, as they are."""
    return iter(evaluation_batches(data.train.drawn(BATCHES * BATCH_SIZE), BATCH_SIZE))
