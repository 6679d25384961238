"""What a model costs with some of its channels, without building it."""

import math
from collections.abc import Callable

import keras
import numpy as np
from scipy.sparse import csr_array

from .....core.errors import InputError
from ..graph.channel_graph import Axis, ChannelGraph
from ..graph.kernel_rules import Kernel
from ..graph.rule_table import kind_of

BYTES = 4
"""Of a weight in float32."""


class Costs:
    """Multiply-adds and parameters of a model as functions of the units that stay.

    Both grow with every unit; they are what `zoo.count_macs` and `keras.Model.count_params` say of the rebuilt model.
    """

    def __init__(self, graph: ChannelGraph):
        self._graph = graph
        self._rows: dict[tuple[int, int], int] = {}
        """By identity of the labels and groups."""
        self._units: list[np.ndarray] = []
        self._divisors: list[int] = []
        weights = {id(weight): number for number, weight in enumerate(graph.model.weights)}
        shapes = [self._shape(weight) for weight in graph.model.weights]
        self._fixed = np.array([fixed for fixed, _ in shapes], "float64")
        # Each weight runs over two axes of channels at most; the last row of the lengths is 1.
        self._axes = np.array([[*rows, -1, -1][:2] for _, rows in shapes])
        self._counts = self._units_by_row()
        self._kernels, self._places = self._applied(weights)

    def parameters(self, keep: np.ndarray) -> int:
        """Numbers in all weights."""
        return int(self._sizes(keep).sum())

    def macs(self, keep: np.ndarray) -> int:
        """Multiply-adds of one image, as `zoo.layer_table.count_macs` counts them.

        Raises:
            InputError: The model leaves height or width open.
        """
        if self._places is None:
            raise InputError(
                f"{self._graph.model.name} leaves height or width open: its multiply-adds cannot be counted; give a "
                "budget of params or bytes."
            )
        return int((self._sizes(keep)[self._kernels] * self._places).sum())

    def of(self, kind: str) -> Callable[[np.ndarray], int]:
        """`macs`, `params` or `bytes` (of the weights in float32)."""
        kinds = {"macs": self.macs, "params": self.parameters, "bytes": lambda keep: BYTES * self.parameters(keep)}
        return kinds[kind]

    def _shape(self, weight: keras.Variable) -> tuple[int, list[int]]:
        """The product of the axes that do not run over channels, and the rows of those that do."""
        shape, rows = list(weight.shape), []
        for one in self._graph.axes.get(id(weight), ()):
            shape[one.axis] = 1
            rows.append(self._row(one))
        return math.prod(shape), rows

    def _row(self, axis: Axis) -> int:
        """The number of the row that counts what stays on an axis."""
        key = id(axis.labels), axis.groups
        if key not in self._rows:
            self._rows[key] = len(self._rows)
            self._units.append(self._graph.unit_of[axis.labels])
            self._divisors.append(axis.groups)
        return self._rows[key]

    def _units_by_row(self) -> csr_array:
        """How many channels of each unit there are on each axis."""
        columns = np.concatenate([*self._units, []]).astype(int)
        rows = np.repeat(np.arange(len(self._units)), [len(units) for units in self._units])
        return csr_array((np.ones(len(columns)), (rows, columns)), shape=(len(self._units), self._graph.units))

    def _sizes(self, keep: np.ndarray) -> np.ndarray:
        lengths = np.append(self._counts @ keep.astype("float64") / np.array(self._divisors), 1)
        return self._fixed * lengths[self._axes].prod(axis=1)

    def _applied(self, weights: dict[int, int]) -> tuple[np.ndarray, np.ndarray | None]:
        """The kernels where they are applied, by number, and at how many places."""
        kernels, places = [], []
        for call in self._graph.calls:
            kind = kind_of(call)
            if isinstance(kind, Kernel):
                for kernel in kind.kernels(call.op):
                    kernels.append(weights[id(kernel)])
                    places.append(kind.places(call))
        is_open = any(None in sides for sides in places)
        return np.array(kernels, int), None if is_open else np.array([math.prod(sides) for sides in places], "float64")
