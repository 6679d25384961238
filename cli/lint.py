"""`pocketzoo lint`: what a target will refuse of a model, before it is trained."""

from dataclasses import asdict
from typing import Annotated

import typer

from . import console
from .heavy import import_tensorflow
from .options import Json

REFUSED = 1
"""Exit code where anything is."""


def lint(
    model: Annotated[str, typer.Argument(help="A name from `pocketzoo list`, or a .keras file.")],
    target: Annotated[str, typer.Option(help="Such as edge-mcu, edge-ethos-u55, edge-tpu, mobile-gpu.")],
    as_json: Json = False,
) -> None:
    """Say layer by layer what a target will refuse of a model, and the fix; exits with 1 if there is anything."""
    from ..export.lint import check_target

    check_target(target)  # told before TensorFlow takes its seconds to load
    import_tensorflow()
    from .. import zoo
    from ..export.lint import lint as find_objections

    loaded = zoo.load_model(model) if model.endswith(".keras") else zoo.create_model(model)
    with console.status(f"Converting {loaded.name}"):
        report = find_objections(loaded, target)
    if as_json:
        console.show_json(asdict(report))
    elif report.objections:
        rows = [(", ".join(one.layers), one.operator, one.reason, one.fix) for one in report.objections]
        title = f"{report.model}: refused by {target} ({report.asked})"
        console.show_table(("layers", "operator", "because", "use"), rows, title=title)
    else:
        facts = ", ".join(f"{name} {figure:,}" for name, figure in report.facts.items())
        typer.echo(f"{report.model}: nothing is refused by {target} ({report.asked}).{facts and f' {facts}.'}")
    if report.objections:
        raise typer.Exit(REFUSED)
