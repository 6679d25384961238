"""A model again, with fewer channels."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from .....core.keras_private import all_layers
from .....layers import CompositeLayer
from .....zoo.flat import without_optimizer
from ..graph.channel_graph import Axis, ChannelGraph
from ..graph.rule_table import kind_of
from .bias_compensation import Leftovers

Changes = dict[int, dict[str, Any]]
"""By identity of a layer of the flat form: what changes in its config."""


class _WidthsError(Exception):
    """The configs of a model's composite layers cannot say the widths."""


@dataclass(frozen=True)
class Rebuilt:
    """A model with fewer channels."""

    model: keras.Model
    form: str
    """`composite`, of the same layers as the original, or `flat`, where their configs cannot say the widths."""
    original: keras.Model
    """What it was made from: the graph's model, or its flat form."""


def rebuild(graph: ChannelGraph, keep: np.ndarray, left: Leftovers) -> Rebuilt:
    """The model of `graph` with the units that `keep` says, made anew from its layers' configs.

    Names, call arguments, labels and what is frozen stay as they are; no weight is shared with the original.

    Args:
        graph: Of the model.
        keep: Of each unit, whether it stays.
        left: What the removed channels still send.
    """
    changes = _changes(graph, keep)
    try:
        rebuilt = Rebuilt(_narrowed(graph.model, changes), "composite", graph.model)
        fill(rebuilt, graph, keep, left)
    except _WidthsError:
        rebuilt = Rebuilt(_narrowed(graph.flat, changes), "flat", graph.flat)
        fill(rebuilt, graph, keep, left)
    return rebuilt


def fill(rebuilt: Rebuilt, graph: ChannelGraph, keep: np.ndarray, left: Leftovers) -> None:
    """Gives it what the original's weights are now; arguments as of `rebuild`."""
    for old, new in zip(rebuilt.original.weights, rebuilt.model.weights, strict=True):
        value = keras.ops.convert_to_numpy(old)
        value = value + left.shifts[id(old)].astype(value.dtype) if id(old) in left.shifts else value
        value = _sliced(value, graph.axes.get(id(old), ()), graph, keep)
        if value.shape != tuple(new.shape):
            raise _WidthsError(f"{old.path} is to have {value.shape}, and has {tuple(new.shape)}")
        new.assign(value)


def _changes(graph: ChannelGraph, keep: np.ndarray) -> Changes:
    changes: Changes = {}
    for call in graph.calls:
        kept_in, kept_out = (
            [graph.kept(graph.labels[id(tensor)], keep) for tensor in tensors]
            for tensors in (call.inputs, call.outputs)
        )
        if all(kept.all() for kept in [*kept_in, *kept_out]):
            continue  # as wide as before, and nothing in its config to be said anew
        changes[id(call.op)] = kind_of(call).resized(call, kept_in, kept_out[0])
    return changes


def _narrowed(model: keras.Model, changes: Changes) -> keras.Model:
    """The model with layers of the new widths, whose weights are yet to come."""

    def copy(layer: keras.layers.Layer) -> keras.layers.Layer:
        return type(layer).from_config(_config(layer, changes))

    try:
        narrow = keras.models.clone_model(without_optimizer(model), clone_function=copy, recursive=True)
    except ValueError as error:  # parts of some layer no longer fit together
        raise _WidthsError from error
    parts = zip(*(all_layers(one) for one in (model, narrow)), strict=True)
    for old, new in parts:
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
    """The value of a config's entry with the widths that its parts (`CompositeLayer.width_parts`) are to have."""
    if isinstance(part, dict):
        return value | {name: _widths(value[name], inside, changes) for name, inside in part.items()}
    if isinstance(part, list):
        return [_widths(one, inside, changes) for one, inside in zip(value, part, strict=True)]
    if isinstance(part, CompositeLayer):
        return _widths(value, part.width_parts()["filters"], changes)
    change = changes.get(id(part), {})
    if isinstance(part, keras.layers.ZeroPadding2D):
        return change["padding"][1] if change else value
    return change.get("filters", part.filters) if part is not None else None


def _sliced(value: np.ndarray, axes: list[Axis], graph: ChannelGraph, keep: np.ndarray) -> np.ndarray:
    """What stays of a weight."""
    grouped = next((one for one in axes if one.groups > 1), None)
    if grouped is not None:
        return _sliced_by_group(value, grouped, axes, graph, keep)
    for one in axes:
        kept = graph.kept(one.labels, keep)
        if not kept.all():
            value = np.compress(kept, value, axis=one.axis)
    return value


def _sliced_by_group(
    kernel: np.ndarray, seen: Axis, axes: list[Axis], graph: ChannelGraph, keep: np.ndarray
) -> np.ndarray:
    """A grouped kernel `(height, width, inputs of a group, outputs)`: other inputs stay in every group."""
    made = next(one for one in axes if one is not seen)
    parts = zip(
        np.split(kernel, seen.groups, axis=-1),
        np.split(graph.kept(seen.labels, keep), seen.groups),
        np.split(graph.kept(made.labels, keep), seen.groups),
        strict=True,
    )
    return np.concatenate([part[:, :, inputs][..., outputs] for part, inputs, outputs in parts], axis=-1)
