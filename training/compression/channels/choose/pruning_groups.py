"""Units of which some can be removed in place of others."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from ..graph.channel_graph import FROZEN, ChannelGraph


@dataclass(frozen=True)
class Pool:
    """The units that the same layers make."""

    producers: tuple[str, ...]
    """Names of these layers."""
    units: np.ndarray
    """Of shape `(parts, count)`. Where a grouped convolution sees or makes them, each row lies in other groups, and one
    unit of each row has to go with one of every other; elsewhere there is one row."""
    channels: int
    """How many channels of a producer one unit of each row together are."""


def pools_of(graph: ChannelGraph) -> list[Pool]:
    """All that can be removed, in the order of the layers; what cannot is in no pool.

    A unit that is all that a weight or a tensor has stays, and so do units that a grouped convolution would not lose
    equally from all of its groups.
    """
    removable = _removable(graph)
    made: dict[int, list[str]] = defaultdict(list)
    for name, producer in graph.producers.items():
        for unit in graph.unit_of[producer.labels]:
            made[int(unit)].append(name)
    members: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for unit, makers in made.items():
        if removable[unit]:
            members[tuple(makers)].append(unit)
    groups = _groups_seen(graph)
    pools = []
    for makers, units in members.items():
        rows = _rows(units, groups)
        if rows is not None:
            channels = len(rows) * makers.count(makers[0])
            pools.append(Pool(tuple(dict.fromkeys(makers)), rows, channels))
    return pools


def _removable(graph: ChannelGraph) -> np.ndarray:
    removable = np.ones(graph.units, bool)
    removable[graph.unit_of[FROZEN]] = False
    axes = [one.labels for axes in graph.axes.values() for one in axes]
    for labels in [*axes, *graph.labels.values()]:
        if len(labels) and (graph.unit_of[labels] == graph.unit_of[labels[0]]).all():
            removable[graph.unit_of[labels[0]]] = False
    return removable


def _groups_seen(graph: ChannelGraph) -> dict[int, list[tuple[int, int]]]:
    """By unit: the grouped channels that it is of, by number, and the groups in which it lies."""
    seen: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for number, (labels, groups) in enumerate(graph.balanced):
        for place, unit in enumerate(graph.unit_of[labels]):
            seen[int(unit)].append((number, place * groups // len(labels)))
    return seen


def _rows(units: list[int], groups: dict[int, list[tuple[int, int]]]) -> np.ndarray | None:
    """The units, a row for each set of groups in which some lie; None if the groups would not lose equally."""
    rows: dict[tuple, list[int]] = defaultdict(list)
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
