"""Plan which channels to remove, and remove them, checked to be equivalent to masking them."""

from dataclasses import dataclass

import keras
import numpy as np

from .....core.arguments import Seed, check_arguments
from .....zoo.contract import copy_contract
from .....zoo.model_arguments import accepts_any_model
from ....data.accepted_data import accepts_any_data
from ....data.images import ImageData
from ..choose.budget import select_units
from ..choose.channel_selection import ChannelSelection
from ..choose.cost_limits import Budget, Limit, Measure
from ..choose.costs import Costs
from ..choose.importance import unit_importance
from ..choose.pruning_groups import pruning_groups
from ..graph.channel_graph import ChannelGraph
from ..plan import ChannelPlan
from ..plan_units import plan_of, units_kept
from .bias_compensation import compensate
from .equivalence import check_equivalence, check_equivalence_with_perturbed_norms
from .rebuild import rebuild


@dataclass(frozen=True)
class Removal:
    """A model with fewer channels."""

    model: keras.Model
    plan: ChannelPlan
    form: str
    """`composite`, or `flat` if the configs of the composite layers cannot express the widths."""
    difference: float
    """Relative difference from the original with those channels masked, on noise; at most `equivalence.TOLERANCE`."""
    widths: dict[str, tuple[int, int]]
    """Output channels of each convolution and dense layer, before and after."""
    frozen: dict[str, str]
    """By name of a layer that keeps its input channels: the reason."""


@accepts_any_data("dataset")
@check_arguments
@accepts_any_model
def plan_channels(
    model: keras.Model,
    data: ImageData | None = None,
    *,
    budget: str = "macs:0.5",
    criterion: str = "l1",
    scope: str = "global",
    round_to: int = 8,
    measure: Measure | None = None,
    seed: Seed = 0,
) -> ChannelPlan:
    """Choose which channels of `model` to remove to keep within a budget; the model is not changed.

    The arguments are those of `prune_channels`. The plan can be saved, edited and passed to `remove_channels`.

    Raises:
        InputError: An argument is invalid, or the budget is below what cannot be removed.
    """
    (limit,) = step_limits(model, budget, 1, measure)
    return plan_within(
        model, data, limit, criterion=criterion, scope=scope, round_to=round_to, measure=measure, seed=seed
    )


def step_limits(model: keras.Model, budget: str, steps: int, measure: Measure | None) -> list[Limit]:
    """Return what `model` may cost after each of `steps` steps.

    Raises:
        InputError: The budget is invalid.
    """
    parsed = Budget.parse(budget, measure)
    if parsed.kind == "latency_ms":
        return parsed.limits(measure(model), steps)
    graph = ChannelGraph(model)
    return parsed.limits(Costs(graph).of(parsed.kind)(np.ones(graph.unit_count, bool)), steps)


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
    """As `plan_channels`, for the limit of one step."""
    graph = ChannelGraph(model)
    selection = ChannelSelection(pruning_groups(graph), unit_importance(graph, criterion, data, seed), scope, round_to)

    def latency(keep: np.ndarray) -> float:
        return measure(rebuild(graph, keep, compensate(graph, keep)).model)

    return plan_of(graph, select_units(selection, Costs(graph), limit, latency))


@check_arguments
@accepts_any_model
def remove_channels(model: keras.Model, plan: ChannelPlan) -> Removal:
    """Return a new model without the channels that `plan` removes; nothing is trained.

    Raises:
        InputError: The plan was made for another model, or is invalid.
    """
    graph = ChannelGraph(model)
    keep = units_kept(graph, plan)
    compensation = compensate(graph, keep)
    rebuilt = rebuild(graph, keep, compensation)
    copy_contract(model, rebuilt.model)
    difference = max(
        check_equivalence_with_perturbed_norms(graph, keep, rebuilt),
        check_equivalence(graph, keep, compensation, rebuilt.model),
    )
    widths = {name: (len(one.labels), int(graph.kept(one.labels, keep).sum())) for name, one in graph.producers.items()}
    plan = plan_of(graph, keep).model_copy(update={"difference": difference})
    return Removal(rebuilt.model, plan, rebuilt.form, difference, widths, graph.frozen)
