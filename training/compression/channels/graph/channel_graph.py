"""Which channels of a model there are, and which of them only go together."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .....zoo.flat import flatten_model
from ...nodes import nodes_in_order
from ...quantization.detection import check_not_quantized

Labels = np.ndarray
"""One whole number for each channel of a tensor. Channels that are one (that of a convolution and that of the
activation after it) have the same label."""
FROZEN = 0
"""The label of all channels that cannot be removed."""


@dataclass(frozen=True)
class Call:
    """A layer or an operation of the flat form, where it is applied."""

    op: Any
    inputs: tuple[keras.KerasTensor, ...]
    outputs: tuple[keras.KerasTensor, ...]
    arguments: Any
    """Keras' own record of what it is applied to; `fill_in` puts values in the place of the tensors."""

    @property
    def name(self) -> str:
        """The layer's; of an operation, which has none of its own, that of the layer before it."""
        if isinstance(self.op, keras.layers.Layer):
            return self.op.name
        return f"{type(self.op).__name__} of {self.inputs[0]._keras_history.operation.name}"

    @property
    def is_of_tensors_alone(self) -> bool:
        """Whether it is applied to nothing else that may have a number for each channel."""
        return not any(
            np.size(value) > 1
            for value in keras.tree.flatten((self.arguments.args, self.arguments.kwargs))
            if isinstance(value, np.ndarray) or keras.ops.is_tensor(value)
        )

    def apply(self, values: dict[int, Any]) -> Any:
        """What it gives for `values` by tensor identity, as in inference."""
        args, kwargs = self.arguments.fill_in(values)
        return self.op(*args, **kwargs | ({"training": False} if "training" in kwargs else {}))


@dataclass(frozen=True)
class Axis:
    """An axis of a weight that runs over channels."""

    axis: int
    labels: Labels
    groups: int = 1
    """Parts of the channels that share the axis: a grouped kernel has but its group's input channels."""


@dataclass(frozen=True)
class Producer:
    """A layer that makes channels of its own: a convolution or a dense layer."""

    layer: keras.Layer
    labels: Labels


class ChannelGraph:
    """The channels of a model's flat form, labelled; those that are coupled form one unit.

    A kernel makes labels, what follows passes them on, and where two tensors are added or multiplied their channels are
    coupled: only all or none of a unit can be removed. How each kind of layer treats channels is in `kinds` and in
    `kernels`.

    Args:
        model: Of any widths and any layers; what is not in `known` keeps its channels.

    Raises:
        InputError: The model has no flat form, or is quantized already.
    """

    def __init__(self, model: keras.Model):
        check_not_quantized(model, "narrowed")
        self.model = model
        self.flat = flatten_model(model)
        self.calls = _calls(self.flat)
        self.uses = Counter(id(call.op) for call in self.calls)
        """How often each layer is applied, by identity."""
        self.labels: dict[int, Labels] = {}
        """Of each tensor, by identity."""
        self.axes: dict[int, list[Axis]] = {}
        """Of each weight, by identity."""
        self.producers: dict[str, Producer] = {}
        """By name of the flat layer, in order."""
        self.balanced: list[tuple[Labels, int]] = []
        """Channels that convolutions see or make in groups, which must lose as many each, with the number of groups."""
        self.frozen: dict[str, str] = {}
        """By name of the layer: why it keeps the channels that it sees."""
        self._made = 1
        self._pairs: list[tuple[Labels, Labels]] = []
        self._trace()
        self.unit_of = self._units()
        """The unit of each label."""

    @property
    def units(self) -> int:
        """How many units there are; the channels of unit `unit_of[FROZEN]` cannot be removed."""
        return int(self.unit_of.max()) + 1

    def kept(self, labels: Labels, keep: np.ndarray) -> np.ndarray:
        """Whether each of these channels stays, where `keep` says it of each unit."""
        return keep[self.unit_of[labels]]

    def fingerprint(self) -> str:
        """Of the layers with weights, their names and shapes: the same for nets of the same architecture."""
        lines = [
            f"{layer.name} {type(layer).__name__} {[tuple(weight.shape) for weight in layer.weights]}"
            for layer in self.flat.layers
            if layer.weights
        ]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

    def fresh(self, count: int) -> Labels:
        """Labels of that many new channels."""
        self._made += count
        return np.arange(self._made - count, self._made)

    def produce(self, layer: keras.Layer, count: int) -> Labels:
        """Labels of the channels that `layer` makes: the same wherever it is applied."""
        if layer.name not in self.producers:
            self.producers[layer.name] = Producer(layer, self.fresh(count))
        return self.producers[layer.name].labels

    def couple(self, one: Labels, other: Labels) -> None:
        """Says that these channels go together, each of one with that of the other at its place."""
        self._pairs.append((one, other))

    def tie(self, weight: keras.Variable | None, axis: int, labels: Labels, *, groups: int = 1) -> None:
        """Says over which channels an axis of a weight runs; a layer that is used twice sees coupled channels."""
        if weight is None:
            return
        axis %= len(weight.shape)
        known = [one for one in self.axes.setdefault(id(weight), []) if one.axis == axis]
        if known:
            self.couple(known[0].labels, labels)
        else:
            self.axes[id(weight)].append(Axis(axis, labels, groups))

    def balance(self, labels: Labels, groups: int) -> None:
        """Says that as many of these channels must stay in each of `groups` equal parts."""
        self.balanced.append((labels, groups))

    def freeze(self, labels: Labels, layer: str | None = None, why: str = "") -> None:
        """Says that these channels cannot be removed, and which layer is why."""
        self.couple(labels, np.full_like(labels, FROZEN))
        if layer is not None and labels.any():
            self.frozen[layer] = why

    def _trace(self) -> None:
        from .rule_table import kind_of

        for tensor in self.flat.inputs:
            self.labels[id(tensor)] = frozen_labels(tensor)
        for call in self.calls:
            inputs = [self.labels[id(tensor)] for tensor in call.inputs]
            traced = kind_of(call).trace(self, call, inputs)
            self.labels |= {id(tensor): frozen_labels(tensor) for tensor in call.outputs[1:]}
            self.labels[id(call.outputs[0])] = traced
        answers = {id(tensor) for tensor in self.flat.outputs}
        for call in self.calls:
            if answers & {id(tensor) for tensor in call.outputs}:
                self.freeze(self.labels[id(call.outputs[0])])
                self.frozen.pop(call.name, None)  # answers stay in any case

    def _units(self) -> np.ndarray:
        """Union-find over all couplings at once."""
        ones, others = (np.concatenate(side) for side in zip(*self._pairs, strict=True))
        links = coo_array((np.ones(len(ones), bool), (ones, others)), shape=(self._made, self._made))
        return connected_components(links, directed=False)[1]


def frozen_labels(tensor: keras.KerasTensor) -> Labels:
    """Labels of a tensor whose channels cannot be removed."""
    return np.full(tensor.shape[-1] if tensor.shape and tensor.shape[-1] else 0, FROZEN)


def _calls(flat: keras.Model) -> list[Call]:
    """In an order in which each comes after those that feed it."""
    return [
        Call(node.operation, tuple(node.input_tensors), tuple(node.outputs), node.arguments)
        for node in nodes_in_order(flat)
        if not node.is_input
    ]
