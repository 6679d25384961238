"""What is to be removed, as a file that can be looked at, edited and applied again."""

import json
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from ....core.atomic_files import atomic_path
from ....core.errors import InputError, describe, unknown
from .graph.channel_graph import FROZEN, ChannelGraph


class ChannelPlan(BaseModel):
    """Which channels of which layers stay. What follows a layer, such as its normalisation, goes with it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    """Name of the model that it was made for."""
    fingerprint: str
    """Of that model's architecture; its weights may be others."""
    kept: dict[str, list[int]]
    """By convolution or dense layer of the flat form: the output channels that stay, in order. A layer that is not
    named goes with those that it is coupled with, and else keeps all."""
    difference: float | None = None
    """The proof, where it was applied: what the narrower model's answers differ by from those of the original with
    these channels masked, as a share of the largest."""

    def save(self, path: str | Path) -> Path:
        """Writes the plan as JSON, a line for each layer."""
        layers = ",\n".join(f"  {json.dumps(name)}: {json.dumps(kept)}" for name, kept in self.kept.items())
        head = f'"model": {json.dumps(self.model)},\n "fingerprint": {json.dumps(self.fingerprint)}'
        head += f',\n "difference": {json.dumps(self.difference)}'
        with atomic_path(path) as temporary:
            temporary.write_text(f'{{\n {head},\n "kept": {{\n{layers}\n }}\n}}\n', encoding="utf-8")
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> "ChannelPlan":
        """Reads a plan that `save` wrote, or that somebody edited since.

        Raises:
            InputError: There is no such file, or it is no plan.
        """
        try:
            return cls.model_validate_json(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path} cannot be read as a plan: {error}.") from error
        except ValidationError as error:
            raise InputError(f"{path} is no plan of channels: {describe(error)}.") from error


def plan_of(graph: ChannelGraph, keep: np.ndarray) -> ChannelPlan:
    """The plan that keeps the units for which `keep` is true."""
    kept = {
        name: np.flatnonzero(graph.kept(producer.labels, keep)).tolist() for name, producer in graph.producers.items()
    }
    return ChannelPlan(model=graph.model.name, fingerprint=graph.fingerprint(), kept=kept)


def units_kept(graph: ChannelGraph, plan: ChannelPlan) -> np.ndarray:
    """Which units of `graph` stay by `plan`, as booleans.

    Raises:
        InputError: The plan is another model's, names what there is not, removes what must stay, or keeps channels
            without those that they are coupled with.
    """
    if plan.fingerprint != graph.fingerprint():
        raise InputError(f"the plan was made for another model, {plan.model}; {graph.model.name} is built otherwise.")
    masks = {name: _mask(graph, name, kept) for name, kept in plan.kept.items()}
    keep = np.ones(graph.units, bool)
    for name, mask in masks.items():
        keep[graph.unit_of[graph.producers[name].labels[~mask]]] = False
    _check_coupled(graph, masks, keep)
    _check_groups(graph, keep)
    return keep


def compose(earlier: ChannelPlan, later: ChannelPlan) -> ChannelPlan:
    """One plan for what `later` does to a model that `earlier` made."""
    kept = {name: [earlier.kept[name][channel] for channel in channels] for name, channels in later.kept.items()}
    return earlier.model_copy(update={"kept": kept, "difference": max(earlier.difference, later.difference)})


def _mask(graph: ChannelGraph, name: str, kept: list[int]) -> np.ndarray:
    if name not in graph.producers:
        raise unknown("layer in the plan", name, graph.producers)
    labels = graph.producers[name].labels
    if sorted(set(kept)) != kept or not kept or not 0 <= kept[0] <= kept[-1] < len(labels):
        raise InputError(
            f"plan: {name} keeps {kept}; it takes one or more of its channels 0 to {len(labels) - 1}, in order."
        )
    mask = np.isin(np.arange(len(labels)), kept)
    frozen = np.flatnonzero(~mask & (graph.unit_of[labels] == graph.unit_of[FROZEN]))
    if len(frozen):
        raise InputError(f"plan: {name} removes channel {frozen[0]}, which must stay.")
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
            raise InputError(f"plan: nothing would be left of {name}.")
    for labels, groups in graph.balanced:
        left = graph.kept(labels, keep).reshape(groups, -1).sum(axis=1)
        if len(set(left.tolist())) > 1:
            near = next(name for name, one in graph.producers.items() if np.isin(one.labels, labels).any())
            raise InputError(
                f"plan: {left.tolist()} channels stay in the {groups} groups of a convolution at {near}; it takes as "
                "many in each."
            )
