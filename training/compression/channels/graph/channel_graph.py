"""Dependency graph of the channels of a model: which of them can only be removed together."""

import hashlib

import keras
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .....core.flat_graph import FlatGraph
from .....core.operation_layers import layers_for_operations
from .....zoo.flat import flatten_model
from ...quantization.detection import check_float32_weights, check_not_quantized
from .labels import ChannelLabels, Labels, frozen_labels
from .rule_table import rule_of


def flat_graph(model: keras.Model) -> FlatGraph:
    """Return the graph of a model's flat form, in which stock layers take the place of operations."""
    return FlatGraph(layers_for_operations(flatten_model(model)))


class ChannelGraph(ChannelLabels):
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
        check_float32_weights(model, "narrowed")
        self.model = model
        super().__init__(flat_graph(model))
        self.labels: dict[keras.KerasTensor, Labels] = {}
        """Labels of each tensor of the flat form."""
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

    def _trace(self) -> None:
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
