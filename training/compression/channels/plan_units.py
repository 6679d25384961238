"""The units of a channel graph that a plan keeps, and the plan that keeps certain units."""

import numpy as np

from ....core.errors import InputError, unknown
from .graph.channel_graph import ChannelGraph
from .graph.labels import FROZEN
from .plan import ChannelPlan


def plan_of(graph: ChannelGraph, keep: np.ndarray) -> ChannelPlan:
    """Return the plan that keeps the units for which `keep` is true."""
    kept = {
        name: np.flatnonzero(graph.kept(producer.labels, keep)).tolist() for name, producer in graph.producers.items()
    }
    return ChannelPlan(model=graph.model.name, fingerprint=graph.fingerprint(), kept=kept)


def units_kept(graph: ChannelGraph, plan: ChannelPlan) -> np.ndarray:
    """Return which units of `graph` the plan keeps, as booleans.

    Raises:
        InputError: The plan was made for another model, has unknown layers, removes channels that cannot be removed, or
            keeps channels without those that they are coupled with.
    """
    if plan.fingerprint != graph.fingerprint():
        raise InputError(
            f"the plan was made for another model, {plan.model}; {graph.model.name} has another architecture."
        )
    masks = {name: _mask(graph, name, kept) for name, kept in plan.kept.items()}
    keep = np.ones(graph.unit_count, bool)
    for name, mask in masks.items():
        keep[graph.unit_of[graph.producers[name].labels[~mask]]] = False
    _check_coupled(graph, masks, keep)
    _check_groups(graph, keep)
    return keep


def compose(earlier: ChannelPlan, later: ChannelPlan) -> ChannelPlan:
    """Return the single plan equivalent to `earlier` followed by `later`."""
    kept = {name: [earlier.kept[name][channel] for channel in channels] for name, channels in later.kept.items()}
    return earlier.model_copy(update={"kept": kept, "difference": max(earlier.difference, later.difference)})


def _mask(graph: ChannelGraph, name: str, kept: list[int]) -> np.ndarray:
    if name not in graph.producers:
        raise unknown("layer in the plan", name, graph.producers)
    labels = graph.producers[name].labels
    if sorted(set(kept)) != kept or not kept or not 0 <= kept[0] <= kept[-1] < len(labels):
        raise InputError(
            f"plan: {name} keeps {kept}; allowed are one or more of its channels 0 to {len(labels) - 1}, in order."
        )
    mask = np.isin(np.arange(len(labels)), kept)
    frozen = np.flatnonzero(~mask & (graph.unit_of[labels] == graph.unit_of[FROZEN]))
    if len(frozen):
        raise InputError(f"plan: {name} removes channel {frozen[0]}, which cannot be removed.")
    return mask


def _check_coupled(graph: ChannelGraph, masks: dict[str, np.ndarray], keep: np.ndarray) -> None:
    for name, mask in masks.items():
        labels = graph.producers[name].labels
        wrong = np.flatnonzero(mask & ~graph.kept(labels, keep))
        if len(wrong):
            unit = graph.unit_of[labels[wrong[0]]]
            others = (
                (other, channel)
                for other, removed in masks.items()
                for channel in np.flatnonzero(~removed & (graph.unit_of[graph.producers[other].labels] == unit))
            )
            other, channel = next(others)
            raise InputError(
                f"plan: {name} keeps channel {wrong[0]}, but {other} removes its channel {channel}; they are coupled: "
                "keep both or none."
            )


def _check_groups(graph: ChannelGraph, keep: np.ndarray) -> None:
    for name, producer in graph.producers.items():
        if not graph.kept(producer.labels, keep).any():
            raise InputError(f"plan: {name} would have no channels left.")
    for labels, groups in graph.grouped:
        kept = graph.kept(labels, keep).reshape(groups, -1).sum(axis=1)
        if len(set(kept.tolist())) > 1:
            near = next(name for name, one in graph.producers.items() if np.isin(one.labels, labels).any())
            raise InputError(
                f"plan: {kept.tolist()} channels stay in the {groups} groups of a convolution at {near}; their numbers "
                "must be equal."
            )
