"""The README is true: its Python runs, and its tables are what commands print."""

import re
from pathlib import Path

import pytest
from support.markdown_blocks import blocks, commands_and_output, run_command

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
TABLES = [pair for block in blocks(README, "console") for pair in commands_and_output(block.code)]


@pytest.mark.slow
def test_python_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks(README, "python"):
        exec(block.code, names)
    top, passed = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\[\[\('7', [01]\.\d+\)\]\] 7", top)
    assert passed == "True"


@pytest.mark.parametrize(("command", "shown"), TABLES, ids=[command for command, _ in TABLES])
def test_tables_in_the_readme_are_what_the_commands_print(command, shown):
    printed = [line.rstrip() for line in run_command(command).splitlines() if line.strip()]
    assert [line for line in shown.splitlines() if line.strip()] == printed
