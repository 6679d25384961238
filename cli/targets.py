"""`pocketzoo targets`: the platforms that models can be exported to."""

from . import console
from .options import Json


def targets(as_json: Json = False) -> None:
    """List the targets, with their formats, the checks that validate them, and the checks that cannot run here."""
    from ..export.targets import GROUPS, TARGETS
    from ..export.validation.checks.check_registry import missing_requirement

    rows = []
    for name, target in TARGETS.items():
        checks = dict.fromkeys(check for of_format in target.checks.values() for check in of_format)
        reasons = {check: reason for check in checks if (reason := missing_requirement(check)) is not None}
        groups = [group for group, members in GROUPS.items() if name in members]
        rows.append((name, target.about, groups, list(target.checks), list(checks), reasons))
    if as_json:
        keys = ("target", "about", "groups", "formats", "checks", "missing")
        console.show_json([dict(zip(keys, row, strict=True)) for row in rows])
        return
    cells = [
        (name, about, ", ".join(formats), ", ".join(checks), "; ".join(dict.fromkeys(reasons.values())) or "-")
        for name, about, _, formats, checks, reasons in rows
    ]
    console.show_table(("target", "platform", "formats", "checks", "missing here"), cells)
    print("; ".join(f"{group}: {', '.join(members)}" for group, members in GROUPS.items()))
