"""Writes docs/commands.md from the commands' own help.

python docs/make_commands.py
"""

from pathlib import Path
from typing import Any

from typer.main import get_command

from pocketzoo.cli.main import app
from pocketzoo.core.atomic_files import atomic_path

PAGE = Path(__file__).with_name("commands.md")
HEAD = """# Commands

Generated from `pocketzoo COMMAND --help` by `make docs`; do not edit.

Every command prints a table, and with `--json` the same facts for a program. `pocketzoo --offline COMMAND` downloads
nothing, `pocketzoo -v COMMAND` shows the output of the converters and full tracebacks, `pocketzoo --version` prints the
version.

| exit code | meaning |
| ---: | --- |
| 0 | success |
| 1 | a validation failed, or an unexpected error |
| 2 | wrong input, an unreadable file, a full disk, a directory in use, a failed download: the message says what to do |
| 130, 143, 137 | interrupted (Ctrl-C), terminated or killed; a command that has `--resume` continues with it |
"""


def page() -> str:
    """The page as Markdown."""
    commands = get_command(app).commands
    return HEAD + "".join(f"\n## {name}\n\n{_command(name, command)}\n" for name, command in commands.items())


def _command(name: str, command: Any) -> str:
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    usage = " ".join(["pocketzoo", name, *map(_argument, arguments)])
    rows = [_row(parameter) for parameter in command.params if not getattr(parameter, "hidden", False)]
    table = ["| argument or option | default | description |", "| --- | --- | --- |", *rows]
    return "\n".join([_line(command.help), "", "```sh", usage, "```", "", *table])


def _argument(parameter: Any) -> str:
    name = parameter.name.upper()
    return name if parameter.required else f"[{name}]"


def _row(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        spelling = f"`{_argument(parameter)}`"
    else:
        spelling = ", ".join(f"`{option}`" for option in [*parameter.opts, *parameter.secondary_opts])
    described = getattr(parameter, "show_default", None)  # text, where the default depends on other options
    default = described if isinstance(described, str) else parameter.default
    flag = isinstance(default, bool)
    shown = "" if flag or default in (None, (), []) or parameter.required else f"`{default}`"
    return f"| {spelling} | {'required' if parameter.required else shown} | {_line(parameter.help)} |"


def _line(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    with atomic_path(PAGE) as temporary:
        temporary.write_text(page(), encoding="utf-8")
