"""Cost and receptive field of every layer of a model, read from its flat form."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import keras

from ..core.arguments import check_arguments
from ..core.errors import InputError
from ..core.flat_graph import FlatGraph, Node
from ..core.layer_traits import UNKNOWN, attention_macs, is_recurrent, kernel_positions, recurrent_macs, traits_of
from .flat import flatten_model

View = tuple[int, float] | None
"""Side of the receptive field of one position, and the step between positions, both in image pixels; None where a
position sees the whole image."""


@dataclass(frozen=True)
class LayerRow:
    """One application of a layer in the flat form of a model."""

    name: str
    kind: str
    """Class of the Keras layer, or of the operation."""
    output_shape: tuple[int | None, ...]
    """Without the batch axis."""
    kernel_size: tuple[int, ...] | None
    strides: int | None
    padding: str | None
    dilation_rate: int | None
    groups: int | None
    parameters: int
    """Trainable and non-trainable; 0 if an earlier row applies the same layer."""
    multiply_adds: int
    receptive_field: int | None
    """Side, in image pixels, of what one output position depends on; None for the whole image."""

    @property
    def stage(self) -> str:
        """Stage of the layer: its name up to the first underscore."""
        return self.name.split("_")[0]


class _Window(NamedTuple):
    kernel_size: tuple[int, ...]
    strides: int
    padding: str
    dilation_rate: int


@check_arguments
def layer_table(model: keras.Model) -> list[LayerRow]:
    """Return a row for every layer of `model`'s flat form, in topological order.

    Raises:
        InputError: The height or width of the model is not fixed, or it has no flat form.
    """
    for tensor in getattr(model, "inputs", None) or []:
        if None in tensor.shape[1:]:
            raise InputError(
                f"{model.name} takes {tensor.shape[1:]}: multiply-adds can be counted for a fixed size only."
            )
    graph = FlatGraph(flatten_model(model))
    views: dict[keras.KerasTensor, View] = dict.fromkeys(graph.inputs, (1, 1.0))
    counted: set[int] = set()
    rows = []
    for node in graph.nodes:
        view = _view(node, [views[tensor] for tensor in node.inputs])
        views |= dict.fromkeys(node.outputs, view)
        rows.append(_row(node, view, counts_weights=id(node.operation) not in counted))
        counted.add(id(node.operation))
    return rows


@check_arguments
def count_macs(model: keras.Model) -> int:
    """Return the multiply-adds of one image in convolutions, dense and recurrent layers, and MultiHeadAttention.

    One multiplication and the addition of its product count as one. Biases, normalization, activations, pooling and
    element-wise operations are not counted, as in the papers' figures.

    Raises:
        InputError: The height or width of the model is not fixed, it has no flat form, or it has layers whose kernels
            are of another type.
    """
    return sum(row.multiply_adds for row in layer_table(model))


def stage_totals(rows: Iterable[LayerRow]) -> dict[str, tuple[int, int]]:
    """Return parameters and multiply-adds of each stage, in order."""
    totals: dict[str, tuple[int, int]] = {}
    for row in rows:
        parameters, macs = totals.get(row.stage, (0, 0))
        totals[row.stage] = (parameters + row.parameters, macs + row.multiply_adds)
    return totals


def _view(node: Node, views: Sequence[View]) -> View:
    """The receptive field of the outputs, from those of the inputs."""
    layer, window = node.operation, traits_of(node.operation).window
    known = [view for view in views if view is not None]
    if (
        window == "global"
        or isinstance(layer, keras.layers.MultiHeadAttention)
        or is_recurrent(layer)
        or len(known) < len(views)
        or not views
    ):
        return None
    field, step = max(view[0] for view in known), max(view[1] for view in known)
    if window == "sliding":
        size, strides, _, dilation_rate = _window_of(layer)
        return round(field + (max(size) - 1) * dilation_rate * step), step * strides
    if window == "transposed":
        factor, taps = max(layer.strides), math.ceil(max(layer.kernel_size) / max(layer.strides))
    elif window == "upsampling":
        factor, taps = max(layer.size), 1 if layer.interpolation == "nearest" else 2
    else:
        return field, step
    return round(field + (taps - 1) * step), step / factor


def _row(node: Node, view: View, *, counts_weights: bool) -> LayerRow:
    layer, traits = node.operation, traits_of(node.operation)
    has_window = traits.window in ("sliding", "transposed")
    return LayerRow(
        name=layer.name,
        kind=type(layer).__name__,
        output_shape=tuple(node.outputs[0].shape[1:]),
        **(_window_of(layer)._asdict() if has_window else dict.fromkeys(_Window._fields)),
        groups=_groups(node),
        parameters=sum(math.prod(weight.shape) for weight in _weights(layer)) if counts_weights else 0,
        multiply_adds=_multiply_adds(node),
        receptive_field=None if view is None else view[0],
    )


def _window_of(layer: keras.Layer) -> _Window:
    """The window of a convolution or pooling."""
    size = getattr(layer, "kernel_size", None) or layer.pool_size
    dilation = getattr(layer, "dilation_rate", 1)
    dilation = max(dilation) if isinstance(dilation, tuple) else dilation
    return _Window(tuple(size), layer.strides[0], layer.padding, dilation)


def _groups(node: Node) -> int | None:
    traits = traits_of(node.operation)
    if traits.is_depthwise:
        return node.inputs[0].shape[-1]
    return getattr(node.operation, "groups", None) if traits.kernels else None


def _multiply_adds(node: Node) -> int:
    """Positions times the size of the kernels: a grouped kernel has the input channels of one group only."""
    layer, traits = node.operation, traits_of(node.operation)
    if traits.kernels:
        return math.prod(kernel_positions(node)) * sum(math.prod(kernel.of(layer).shape) for kernel in traits.kernels)
    if (attention := attention_macs(node)) is not None:
        return attention
    if (recurrent := recurrent_macs(node)) is not None:
        return recurrent
    if traits is UNKNOWN and any(len(weight.shape) > 1 for weight in _weights(layer)):
        kind = type(layer).__name__
        raise InputError(
            f"layer {layer.name} ({kind}) cannot be counted; counted are convolutions, dense and "
            "recurrent layers, and MultiHeadAttention."
        )
    return 0


def _weights(layer: keras.Operation) -> list[keras.Variable]:
    """All weights but the state of random generators; an operation of `keras.ops` has none."""
    return [weight for weight in getattr(layer, "weights", []) if "seed_generator" not in weight.path]
