"""Rebuild a model with fewer channels."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from .....core.errors import InputError, first_line
from .....core.keras_private import all_layers
from .....layers import CompositeLayer
from .....zoo.flat import without_optimizer
from ..graph.channel_graph import ChannelGraph
from ..graph.labels import ChannelAxis
from ..graph.rule_table import rule_of
from .bias_compensation import Compensation

Changes = dict[int, dict[str, Any]]
"""Changes to the config of a layer of the flat form, by its `id`."""


class _WidthsError(Exception):
    """The configs of a model's layers cannot express the widths."""


@dataclass(frozen=True)
class Rebuilt:
    """A model with fewer channels."""

    model: keras.Model
    form: str
    """`composite`, of the same layers as the original, or `flat`, if their configs cannot express the widths."""
    original: keras.Model
    """The model it was made from: the graph's model, or its flat form."""


def rebuild(graph: ChannelGraph, keep: np.ndarray, compensation: Compensation) -> Rebuilt:
    """Return the model of `graph` with some of its units, built from its layers' configs.

    Names, call arguments, labels and frozen layers stay as they are; no weight is shared with the original.

    Args:
        graph: Channels of the model.
        keep: Whether each unit is kept.
        compensation: Bias compensation for the removed channels.

    Raises:
        InputError: A layer cannot be made again from its config.
    """
    changes = _changes(graph, keep)
    try:
        own = set(map(id, all_layers(graph.model)))
        if any(change and layer not in own for layer, change in changes.items()):
            raise _WidthsError("an operation has the number of channels among its arguments")
        rebuilt = Rebuilt(_narrowed(graph.model, changes), "composite", graph.model)
        assign_weights(rebuilt, graph, keep, compensation)
    except _WidthsError:
        try:
            rebuilt = Rebuilt(_narrowed(graph.flat.model, changes), "flat", graph.flat.model)
            assign_weights(rebuilt, graph, keep, compensation)
        except _WidthsError as error:
            raise InputError(f"{graph.model.name} cannot be rebuilt with fewer channels: {error}.") from error
    return rebuilt


def assign_weights(rebuilt: Rebuilt, graph: ChannelGraph, keep: np.ndarray, compensation: Compensation) -> None:
    """Assign the current weights of the original to the rebuilt model; arguments as for `rebuild`."""
    if len(rebuilt.original.weights) != len(rebuilt.model.weights):
        raise _WidthsError("a layer made again from its config has another number of weights")
    for old, new in zip(rebuilt.original.weights, rebuilt.model.weights, strict=True):
        value = keras.ops.convert_to_numpy(old)
        if id(old) in compensation.shifts:
            value = value + compensation.shifts[id(old)].astype(value.dtype)
        value = _sliced(value, graph.axes.get(id(old), ()), graph, keep)
        if value.shape != tuple(new.shape):
            raise _WidthsError(f"{old.path} should have shape {value.shape}, not {tuple(new.shape)}")
        new.assign(value)


def _changes(graph: ChannelGraph, keep: np.ndarray) -> Changes:
    changes: Changes = {}
    for node in graph.flat.nodes:
        kept_in, kept_out = (
            [graph.kept(graph.labels[tensor], keep) for tensor in tensors] for tensors in (node.inputs, node.outputs)
        )
        if not all(kept.all() for kept in [*kept_in, *kept_out]):
            changes[id(node.operation)] = rule_of(node).config_changes(node, kept_in, kept_out[0])
    return changes


def _narrowed(model: keras.Model, changes: Changes) -> keras.Model:
    """Return the model with layers of the new widths, whose weights are not assigned yet."""

    def copy(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.layers.Lambda):  # has no weights, and code that a config holds only in part
            return layer
        try:
            return type(layer).from_config(_config(layer, changes))
        except Exception as error:  # anything that the code of a custom layer raises
            raise _WidthsError(
                f"layer {layer.name} ({type(layer).__name__}) cannot be made again from its config "
                f"({first_line(error).rstrip('.')}); its class needs a get_config that returns its arguments"
            ) from error

    try:
        narrow = keras.models.clone_model(without_optimizer(model), clone_function=copy, recursive=True)
    except _WidthsError:
        raise
    except Exception as error:  # widths inside some layer do not match
        raise _WidthsError(first_line(error).rstrip(".")) from error
    before, after = (all_layers(one) for one in (model, narrow))
    if len(before) != len(after):
        raise _WidthsError("a layer made again from its config has other layers inside it")
    for old, new in zip(before, after, strict=True):
        if not all_layers(old):
            new.trainable = old.trainable
    return narrow


def _config(layer: keras.layers.Layer, changes: Changes) -> dict[str, Any]:
    config = layer.get_config()
    if not isinstance(layer, CompositeLayer):
        return config | changes.get(id(layer), {})
    parts = layer.width_parts()
    return config | {name: _widths(config[name], part, changes) for name, part in parts.items()}


def _widths(value: Any, part: Any, changes: Changes) -> Any:
    """Return the value of a config entry with the new widths of its parts (`CompositeLayer.width_parts`)."""
    if isinstance(part, dict):
        return value | {name: _widths(value[name], inside, changes) for name, inside in part.items()}
    if isinstance(part, list):
        return [_widths(one, inside, changes) for one, inside in zip(value, part, strict=True)]
    if isinstance(part, CompositeLayer):
        return _widths(value, part.width_parts()["filters"], changes)
    change = changes.get(id(part), {})
    if isinstance(part, keras.layers.ZeroPadding1D):
        return change.get("padding", value)
    if isinstance(part, keras.layers.ZeroPadding2D | keras.layers.ZeroPadding3D):
        return change["padding"][-1] if change else value
    return change.get("filters", part.filters) if part is not None else None


def _sliced(value: np.ndarray, axes: list[ChannelAxis], graph: ChannelGraph, keep: np.ndarray) -> np.ndarray:
    """Return the kept part of a weight."""
    grouped = next((one for one in axes if one.groups > 1), None)
    if grouped is not None:
        return _sliced_by_group(value, grouped, axes, graph, keep)
    for one in axes:
        kept = graph.kept(one.labels, keep)
        if not kept.all():
            value = np.compress(kept, value, axis=one.axis)
    return value


def _sliced_by_group(
    kernel: np.ndarray, input_axis: ChannelAxis, axes: list[ChannelAxis], graph: ChannelGraph, keep: np.ndarray
) -> np.ndarray:
    """Return the kept part of a grouped kernel `(..., inputs of a group, outputs)`, group by group."""
    output_axis = next(one for one in axes if one is not input_axis)
    parts = zip(
        np.split(kernel, input_axis.groups, axis=-1),
        np.split(graph.kept(input_axis.labels, keep), input_axis.groups),
        np.split(graph.kept(output_axis.labels, keep), input_axis.groups),
        strict=True,
    )
    return np.concatenate([part[..., inputs, :][..., outputs] for part, inputs, outputs in parts], axis=-1)
