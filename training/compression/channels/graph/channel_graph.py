"""Dependency graph of the channels of a model: which of them can only be removed together."""

import hashlib
from dataclasses import dataclass

import keras
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .....core.flat_graph import FlatGraph, Node
from .....zoo.flat import flatten_model
from ...quantization.detection import check_not_quantized

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


class ChannelGraph:
    """The labeled channels of a model's flat form; coupled channels form one unit.

    A kernel creates labels, the layers after it pass them on, and where two tensors are added or multiplied their
    channels are coupled: a unit can be removed as a whole or not at all. How each layer treats channels is defined by
    its rule (`rule_table`, `layer_rules`, `kernel_rules`).

    Args:
        model: Of any widths and layers; layers without a rule keep their channels.

    Raises:
        InputError: The model has no flat form, or is already quantized.
    """

    def __init__(self, model: keras.Model):
        check_not_quantized(model, "narrowed")
        self.model = model
        self.flat = FlatGraph(flatten_model(model))
        self.labels: dict[keras.KerasTensor, Labels] = {}
        """Labels of each tensor of the flat form."""
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
        self._trace()
        self.unit_of = self._units()
        """The unit of each label."""

    @property
    def unit_count(self) -> int:
        """Number of units; the channels of unit `unit_of[FROZEN]` cannot be removed."""
        return int(self.unit_of.max()) + 1

    def kept(self, labels: Labels, keep: np.ndarray) -> np.ndarray:
        """Return which channels are kept, as booleans, given the same for each unit in `keep`."""
        return keep[self.unit_of[labels]]

    def fingerprint(self) -> str:
        """Return a hash of the names and shapes of the weights: models of the same architecture share it."""
        lines = [
            f"{layer.name} {type(layer).__name__} {[tuple(weight.shape) for weight in layer.weights]}"
            for layer in self.flat.model.layers
            if layer.weights
        ]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

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

    def _trace(self) -> None:
        from .rule_table import rule_of

        for tensor in self.flat.inputs:
            self.labels[tensor] = frozen_labels(tensor)
        for node in self.flat.nodes:
            traced = rule_of(node).trace(self, node, [self.labels[tensor] for tensor in node.inputs])
            self.labels |= {tensor: frozen_labels(tensor) for tensor in node.outputs[1:]}
            self.labels[node.outputs[0]] = traced
        for node in self.flat.nodes:
            if any(map(self.flat.is_output, node.outputs)):
                self.freeze(self.labels[node.outputs[0]])
                self.frozen.pop(self.name_of(node), None)  # outputs are kept in any case

    def _units(self) -> np.ndarray:
        """Return the connected components of all couplings."""
        ones, others = (np.concatenate(side) for side in zip(*self._couplings, strict=True))
        links = coo_array((np.ones(len(ones), bool), (ones, others)), shape=(self._label_count,) * 2)
        return connected_components(links, directed=False)[1]


def frozen_labels(tensor: keras.KerasTensor) -> Labels:
    """Return labels of a tensor whose channels cannot be removed."""
    return np.full(tensor.shape[-1] if tensor.shape and tensor.shape[-1] else 0, FROZEN)
