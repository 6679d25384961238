"""Bad command lines: every command with every kind of mistake that it can have."""

import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras  # noqa: F401 - imported once for all forks, as are the next ones
import sklearn.datasets  # noqa: F401
import tensorflow  # noqa: F401
import typer

from pocketzoo import export, training, zoo  # noqa: F401
from pocketzoo.cli.main import app, main

from . import forks
from .cases import Case, Finding
from .disk import refusal_fault
from .originals import prepared

LIMITS = forks.Limits(cpu_seconds=30, wall_seconds=300)
GOOD = {
    "list": "",
    "info": "lenet5",
    "data": "O/classes",
    "shards": "O/classes out",
    "recipe": "lenet5",
    "find-lr": "lenet5 --data O/classes",
    "train": "lenet5 --data O/classes --run-dir run",
    "fine-tune": "O/lenet.keras --data O/classes --run-dir run",
    "evaluate": "O/lenet.keras --data O/classes",
    "fit-anomaly": "O/lenet.keras --data digit-defects --out detector.keras",
    "advise": "O/lenet.keras",
    "prune": "O/lenet.keras --data O/classes --run-dir run",
    "prune-channels": "O/lenet.keras --data O/classes --run-dir run",
    "cluster": "O/lenet.keras --data O/classes --run-dir run",
    "quantize": "O/lenet.keras --data O/classes --run-dir run",
    "distill": "O/lenet.keras O/lenet.keras --data O/classes --run-dir run",
    "compress": "O/lenet.keras --data O/classes --spec O/stages.yaml --run-dir run",
    "lint": "O/lenet.keras --target edge-mcu",
    "export": "O/lenet.keras --out bundle",
    "targets": "",
    "predict": "O/lenet.keras O/pictures/gray.jpg",
    "benchmark": "O/lenet.keras",
    "quickstart": "--out quickstart",
}
"""A command line without a mistake for each command."""
NUMBERS = ("nan", "-1", "1e999", "x", "0x10", "--", "9" * 400)
"""Impossible values of every option that takes a number; some are huge, which an option may allow."""
ALLOWED = {"--ignore": ("-1", "9" * 400), "--max-params": ("9" * 400,), "--max-macs": ("9" * 400,), "--top": ()}
"""Of these, those that an option takes."""
FILES = (
    "missing",
    "folder",
    "fifo",
    "empty",
    "binary",
    "text",
    "nul",
    "long",
    "loop",
    *(["unreadable"] if os.geteuid() else []),
)
"""Root reads every file."""
INPUTS = ("--recipe", "--spec", "--settings", "--plan", "--data")
OUTPUTS = ("--run-dir", "--out", "--report", "--masks", "--sheet", "--sensitivity", "--plot", "out")
SUFFIXES = {"O/lenet.keras": ".keras", "O/pictures/gray.jpg": ".jpg", "O/stages.yaml": ".yaml", "O/classes": ""}
SETTINGS = (
    *("epochs", "epochs=-1", "epochs=nan", "epochs=2001-99-99", "optimizer.lr=.inf", "no_such=1", "batch_size=0"),
    *("epochs=[1", "optimizer.name=no", "optimizer=[]", "epochs=!!python/name:os.system", "=", "a.b.c.d=1"),
    *("epochs=" + "9" * 5000, "schedule=" + "[" * 500),
)
WORDS = ("no-such", "", "\x1b[2J", "é" * 300, "-", "../..", "a=b=c", "1:2:3")
"""Values of options that take a name or an expression of their own."""


def cases(count: int, seed: int, folder: Path) -> Iterator[Case]:
    """Yield one case per command line, evenly over commands and kinds of mistake."""
    originals = prepared(folder)
    lines = list(_lines())
    random.Random(seed).shuffle(lines)
    for number, line in enumerate(_evenly(lines)[:count]):
        yield Case(f"commands-{number}-{line.command}", line.mistake, Attempt(line, originals))


@dataclass(frozen=True)
class Line:
    """A command line with one mistake."""

    command: str
    mistake: str
    words: tuple[str, ...]


def _evenly(lines: list[Line]) -> list[Line]:
    """Sort so that each command and kind of mistake comes early."""
    seen: dict[tuple[str, str], int] = {}
    ranks = []
    for line in lines:
        rank = seen[line.command, line.mistake] = seen.get((line.command, line.mistake), 0) + 1
        ranks.append(rank)
    return [line for _, line in sorted(zip(ranks, lines, strict=True), key=lambda pair: pair[0])]


