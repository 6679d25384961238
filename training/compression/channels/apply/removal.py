"""Channels removed by a plan, with the proof that nothing else changed."""

from dataclasses import dataclass

import keras
import numpy as np

from ....data.images import ImageData
from ..choose.budget import Budget, Limit, Measure, choose
from ..choose.channel_selection import Choice
from ..choose.costs import Costs
from ..choose.importance import unit_scores
from ..choose.pruning_groups import pools_of
from ..graph.channel_graph import ChannelGraph
from ..plan import ChannelPlan, plan_of, units_kept
from .bias_compensation import leftovers
from .equivalence import prove, prove_with_other_norms
from .rebuild import rebuild


@dataclass(frozen=True)
class Removal:
    """A model with fewer channels."""

    model: keras.Model
    plan: ChannelPlan
    form: str
    """`composite`, or `flat` where the configs of the composite layers cannot say the widths."""
    difference: float
    """From the original with those channels masked, on noise; at most `proof.BAR`."""
    widths: dict[str, tuple[int, int]]
    """Channels before and after of each convolution and dense layer."""
    frozen: dict[str, str]
    """By layer that keeps the channels that it sees: why."""


def plan_channels(
    model: keras.Model,
    data: ImageData | None = None,
    *,
    budget: str = "macs:0.5",
    criterion: str = "l1",
    scope: str = "global",
    round_to: int = 8,
    measure: Measure | None = None,
    seed: int = 0,
) -> ChannelPlan:
    """Says which channels of `model` can go so that a budget is kept; the model stays as it is.

    The arguments are those of `prune_channels`. The plan can be saved, edited and given to `remove_channels`.

    Raises:
        InputError: An argument cannot be, or the budget is below what must stay.
    """
    (limit,) = limits_of(model, budget, 1, measure)
    how = {"criterion": criterion, "scope": scope, "round_to": round_to, "measure": measure, "seed": seed}
    return plan_within(model, data, limit, **how)


def limits_of(model: keras.Model, budget: str, steps: int, measure: Measure | None) -> list[Limit]:
    """What may be left of `model` after each of so many steps.

    Raises:
        InputError: The budget cannot be.
    """
    asked = Budget.parse(budget, measure)
    if asked.kind == "latency_ms":
        return asked.limits(measure(model), steps)
    graph = ChannelGraph(model)
    return asked.limits(Costs(graph).of(asked.kind)(np.ones(graph.units, bool)), steps)


def plan_within(
    model: keras.Model,
    data: ImageData | None,
    limit: Limit,
    *,
    criterion: str,
    scope: str,
    round_to: int,
    measure: Measure | None,
    seed: int,
) -> ChannelPlan:
    """As `plan_channels`, for what may be left after one step."""
    graph = ChannelGraph(model)
    choice = Choice(pools_of(graph), unit_scores(graph, criterion, data, seed), scope, round_to)

    def latency(keep: np.ndarray) -> float:
        return measure(rebuild(graph, keep, leftovers(graph, keep)).model)

    return plan_of(graph, choose(choice, Costs(graph), limit, latency))


def remove_channels(model: keras.Model, plan: ChannelPlan) -> Removal:
    """A new model without the channels that `plan` removes; nothing is trained.

    Raises:
        InputError: The plan is another model's, or cannot be.
    """
    graph = ChannelGraph(model)
    keep = units_kept(graph, plan)
    left = leftovers(graph, keep)
    rebuilt = rebuild(graph, keep, left)
    difference = max(prove_with_other_norms(graph, keep, rebuilt), prove(graph, keep, left, rebuilt.model))
    widths = {name: (len(one.labels), int(graph.kept(one.labels, keep).sum())) for name, one in graph.producers.items()}
    plan = plan_of(graph, keep).model_copy(update={"difference": difference})
    return Removal(rebuilt.model, plan, rebuilt.form, difference, widths, graph.frozen)
