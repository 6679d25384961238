"""`pocketzoo lint`: the layers that a target does not support, before a model is trained."""

from dataclasses import asdict
from typing import Annotated

import typer

from . import console
from .inputs import check_model, open_model
from .options import Json, NameOrFile, Weights
from .tensorflow_import import import_tensorflow

UNSUPPORTED = 1
"""Exit code where anything is not supported."""


def lint(
    model: NameOrFile,
    target: Annotated[str, typer.Option(help="Such as edge-mcu, edge-ethos-u55, edge-tpu, mobile-gpu.")],
    weights: Weights = None,
    as_json: Json = False,
) -> None:
    """List the layers that a target does not support, each with a fix; exits with 1 if there are any."""
    from ..export.lint import check_target

    check_target(target)
    check_model(model, weights)
    import_tensorflow()
    from ..export.lint import lint as lint_model

    loaded = open_model(model, weights)
    with console.status(f"Converting {loaded.name}"):
        report = lint_model(loaded, target)
    if as_json:
        console.show_json(asdict(report))
    elif report.objections:
        rows = [(", ".join(one.layers), one.operator, one.reason, one.fix) for one in report.objections]
        title = f"{report.model}: not supported by {target} ({report.asked})"
        console.show_table(("layers", "operator", "reason", "fix"), rows, title=title)
    else:
        facts = ", ".join(f"{name} {value:,}" for name, value in report.facts.items())
        typer.echo(f"{report.model}: all layers are supported by {target} ({report.asked}).{facts and f' {facts}.'}")
    if report.objections:
        raise typer.Exit(UNSUPPORTED)
