"""Labels of channels: what the rules of layers record about them."""

from dataclasses import dataclass

import keras
import numpy as np

from .....core.flat_graph import FlatGraph, Node

Labels = np.ndarray
"""One integer per channel of a tensor. Channels that are the same (those of a convolution and those of the activation
after it) have the same label."""
FROZEN = 0
"""Label of all channels that cannot be removed."""


@dataclass(frozen=True)
class ChannelAxis:
    """An axis of a weight that runs over channels."""

    axis: int
    labels: Labels
    groups: int = 1
    """Groups that share the axis: a grouped kernel has the input channels of one group only."""


@dataclass(frozen=True)
class Producer:
    """A layer that computes new channels: a convolution or a dense layer."""

    layer: keras.Layer
    labels: Labels


class ChannelLabels:
    """Channels of a flat model, and which of them can only be removed together.

    Args:
        flat: The flat model's graph.
    """

    def __init__(self, flat: FlatGraph):
        self.flat = flat
        self.axes: dict[int, list[ChannelAxis]] = {}
        """Channel axes of each weight, by its `id`."""
        self.producers: dict[str, Producer] = {}
        """By name of the flat layer, in order."""
        self.grouped: list[tuple[Labels, int]] = []
        """Input or output channels of grouped convolutions, and the number of groups: each must lose equally many."""
        self.frozen: dict[str, str] = {}
        """By name of a layer that keeps its input channels: the reason."""
        self._label_count = 1
        self._couplings: list[tuple[Labels, Labels]] = []

    def name_of(self, node: Node) -> str:
        """Return the name of the layer; an operation is described by the layer before it, having no stable name."""
        if node.is_layer:
            return node.name
        return f"{type(node.operation).__name__} of {self.flat.producer(node.inputs[0]).name}"

    def new_labels(self, count: int) -> Labels:
        """Return labels for `count` new channels."""
        self._label_count += count
        return np.arange(self._label_count - count, self._label_count)

    def produce(self, layer: keras.Layer, count: int) -> Labels:
        """Return the labels of the channels that `layer` computes: the same wherever it is applied."""
        if layer.name not in self.producers:
            self.producers[layer.name] = Producer(layer, self.new_labels(count))
        return self.producers[layer.name].labels

    def couple(self, one: Labels, other: Labels) -> None:
        """Record that channels can only be removed together: each of `one` with the one at its index in `other`."""
        self._couplings.append((one, other))

    def label_axis(self, weight: keras.Variable | None, axis: int, labels: Labels, *, groups: int = 1) -> None:
        """Record which channels an axis of a weight runs over; if the layer is applied twice, both are coupled."""
        if weight is None:
            return
        axis %= len(weight.shape)
        earlier = [one for one in self.axes.setdefault(id(weight), []) if one.axis == axis]
        if earlier:
            self.couple(earlier[0].labels, labels)
        else:
            self.axes[id(weight)].append(ChannelAxis(axis, labels, groups))

    def group(self, labels: Labels, groups: int) -> None:
        """Record that each of `groups` equal parts of these channels must lose equally many."""
        self.grouped.append((labels, groups))

    def freeze(self, labels: Labels, layer: str | None = None, reason: str = "") -> None:
        """Record that these channels cannot be removed, and because of which layer."""
        self.couple(labels, np.full_like(labels, FROZEN))
        if layer is not None and labels.any():
            self.frozen[layer] = reason


def frozen_labels(tensor: keras.KerasTensor) -> Labels:
    """Return labels of a tensor whose channels cannot be removed."""
    return np.full(tensor.shape[-1] if tensor.shape and tensor.shape[-1] else 0, FROZEN)
