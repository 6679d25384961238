"""`pocketzoo lint`: the layers that a target does not support, before a model is trained."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from . import console
from .inputs import check_model, open_model
from .options import Budget, Json, NameOrFile, Weights
from .tensorflow_import import import_tensorflow

if TYPE_CHECKING:
    from ..export.lint import LintReport

UNSUPPORTED = 1
"""Exit code where anything is not supported, or a budget is exceeded."""


def lint(
    model: NameOrFile,
    target: Annotated[str, typer.Option(help="Such as edge-mcu, edge-ethos-u55, edge-tpu, mobile-gpu.")],
    weights: Weights = None,
    budget: Budget = None,
    as_json: Json = False,
) -> None:
    """List the layers that a target does not support, each with a fix, and the budgets that are exceeded; exits with 1
    if there are any."""
    from ..export.lint import check_target
    from ..export.validation.thresholds import with_budget

    check_target(target)
    with_budget({}, budget, [target])
    check_model(model, weights)
    import_tensorflow()
    from ..export.lint import lint as lint_model

    loaded = open_model(model, weights)
    with console.status(f"Converting {loaded.name}"):
        report = lint_model(loaded, target, budget)
    if as_json:
        budgets = [gate.model_dump(exclude_none=True) for gate in report.budgets]
        console.show_json(asdict(report) | {"budgets": budgets})
    else:
        _show(report)
    if not report.passed:
        raise typer.Exit(UNSUPPORTED)


def _show(report: "LintReport") -> None:
    """Print what is not supported, or the costs, and then the budgets."""
    if report.objections:
        rows = [(", ".join(one.layers), one.operator, one.reason, one.fix) for one in report.objections]
        title = f"{report.model}: not supported by {report.target} ({report.asked})"
        console.show_table(("layers", "operator", "reason", "fix"), rows, title=title)
    elif report.layers_examined:
        facts = ", ".join(f"{name} {value:,}" for name, value in report.facts.items())
        supported = f"all layers are supported by {report.target} ({report.asked})"
        typer.echo(f"{report.model}: {supported}.{facts and f' {facts}.'}")
    if report.budgets:
        budgets = [
            (gate.name, _number(gate.figure), _number(gate.bar), gate.status, gate.reason or "-")
            for gate in report.budgets
        ]
        title = f"{report.model}: budgets of {report.target} ({report.asked})"
        console.show_table(("budget", "figure", "limit", "status", "remark"), budgets, title=title)


def _number(figure: float | None) -> str:
    if figure is None:
        return "-"
    return f"{figure:,.0f}" if figure.is_integer() else f"{figure:,g}"
