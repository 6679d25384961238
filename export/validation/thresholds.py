"""Thresholds that the user sets, in place of those of the formats, or as budgets where there is none by default."""

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real

from ...core.errors import InputError, unknown
from ...tasks.registry import get_task, task_names
from ..budgets import BUDGETS, parse_budget
from ..targets import TARGETS
from .checks.check_registry import CHECKS

SHARES = ("agreement",)
"""Thresholds between 0 and 1."""
CHECK_THRESHOLDS = tuple(dict.fromkeys(name for check in CHECKS.values() for name in check.thresholds))
"""Budgets and tolerances, which only some checks apply."""


def with_budget(
    thresholds: Mapping[str, float], budget: str | Mapping[str, float | str] | None, targets: Sequence[str]
) -> dict[str, float]:
    """Add the thresholds that a budget sets for the checks of `targets`, such as `arena_bytes` for the budget `ram`.

    Raises:
        InputError: The budget cannot be read, one of it is for none of `targets`, or one is set as a threshold too.
    """
    limits = dict(thresholds)
    for name, limit in ({} if budget is None else parse_budget(budget)).items():
        applied = [threshold for threshold in BUDGETS[name] if targets_applying(threshold, targets)]
        if not applied:
            able = dict.fromkeys(target for threshold in BUDGETS[name] for target in targets_applying(threshold))
            raise InputError(
                f"the budget {name} is for {' or '.join(able)}, and has no effect on {', '.join(targets)}."
            )
        for threshold in applied:
            if threshold in map(_field_name, thresholds):
                raise InputError(
                    f"the budget {name} and the threshold {threshold} are two names of one limit; give one."
                )
        limits |= dict.fromkeys(applied, limit)
    return limits


def targets_applying(threshold: str, targets: Iterable[str] = TARGETS) -> list[str]:
    """Those of `targets` with a check that applies a budget or tolerance."""
    applying = {check.name for check in CHECKS.values() if threshold in check.thresholds}
    return [target for target in targets if applying & TARGETS[target].all_checks]


def check_thresholds(
    thresholds: Mapping[str, float], tasks: str | Sequence[str] | None, targets: Sequence[str], *, is_plain: bool = True
) -> dict[str, float]:
    """Validate thresholds; their names are the fields of `formats.Format`, where blanks may replace underscores.

    Without `tasks`, where the model is not loaded yet, thresholds for any task are valid.

    Raises:
        InputError: A name is unknown for these tasks, a value is out of range, or no check of `targets` can apply it.
    """
    tasks = [tasks] if isinstance(tasks, str) else tasks
    fields = (get_task(task).threshold_field for task in (task_names() if tasks is None else tasks))
    kind = "threshold" if tasks is None else f"threshold for a {' and a '.join(dict.fromkeys(tasks))}"
    loss = tuple(dict.fromkeys(field for field in fields if field is not None))
    allowed = ("relative_difference", *SHARES, *loss, *CHECK_THRESHOLDS)
    validated: dict[str, float] = {}
    for given_name, value in thresholds.items():
        name = _field_name(given_name)
        if name not in allowed:
            raise unknown(kind, given_name, allowed)
        highest = 1 if name in SHARES else float("inf")
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value <= highest:
            limits = "from 0 to 1" if highest == 1 else "from 0"
            raise InputError(f"the threshold {name} is {value!r}; it takes a number {limits}.")
        validated[name] = float(value)
    for name in validated:
        _check_applied(name, targets, is_plain)
    return validated


def _field_name(name: str) -> str:
    return name.strip().lower().replace(" ", "_")


def _check_applied(name: str, targets: Sequence[str], is_plain: bool) -> None:
    """Raise InputError where no check of `targets` applies a budget or tolerance, or none can on this machine."""
    applying = {check.name: check for check in CHECKS.values() if name in check.thresholds}
    if not applying:
        return
    if not targets_applying(name, targets):
        able = " or ".join(targets_applying(name))
        raise InputError(f"the threshold {name} is for {able}, and has no effect on {', '.join(targets)}.")
    if not is_plain and not any(check.named_tensors for check in applying.values()):
        raise InputError(f"the threshold {name} is for models with one image as input and one output; leave it out.")
    names = {check for target in targets for check in TARGETS[target].all_checks}
    chosen = [check for check in applying.values() if check.name in names]
    missing = chosen[0].missing
    if missing is not None and not any(check.runs_partly or check.missing is None for check in chosen):
        raise InputError(
            f"the threshold {name} cannot be measured: {missing.name} is not installed ({missing.install})."
        )
