"""Channel pruning in one or several steps, with training after each."""

from functools import partial
from pathlib import Path
from typing import Any, Literal

import keras

from ....core.arguments import check_arguments
from ....core.errors import InputError
from ....zoo.model_arguments import accepts_any_model
from ...data.accepted_data import accepts_any_data
from ...data.images import ImageData
from ...engine.fit import fit
from ...engine.job import RunResult
from ...recipe.recipe import Recipe, recipe_for
from ..default_recipes import CHANNELS
from ..distillation import distill
from .apply.recalibration import recalibrate
from .apply.removal import plan_within, remove_channels, step_limits
from .choose.cost_limits import Measure
from .files import PruneFiles
from .plan import ChannelPlan
from .plan_units import compose
from .prune_result import PruneResult, Size, Step


@accepts_any_data("dataset")
@check_arguments
@accepts_any_model
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
    keep_sparsity: bool | None = None,
) -> PruneResult:
    """Remove the least important channels of `model` until it is within a budget; `model` itself is not changed.

    Channels that are added, multiplied or normalized together are removed together. The result is a new model of the
    same layers with smaller widths, checked on noise to compute what the original does with those channels masked. With
    `data`, its BatchNorm statistics are recalibrated, and it is trained after every step.

    Args:
        model: A trained model of any architecture.
        data: Data for training and for the criteria `taylor`, `obd` and `activation`. Without it nothing is trained.
        budget: The allowed cost: `"macs:0.5"`, `"params:0.3"` (up to 1 a share of the original's, above it a number),
            `"bytes:2e6"` (of the weights in float32) or `"latency_ms:5"` (by `measure`).
        criterion: Importance of a channel: `"l1"`, `"l2"`, `"fpgm"`, `"bn_gamma"`, `"taylor"`, `"obd"`, `"activation"`,
            or `"random"` as a baseline; described in `choose/importance.py`.
        scope: `"global"`: remove the least important channels of the whole model; `"layer"`: the same share of every
            layer.
        round_to: Coupled layers keep a multiple of this many channels, or all: runtimes process 8 at a time.
        steps: Number of times to prune and train, by the same factor each time.
        plan: Channels to remove, instead of a budget: from `plan_channels` for such a model, perhaps edited.
        recipe: Training recipe after each step; 20 epochs at a learning rate of 1e-3 if None.
        teacher: Model whose outputs are learned besides the labels (`distill`): `"parent"`, which is `model`; another
            model; or None to learn from the labels alone.
        measure: Function from a model to the latency of its artifact in milliseconds.
        run_dir: Directory for the plans, each step's run, and `best.keras`, the result; nothing is written if None.
        resume: Continue the run in `run_dir`; the arguments must be the same.
        overwrite: Replace an earlier run in `run_dir`.
        verbose: Show progress on standard error.
        keep_sparsity: As in `fit`, in the training after each step; removal itself keeps the zeros of what remains.

    Raises:
        InputError: An argument is invalid, the budget is below what cannot be removed (the message has the smallest
            possible budget), the plan was made for another model, the model is quantized, or as in `fit`.
    """
    _check(data, steps, recipe, run_dir, resume)
    _check_teacher(teacher)
    recipe = recipe_for("prune_channels", recipe, CHANNELS)
    selection: dict[str, Any] = {"criterion": criterion, "scope": scope, "round_to": round_to}
    limits = [plan] if plan else step_limits(model, budget, steps, measure)
    settings: dict[str, Any] = {"plan": plan.kept} if plan else selection | {"budget": budget, "steps": steps}
    settings |= {"keep_sparsity": True} if keep_sparsity else {}
    with PruneFiles.open(run_dir, model, data, recipe, settings, resume=resume, overwrite=overwrite) as files:
        small, total_plan, before, history = model, None, {}, []
        for number, limit in enumerate(limits, start=1):
            planner = partial(plan_within, small, data, limit, measure=measure, seed=recipe.seed, **selection)
            if data is not None:
                keras.utils.set_random_seed(recipe.seed)  # of the Dropout that is made now: a resumed run has the same
            removal = remove_channels(small, files.plan(number, (lambda: plan) if plan else planner))
            small, metrics = removal.model, None
            if data is not None:
                recalibrate(small, data)
                run = {"run_dir": files.run(number), "resume": files.was_begun(number), "verbose": verbose}
                run["keep_sparsity"] = keep_sparsity
                metrics = _train(small, model if teacher == "parent" else teacher, data, recipe, run).metrics
            before = before or {name: width for name, (width, _) in removal.widths.items()}
            after = {name: width for name, (_, width) in removal.widths.items()}
            total_plan = removal.plan if total_plan is None else compose(total_plan, removal.plan)
            history.append(Step("plan" if plan else str(limit), Size.of(small), removal.difference, after, metrics))
        result = PruneResult(
            model=small,
            plan=total_plan,
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
        raise InputError(f"steps is {steps}; it must be 1 or more.")
    if data is None and recipe is not None:
        raise InputError("a recipe needs data to train on; pass data, or no recipe.")
    if resume and run_dir is None:
        raise InputError("resume needs the run_dir of the run to continue.")


def _check_teacher(teacher: object) -> None:
    if not (teacher is None or teacher == "parent" or isinstance(teacher, keras.Model)):
        raise InputError(f"teacher is {teacher!r}; it must be 'parent', a model or None.")


def _train(
    small: keras.Model, teacher: keras.Model | None, data: ImageData, recipe: Recipe, run: dict[str, Any]
) -> RunResult:
    if teacher is None:
        return fit(small, data, recipe, **run)
    return distill(small, teacher, data, recipe, **run)
