from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from pocketzoo.cli.option_groups import with_option_groups

pytestmark = pytest.mark.fast


@dataclass(frozen=True)
class Frame:
    """A group with an option that is required and one that is not."""

    width: Annotated[int, typer.Option()]
    color: Annotated[str, typer.Option("--color")] = "black"


@pytest.fixture
def run():
    """Function that runs a command with a group, and returns its exit code and the values that it got."""
    seen = []

    def command(name: str, *, frame: Frame, bold: Annotated[bool, typer.Option("--bold")] = False) -> None:
        seen.append((name, frame, bold))

    app = typer.Typer()
    app.command()(with_option_groups(command))
    return lambda *arguments: (CliRunner().invoke(app, arguments).exit_code, seen)


def test_fields_of_a_group_are_options_that_arrive_as_one_value(run):
    assert run("title", "--width", "3", "--color", "red", "--bold") == (0, [("title", Frame(3, "red"), True)])


def test_option_without_a_default_is_required(run):
    assert run("title", "--color", "red") == (2, [])
    assert run("title", "--width", "3") == (0, [("title", Frame(3), False)])
