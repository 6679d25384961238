"""Fewer channels in one step or several, with training in between."""

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import keras

from ....core.errors import InputError
from ....zoo.layer_table import count_macs
from ...data.images import ImageData
from ...engine.fit import RunResult, fit
from ...recipe.recipe import Recipe, recipe_for
from ..distillation import distill
from .apply.recalibration import recalibrate
from .apply.removal import limits_of, plan_within, remove_channels
from .choose.budget import Measure
from .files import PruneFiles
from .plan import ChannelPlan, compose

DEFAULT_RECIPE = Recipe(epochs=20, optimizer={"lr": 1e-3})


@dataclass(frozen=True)
class Size:
    """What a model holds and computes."""

    parameters: int
    multiply_adds: int | None
    """Of one image; None where the model leaves height or width open."""

    @classmethod
    def of(cls, model: keras.Model) -> "Size":
        """Counted on the model."""
        is_open = any(None in tensor.shape[1:] for tensor in model.inputs)
        return cls(model.count_params(), None if is_open else count_macs(model))


@dataclass(frozen=True)
class Step:
    """What one step came to."""

    budget: str
    size: Size
    difference: float
    """Of the rebuilt model from the masked one, on noise, before it was trained."""
    widths: dict[str, int]
    """Channels that are left of each convolution and dense layer."""
    metrics: dict[str, Any] | None
    """Of the training after it; None where there was none."""


@dataclass(frozen=True)
class PruneResult:
    """A model with fewer channels, and how it came to that."""

    model: keras.Model
    """A new one; that which was given stays as it is."""
    plan: ChannelPlan
    """What was removed in all, by the channels of the model that was given."""
    before: Size
    after: Size
    widths: dict[str, tuple[int, int]]
    """Channels before and after of each convolution and dense layer."""
    history: list[Step]
    form: str
    """`composite`, of the same layers as the original, or `flat` where their configs cannot say the widths."""
    frozen: dict[str, str]
    """By layer that keeps the channels that it sees: why."""
    run_dir: Path | None

    def to_dict(self) -> dict[str, Any]:
        """All but the model, for JSON."""
        facts = {"before": asdict(self.before), "after": asdict(self.after), "widths": self.widths}
        steps = [asdict(step) for step in self.history]
        return facts | {"form": self.form, "frozen": self.frozen, "steps": steps, "plan": self.plan.model_dump()}


def prune_channels(
    model: keras.Model,
    data: ImageData | None = None,
    *,
    budget: str = "macs:0.5",
    criterion: str = "l1",
    scope: str = "global",
    round_to: int = 8,
    steps: int = 1,
    plan: ChannelPlan | None = None,
    recipe: Recipe | None = None,
    teacher: keras.Model | Literal["parent"] | None = "parent",
    measure: Measure | None = None,
    run_dir: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    verbose: bool = True,
) -> PruneResult:
    """Removes the channels of `model` that matter least until it keeps to a budget; the model itself stays as it is.

    Channels that are added, multiplied or normalised together go together. What is left is a new model of the same
    layers with smaller widths, proven on noise to compute what the original does with those channels masked. With
    `data` its BatchNorm statistics are set anew, and it is trained on after every step.

    Args:
        model: A trained model of any architecture.
        data: What to train on, and what the criteria `taylor`, `obd` and `activation` look at. Without it nothing is
            trained.
        budget: What may be left: `"macs:0.5"`, `"params:0.3"` (a share of the original's up to 1, a number above),
            `"bytes:2e6"` (of the weights in float32) or `"latency_ms:5"` (by `measure`).
        criterion: How much a channel matters: `"l1"`, `"l2"`, `"fpgm"`, `"bn_gamma"`, `"taylor"`, `"obd"`,
            `"activation"`, or `"random"` as a baseline; `criteria` says more of each.
        scope: `"global"`: the channels that matter least in the whole net go; `"layer"`: of every layer the same share.
        round_to: Of channels that are made together a multiple of this stays, or all: runtimes work on 8 at a time.
        steps: How often to remove and train, by the same factor each time.
        plan: What to remove, in place of a budget: one that `plan_channels` made for such a model, perhaps edited.
        recipe: How to train after each step; 20 epochs at a learning rate of 1e-3 if None.
        teacher: Whose answers what is left learns besides the labels (`distill`): `"parent"`, which is `model`; another
            model; or None to learn from the labels alone.
        measure: From a model to the milliseconds that its artifact takes.
        run_dir: Where to keep the plans, each step's run, and `best.keras`, the result; nowhere if None.
        resume: Go on with what is in `run_dir`; the arguments must be the same.
        overwrite: Replace an earlier run in `run_dir`.
        verbose: Show progress on standard error.

    Raises:
        InputError: An argument cannot be, the budget is below what must stay (the message says the least that can be
            reached), the plan is another model's, the model is quantized, or as in `fit`.
    """
    _check(data, steps, recipe, run_dir, resume)
    _check_teacher(teacher)
    recipe = recipe_for("prune_channels", recipe, DEFAULT_RECIPE)
    how = {"criterion": criterion, "scope": scope, "round_to": round_to}
    limits = [plan] if plan else limits_of(model, budget, steps, measure)
    asked = {"plan": plan.kept} if plan else how | {"budget": budget, "steps": steps}
    files = PruneFiles.open(run_dir, model, data, recipe, asked, resume=resume, overwrite=overwrite)
    small, done, before, history = model, None, {}, []
    for number, limit in enumerate(limits, start=1):
        planner = partial(plan_within, small, data, limit, measure=measure, seed=recipe.seed, **how)
        removal = remove_channels(small, files.plan(number, (lambda: plan) if plan else planner))
        small, metrics = removal.model, None
        if data is not None:
            recalibrate(small, data)
            run_of = {"run_dir": files.run(number), "resume": files.was_begun(number), "verbose": verbose}
            metrics = _train(small, model if teacher == "parent" else teacher, data, recipe, run_of).metrics
        before = before or {name: width for name, (width, _) in removal.widths.items()}
        after = {name: width for name, (_, width) in removal.widths.items()}
        done = removal.plan if done is None else compose(done, removal.plan)
        history.append(Step("plan" if plan else str(limit), Size.of(small), removal.difference, after, metrics))
    result = PruneResult(
        model=small,
        plan=done,
        before=Size.of(model),
        after=Size.of(small),
        widths={name: (width, after[name]) for name, width in before.items()},
        history=history,
        form=removal.form,
        frozen=removal.frozen,
        run_dir=files.path,
    )
    files.finish(result)
    return result


def _check(data: ImageData | None, steps: int, recipe: Recipe | None, run_dir: str | Path | None, resume: bool) -> None:
    if steps < 1:
        raise InputError(f"steps is {steps}; it takes 1 or more.")
    if data is None and recipe is not None:
        raise InputError("a recipe trains on data; give data, or no recipe.")
    if resume and run_dir is None:
        raise InputError("resume takes the run_dir of the run to go on with.")


def _check_teacher(teacher: object) -> None:
    if not (teacher is None or teacher == "parent" or isinstance(teacher, keras.Model)):
        raise InputError(f"teacher is {teacher!r}; it takes 'parent', a model or None.")


def _train(
    small: keras.Model, teacher: keras.Model | None, data: ImageData, recipe: Recipe, run: dict[str, Any]
) -> RunResult:
    if teacher is None:
        return fit(small, data, recipe, **run)
    return distill(small, teacher, data, recipe, **run)
