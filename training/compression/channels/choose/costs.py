"""Multiply-adds and parameters of a model with some of its channels, without building it."""

import math
from collections.abc import Callable

import keras
import numpy as np
from scipy.sparse import csr_array

from .....core.errors import InputError
from .....core.layer_traits import UNKNOWN, attention_macs, kernel_positions, recurrent_macs, traits_of
from ..graph.channel_graph import ChannelGraph
from ..graph.labels import ChannelAxis

BYTES = 4
"""Bytes of a weight in float32."""


class Costs:
    """Multiply-adds and parameters of a model as functions of the kept units.

    Both grow with every unit; they equal `zoo.count_macs` and `keras.Model.count_params` of the rebuilt model.
    """

    def __init__(self, graph: ChannelGraph):
        self._graph = graph
        self._rows: dict[tuple[int, int], int] = {}
        """By `id` of the labels, and groups."""
        self._units: list[np.ndarray] = []
        self._divisors: list[int] = []
        weights = {id(weight): number for number, weight in enumerate(graph.model.weights)}
        shapes = [self._shape(weight) for weight in graph.model.weights]
        self._fixed = np.array([fixed for fixed, _ in shapes], "float64")
        # A weight has two channel axes at most; the last row of the lengths is 1.
        self._axes = np.array([[*rows, -1, -1][:2] for _, rows in shapes])
        self._counts = self._units_by_row()
        self._kernels, self._positions = self._kernel_applications(weights)
        others = [node for node in graph.flat.nodes if traits_of(node.operation) is UNKNOWN]
        whole = {node: next(filter(None, (attention_macs(node), recurrent_macs(node))), None) for node in others}
        self._whole = sum(filter(None, whole.values()))
        """Multiply-adds of layers whose width does not change."""
        self._uncounted = [
            f"layer {node.name} ({type(node.operation).__name__})"
            for node, counted in whole.items()
            if counted is None and any(len(weight.shape) > 1 for weight in getattr(node.operation, "weights", ()))
        ]

    @property
    def kept_whole(self) -> dict[str, str]:
        """By name of a layer that keeps its input channels: the reason."""
        return self._graph.frozen

    def parameters(self, keep: np.ndarray) -> int:
        """Return the number of parameters, trainable or not."""
        return int(self._sizes(keep).sum())

    def macs(self, keep: np.ndarray) -> int:
        """Return the multiply-adds of one image, as `zoo.count_macs` counts them.

        Raises:
            InputError: The height or width of the model is not fixed, or it has kernels that are not counted.
        """
        if self._uncounted:
            raise InputError(
                f"{self._graph.model.name}: the multiply-adds of {self._uncounted[0]} cannot be counted; use a budget "
                "of params or bytes."
            )
        if self._positions is None:
            raise InputError(
                f"{self._graph.model.name} leaves height or width open: its multiply-adds cannot be counted; use a "
                "budget of params or bytes."
            )
        return self._whole + int((self._sizes(keep)[self._kernels] * self._positions).sum())

    def of(self, kind: str) -> Callable[[np.ndarray], int]:
        """Return the cost function of `macs`, `params` or `bytes` (of the weights in float32)."""
        functions = {"macs": self.macs, "params": self.parameters, "bytes": lambda keep: BYTES * self.parameters(keep)}
        return functions[kind]

    def _shape(self, weight: keras.Variable) -> tuple[int, list[int]]:
        """Return the product of the axes that do not run over channels, and the rows of those that do."""
        shape, rows = list(weight.shape), []
        for one in self._graph.axes.get(id(weight), ()):
            shape[one.axis] = 1
            rows.append(self._row(one))
        return math.prod(shape), rows

    def _row(self, axis: ChannelAxis) -> int:
        """Return the index of the row that counts the kept channels of an axis."""
        key = id(axis.labels), axis.groups
        if key not in self._rows:
            self._rows[key] = len(self._rows)
            self._units.append(self._graph.unit_of[axis.labels])
            self._divisors.append(axis.groups)
        return self._rows[key]

    def _units_by_row(self) -> csr_array:
        """Return how many channels of each unit each axis has."""
        columns = np.concatenate([*self._units, []]).astype(int)
        rows = np.repeat(np.arange(len(self._units)), [len(units) for units in self._units])
        return csr_array((np.ones(len(columns)), (rows, columns)), shape=(len(self._units), self._graph.unit_count))

    def _sizes(self, keep: np.ndarray) -> np.ndarray:
        lengths = np.append(self._counts @ keep.astype("float64") / np.array(self._divisors), 1)
        return self._fixed * lengths[self._axes].prod(axis=1)

    def _kernel_applications(self, weights: dict[int, int]) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the index of each kernel where it is applied, and at how many positions; None if sizes are open."""
        kernels, positions = [], []
        for node in self._graph.flat.nodes:
            for kernel in traits_of(node.operation).kernels:
                kernels.append(weights[id(kernel.of(node.operation))])
                positions.append(kernel_positions(node))
        is_open = any(None in sides for sides in positions)
        counts = None if is_open else np.array([math.prod(sides) for sides in positions], "float64")
        return np.array(kernels, int), counts