def _lines() -> Iterator[Line]:
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        good = tuple(GOOD[name].split())
        yield Line(name, "unknown option", (*good, "--no-such-option"))
        yield Line(name, "too many arguments", (*good, "a", "b", "c") if name != "predict" else (*good, "a\0b"))
        if good:
            yield Line(name, "missing argument", good[1:] if not good[0].startswith("-") else ("--out",))
        for place, word in enumerate(good):
            if word in SUFFIXES:
                for file in FILES:
                    yield Line(name, f"input: {file}", (*good[:place], f"{file}{SUFFIXES[word]}", *good[place + 1 :]))
        for option in command.params:
            yield from _lines_of_option(name, good, option)
    yield Line("no-such-command", "unknown command", ())
    yield Line("trian", "unknown command", ("lenet5",))


def _lines_of_option(name: str, good: tuple[str, ...], option: Any) -> Iterator[Line]:
    text = option.opts[0]
    if not text.startswith("--") or getattr(option, "is_flag", False) or text == "--help":
        return
    if option.type_descriptor.annotation in (int, float):
        for value in NUMBERS:
            if value not in ALLOWED.get(text, ()):
                yield Line(name, "impossible number", (*good, text, value))
    elif text == "--set":
        for value in SETTINGS:
            yield Line(name, "impossible setting", (*good, text, value))
    elif text in OUTPUTS:
        for file in ("text", "fifo", "nul", "long", "/proc/no/such", *(() if text == "--report" else ("full",))):
            yield Line(name, f"output: {file}", (*_without(good, text), text, file))
    elif text in INPUTS:
        for file in FILES:
            suffix = ".json" if text == "--plan" else ".yaml"
            yield Line(name, f"input: {file}", (*_without(good, text), text, f"{file}{suffix}"))
    else:
        for value in WORDS:
            yield Line(name, "impossible value", (*_without(good, text), text, value))


def _without(good: tuple[str, ...], option: str) -> tuple[str, ...]:
    """The words without an option and its value."""
    if option not in good:
        return good
    place = good.index(option)
    return good[:place] + good[place + 2 :]


@dataclass(frozen=True)
class Attempt:
    """One command line."""

    line: Line
    originals: Path

    def __call__(self, folder: Path) -> Finding:
        """Run it in a folder with the files that it names."""
        work = folder / "work"
        work.mkdir()
        shutil.copytree(self.originals / "pictures", work / "full")
        words = [word.replace("O/", f"{self.originals}/") for word in self.line.words]
        for word in self.line.words:
            _make(work, word)
        before = _listing(work)

        def run() -> int:
            sys.argv = ["pocketzoo", self.line.command, *[_typed(word) for word in words]]
            try:
                main()
            except SystemExit as end:
                return end.code if isinstance(end.code, int) else int(bool(end.code))
            return 0

        ending = forks.call(run, folder / "log", work, LIMITS)
        fault = refusal_fault(ending, folder / "log")
        if not fault and not ending.status and self.line.mistake not in MAY_SUCCEED:
            fault = "was accepted"
        if not fault and ending.status and _listing(work) != before:
            fault = f"left {sorted(_listing(work) ^ before)} behind"
        if fault:
            fault = f"{fault} -- pocketzoo {self.line.command} {' '.join(self.line.words)[:300]!r}"
        return Finding("refused in words" if ending.status else "accepted", fault, ending.cpu_seconds)


MAY_SUCCEED = ("impossible value",)
"""Some names of layers, patterns and labels may be anything."""


def _typed(word: str) -> str:
    """What stands for a path that cannot be written in this file."""
    return "a\0b" if word.startswith("nul.") or word == "nul" else "x" * 5000 if word.startswith("long") else word


def _listing(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def _make(folder: Path, word: str) -> None:
    """Make the file that a word names."""
    path = folder / word
    makers: dict[str, Callable[[], object]] = {
        "folder": path.mkdir,
        "fifo": lambda: os.mkfifo(path),
        "empty": lambda: path.write_bytes(b""),
        "binary": lambda: path.write_bytes(bytes(range(256)) * 40),
        "text": lambda: path.write_text("hello\n"),
        "loop": lambda: path.symlink_to(path.name),
        "unreadable": lambda: path.touch(0o000),
    }
    if (maker := makers.get(word.partition(".")[0])) and not path.exists():
        maker()
