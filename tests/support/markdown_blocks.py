"""Runs the code blocks of a Markdown page as a reader would, and checks the output that the page shows.

- `python`: run with the names of the page's earlier blocks; a `text` block right after it is what it prints.
- `sh`: each command is run.
- `console`: each line that begins with `$ ` is run, and what follows it is what it prints.

`<!-- numbers vary -->` on the line before a block says that its numbers depend on the machine: the rest must be equal.
"""

import doctest
import io
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

from typer.testing import CliRunner

from pocketzoo.cli.main import app

NUMBERS_VARY = "<!-- numbers vary -->"
BLOCK = re.compile(
    rf"^(?P<vary>{NUMBERS_VARY}\n\n?)?```(?P<language>\w+)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE
)
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
NUMBER = re.compile(r"\d[\d,.]*(e[+-]?\d+)?")


@dataclass(frozen=True)
class Block:
    """A fenced block of code or output."""

    language: str
    code: str
    numbers_vary: bool


def blocks(page: str, *languages: str) -> list[Block]:
    """The blocks of a page in their order, of these languages or of all."""
    found = (Block(match["language"], match["code"], bool(match["vary"])) for match in BLOCK.finditer(page))
    return [block for block in found if not languages or block.language in languages]


def run_page(page: str) -> dict[str, Any]:
    """Runs a page's blocks in the working directory; the names that its Python defined are returned."""
    names: dict[str, Any] = {}
    printed = ""
    for block in blocks(page):
        if block.language == "python":
            with redirect_stdout(io.StringIO()) as output:
                exec(compile(block.code, "<page>", "exec"), names)
            printed = output.getvalue()
        elif block.language == "text":
            assert_shown(block.code, printed, block.numbers_vary)
        elif block.language == "sh":
            for command in block.code.replace("\\\n", " ").splitlines():
                run_command(command)
        elif block.language == "console":
            for command, shown in commands_and_output(block.code):
                assert_shown(shown, run_command(command), block.numbers_vary)
    return names


def commands_and_output(code: str) -> Iterator[tuple[str, str]]:
    """Each command of a `console` block with the output shown below it."""
    for part in re.split(r"^\$ ", code.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown


def run_command(command: str) -> str:
    """What a command prints; `pocketzoo` runs in this process, which has TensorFlow already.

    A command that is to fail ends with the comment `# exit code 1`, or another one; then its error is returned, if it
    does not only end with that code.
    """
    words = shlex.split(command, comments=True)
    if not words:
        return ""
    if words[0] != "pocketzoo":
        return subprocess.run(["bash", "-ec", command], check=True, capture_output=True, text=True).stdout
    expected = re.search(r"# exit code (\d)$", command)
    result = CliRunner().invoke(app, words[1:])
    assert bool(result.exit_code) == bool(expected), f"{command}\n{result.output}\n{result.exception!r}"
    is_error = expected and not isinstance(result.exception, SystemExit)
    return f"Error: {result.exception}" if is_error else result.stdout


def assert_shown(shown: str, printed: str, numbers_vary: bool) -> None:
    """Checks that what is shown was printed: `...` stands for anything, spaces and, perhaps, numbers aside."""
    shown, printed = (_comparable(text, numbers_vary) for text in (shown, printed))
    assert doctest.OutputChecker().check_output(shown, printed, OPTIONS), f"shown:\n{shown}\nprinted:\n{printed}"


def _comparable(text: str, numbers_vary: bool) -> str:
    text = re.sub("─+", "─", text)
    return NUMBER.sub("0", text) if numbers_vary else text
