"""Pruning groups: units that the same layers compute, of which the least important are removed."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from ..graph.channel_graph import ChannelGraph
from ..graph.labels import FROZEN


@dataclass(frozen=True)
class PruningGroup:
    """The units that the same layers compute."""

    producers: tuple[str, ...]
    """Names of these layers."""
    units: np.ndarray
    """Shape `(parts, count)`. Units in different groups of a convolution are in different rows, and one unit of each
    row is removed together with one of every other; without grouped convolutions there is one row."""
    channels: int
    """Number of output channels of a producer that one unit of each row together stand for."""


def pruning_groups(graph: ChannelGraph) -> list[PruningGroup]:
    """Return all removable units in the order of the layers.

    Not removable are a unit that comprises all channels of a weight or tensor, and units that a grouped convolution
    would not lose equally from all of its groups.
    """
    removable = _removable(graph)
    producers_of: dict[int, list[str]] = defaultdict(list)
    for name, producer in graph.producers.items():
        for unit in graph.unit_of[producer.labels]:
            producers_of[int(unit)].append(name)
    members: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for unit, producers in producers_of.items():
        if removable[unit]:
            members[tuple(producers)].append(unit)
    convolution_groups = _convolution_groups(graph)
    groups = []
    for producers, units in members.items():
        rows = _rows(units, convolution_groups)
        if rows is not None:
            channels = len(rows) * producers.count(producers[0])
            groups.append(PruningGroup(tuple(dict.fromkeys(producers)), rows, channels))
    return groups


def _removable(graph: ChannelGraph) -> np.ndarray:
    removable = np.ones(graph.unit_count, bool)
    removable[graph.unit_of[FROZEN]] = False
    axes = [one.labels for axes in graph.axes.values() for one in axes]
    for labels in [*axes, *graph.labels.values()]:
        if len(labels) and (graph.unit_of[labels] == graph.unit_of[labels[0]]).all():
            removable[graph.unit_of[labels[0]]] = False
    return removable


def _convolution_groups(graph: ChannelGraph) -> dict[int, list[tuple[int, int]]]:
    """Return, by unit, the entries of `graph.grouped` that contain it, each with the group that the unit is in."""
    seen: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for number, (labels, groups) in enumerate(graph.grouped):
        for index, unit in enumerate(graph.unit_of[labels]):
            seen[int(unit)].append((number, index * groups // len(labels)))
    return seen


def _rows(units: list[int], groups: dict[int, list[tuple[int, int]]]) -> np.ndarray | None:
    """Return the units, one row per set of convolution groups; None if the groups would not lose equally many."""
    rows: dict[tuple[tuple[int, int], ...], list[int]] = defaultdict(list)
    for unit in units:
        rows[tuple(sorted(groups.get(unit, ())))].append(unit)
    if len({len(row) for row in rows.values()}) > 1:
        return None
    lost: dict[int, list[int]] = defaultdict(list)
    for where in rows:
        for number, group in where:
            lost[number].append(group)
    counts = [np.unique(group_numbers, return_counts=True)[1] for group_numbers in lost.values()]
    if len(rows) > 1 and any(len(set(count)) > 1 for count in counts):
        return None
    return np.array(list(rows.values()))
