"""Kills at random moments: what was interrupted is continued, and must end as if nothing had happened."""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from . import forks
from .cases import Case, Finding
from .jobs import (
    Command,
    Reference,
    checkpoints,
    damaged_checkpoints,
    differences,
    log_of,
    reference_of,
    unfinished,
)
from .originals import prepared

SCHEDULE = (
    *("train", "shards", "fine-tune", "prune", "export", "distill", "cluster", "quantize", "compress"),
    *("prune-channels", "cross-validation", "train", "prune", "report", "fine-tune", "compress", "export"),
    *("sensitivity", "find-lr"),
)
"""The verbs in turn; those with more to lose come more often."""
RARE = "quickstart"
"""Takes as long as ten others: each 25th kill."""
POLL = 0.0005
"""Seconds between two looks at the folder."""


def cases(count: int, seed: int, folder: Path) -> Iterator[Case]:
    """Yield one case per kill."""
    originals = prepared(folder)
    for number in range(count):
        verb = RARE if number % 25 == 24 else SCHEDULE[number % len(SCHEDULE)]
        name = f"kills-{verb}-{number}"
        yield Case(name, verb, Kill(Command(verb, originals), folder, number, random.Random(f"{seed} {name}")))


@dataclass(frozen=True)
class Kill:
    """One kill."""

    command: Command
    base: Path
    """Folder of the references."""
    number: int
    draw: random.Random

    def __call__(self, folder: Path) -> Finding:
        """Kill the command, once or twice, and continue it to the end."""
        reference = reference_of(self.command, self.base)
        work = folder / "work"
        used = 0.0
        for _ in range(20):
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            ending, seen = self._kill(work, reference, again=False)
            used += ending.cpu_seconds
            if ending.status != 0:
                break
        else:
            return Finding("fault", "was finished before each of 20 kills")
        if ending.status not in ENDINGS:
            return Finding("fault", f"ended with {ending.sentence} when it was interrupted: {_last_line(work, False)}")
        if fault := _lost(work, seen):
            return Finding("fault", fault, used)
        if self.command.verb == "shards" and not differences(reference.folder, work):
            return Finding("complete when it was killed", cpu_seconds=used)  # a repetition would be refused
        if self.number % 5 == 0:
            ending, seen = self._kill(work, reference, again=True)
            used += ending.cpu_seconds
            if fault := _lost(work, seen):
                return Finding("fault", f"the second time {fault}", used)
        ending = forks.wait(self.command.start(work, again=True))
        used += ending.cpu_seconds
        return Finding("as without a kill", fault_of(self.command, ending, reference, work), used)

    def _kill(self, work: Path, reference: Reference, *, again: bool) -> tuple[forks.Ending, bool]:
        """Start the command and send it a signal; return its end, and whether there had been a checkpoint before."""
        sent = (signal.SIGTERM, signal.SIGINT)[self.number // 6 % 2] if self.number % 6 == 5 else signal.SIGKILL
        process = self.command.start(work, again=again)
        wait = self._moment(reference, work, process)
        seen = False
        while (ending := forks.ended(process)) is None:
            if wait():
                seen = bool(checkpoints(work))
                os.kill(process, sent)
                return forks.wait(process), seen
            time.sleep(POLL)
        return ending, seen

    def _moment(self, reference: Reference, work: Path, process: int) -> Callable[[], bool]:
        """Choose a moment: after some share of the processor time, or in the middle of something being written."""
        if reference.unfinished < 2 or self.draw.random() < 0.35:
            least = reference.cpu_seconds * self.draw.uniform(0.1, 1)
            return lambda: forks.cpu_seconds(process) > least
        wanted, delay = self.draw.randint(1, reference.unfinished), self.draw.choice((0, 0, 0.001, 0.005, 0.02))
        found: set[Path] = set()
        since: list[float] = []

        def is_writing() -> bool:
            found.update(unfinished(work))
            if len(found) >= wanted and not since:
                since.append(time.monotonic())
            return bool(since) and time.monotonic() >= since[0] + delay

        return is_writing


ENDINGS = (-signal.SIGKILL, -signal.SIGTERM, 130)


def _lost(work: Path, seen: bool) -> str:
    """Describe a checkpoint that a kill has damaged or removed; empty if none."""
    if damaged := damaged_checkpoints(work):
        return f"left {', '.join(damaged)} half written"
    return "lost its checkpoints" if seen and not checkpoints(work) else ""


def fault_of(command: Command, ending: forks.Ending, reference: Reference, work: Path) -> str:
    """Describe what is wrong after a command was continued; empty if nothing is."""
    if ending.status:
        return f"ended with {ending.sentence} when it was continued: {_last_line(work, True)}"
    text = log_of(work, again=True).read_text(errors="replace")
    if "was damaged" in text or "Traceback" in text:
        return f"printed {next(line for line in text.splitlines() if 'was damaged' in line or 'Traceback' in line)}"
    if different := differences(reference.folder, work):
        return f"differs from the run without interruption in {different}"
    return ""


def _last_line(work: Path, again: bool) -> str:
    log = log_of(work, again)
    return (log.read_text(errors="replace").strip().splitlines() or ["nothing printed"])[-1][:300]
