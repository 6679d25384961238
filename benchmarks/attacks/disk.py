"""Full disks and limits on the size of files: exit code 2, one sentence, no checkpoint lost, and later success."""

import os
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from . import forks
from .cases import Case, Finding
from .jobs import Command, checkpoints, damaged_checkpoints, log_of, reference_of
from .kills import fault_of
from .originals import prepared

ROOM = "64m"
"""Size of a disk that everything fits on."""
TRAINED = (0.05, 0.3, 0.6, 0.85)
"""Shares of the space that the command needs; what is written first and last differs."""
WRITTEN = (0.1, 0.7)
PLANS = (
    *(("train", share) for share in (*TRAINED, 0.2, 0.45, 0.75, 0.95)),
    *(("compress", share) for share in TRAINED),
    *(("export", share) for share in TRAINED),
    *((verb, share) for verb in ("shards", "report") for share in WRITTEN),
    *((verb, 0.5) for verb in ("prune", "fine-tune", "cross-validation", "sensitivity", "find-lr", "quickstart")),
)
LIMITED = (("train", 0.3), ("shards", 0.5), ("report", 0.3), ("export", 0.5), ("train", 0.9), ("compress", 0.5))
"""Commands, and a limit on each file as a share of the largest one."""


def cases(count: int, seed: int, folder: Path) -> Iterator[Case]:
    """Yield one case per disk or limit, the cheapest kinds first; they do not depend on the seed."""
    originals = prepared(folder)
    limited = [Limited(Command(verb, originals), folder, share) for verb, share in LIMITED]
    attacks: list[Attack] = [*limited, Cache(Command("train", originals), folder, 0)]
    if os.geteuid() == 0:
        attacks += [Download(Command("train", originals), folder, 0)]
        attacks += [FullDisk(Command(verb, originals), folder, share) for verb, share in PLANS]
    for index, attack in enumerate(attacks[:count]):
        kind = f"{attack.KIND}, {attack.command.verb}"
        yield Case(f"disk-{type(attack).__name__.lower()}-{attack.command.verb}-{index}", kind, attack)


class SmallDisk:
    """A tmpfs; no context manager, since a fork that is started in its block would leave the block, too."""

    def __init__(self, place: Path, size: int):
        self.place = place
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], check=True)

    def make_room(self) -> None:
        """Remount it with room for all files."""
        subprocess.run(["mount", "-o", f"remount,size={ROOM}", self.place], check=True)

    def remove(self) -> None:
        """Unmount it."""
        subprocess.run(["umount", "--lazy", self.place], check=True)


@dataclass(frozen=True)
class Attack(ABC):
    """A command that lacks space for some share of what it writes."""

    command: Command
    base: Path
    """Folder of the references."""
    share: float

    KIND = ""

    @abstractmethod
    def __call__(self, folder: Path) -> Finding:
        """Run the command without enough space, and then with it."""

    def _judge(self, work: Path, first: forks.Ending, seen: bool) -> Finding:
        """Look at what the command did without space, and continue it: now there is some."""
        fault = refusal_fault(first, log_of(work, again=False))
        if damaged := damaged_checkpoints(work):
            fault = fault or f"left {', '.join(damaged)} half written"
        if seen and not checkpoints(work):
            fault = fault or "lost its checkpoints"
        reference = reference_of(self.command, self.base)
        ending = forks.wait(self.command.start(work, again=True))
        fault = fault or fault_of(self.command, ending, reference, work)
        outcome = "refused in words, then completed" if first.status else "fitted"
        return Finding(outcome, fault, first.cpu_seconds + ending.cpu_seconds)


def refusal_fault(ending: forks.Ending, log: Path) -> str:
    """Describe what is wrong with the refusal of a command; empty if it is exit code 2 and one sentence, or success."""
    text = log.read_text(errors="replace")
    last = (text.strip().splitlines() or ["nothing"])[-1][:300]
    if ending.status not in (0, 2):
        return f"{ending.sentence}: {last}"
    for sign in ("Traceback", "Exception ignored", "Fatal"):
        if sign in text:
            return f"printed {next(line for line in text.splitlines() if sign in line)[:200]}"
    if ending.status == 2 and sum(line.startswith(("Error: ", "Usage: ")) for line in text.splitlines()) != 1:
        return f"exit code 2 without one sentence: {last}"
    return ""


class FullDisk(Attack):
    """A tmpfs that is too small."""

    KIND = "full disk"

    def __call__(self, folder: Path) -> Finding:
        """Run on a disk that fills up, give it more room, and continue."""
        reference = reference_of(self.command, self.base)
        work = folder / "work"
        work.mkdir()
        # Of the tmpfs, which counts in pages.
        size = max(16384, int(reference.peak_bytes * self.share))
        disk = SmallDisk(work, size)
        first = forks.wait(self.command.start(work))
        disk.make_room()
        finding = self._judge(work, first, seen=False)
        disk.remove()
        if not first.status and self.share < 0.5 and not finding.fault:
            return replace(finding, fault=f"{self.share:.0%} of the space was enough")
        return finding


class Limited(Attack):
    """A limit on the size of each file, as of `ulimit -f`."""

    KIND = "limit on files"

    def __call__(self, folder: Path) -> Finding:
        """Run with the limit, and continue without it."""
        reference = reference_of(self.command, self.base)
        work = folder / "work"
        work.mkdir()
        limits = forks.Limits(file_bytes=int(reference.largest_bytes * self.share))
        return self._judge(work, forks.wait(self.command.start(work, limits)), seen=False)


class Cache(Attack):
    """No space for temporary files, where decoded pixels are kept."""

    KIND = "no temporary space"

    def __call__(self, folder: Path) -> Finding:
        """Run with a folder for temporary files that takes nothing."""
        work = folder / "work"
        work.mkdir()
        os.environ["TMPDIR"] = "/dev/full"  # a file, so that nothing can be made in it; the fork inherits it
        first = forks.wait(self.command.start(work))
        del os.environ["TMPDIR"]
        return self._judge(work, first, seen=False)


class Download(Attack):
    """A download into a cache that is full."""

    KIND = "full download cache"

    def __call__(self, folder: Path) -> Finding:
        """Serve a file, fetch it into a cache that fills up, give that more room, and fetch the file again."""
        cache, weights = folder / "cache", self.command.originals / "net.safetensors"
        cache.mkdir()
        handler = partial(SimpleHTTPRequestHandler, directory=str(weights.parent))
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        process = forks.start(server.serve_forever, folder / "server.log", folder)
        address = f"http://127.0.0.1:{server.server_port}/{weights.name}"

        def fetch() -> int:
            from pocketzoo.core.errors import InputError
            from pocketzoo.zoo.pretrained.download import fetch

            os.environ |= {"POCKETZOO_CACHE": str(cache), "POCKETZOO_OFFLINE": ""}
            try:
                found = fetch(address)
            except InputError as error:
                print(f"Error: {error}")
                return 2
            return 0 if found.read_bytes() == weights.read_bytes() else 3

        disk = SmallDisk(cache, weights.stat().st_size // 2)
        first = forks.call(fetch, folder / "first.log", folder)
        disk.make_room()
        second = forks.call(fetch, folder / "second.log", folder)
        disk.remove()
        os.kill(process, 9)
        forks.wait(process)
        server.server_close()
        fault = refusal_fault(first, folder / "first.log")
        if first.status != 2 or second.status:
            fault = fault or f"first {first.sentence}, then {second.sentence}"
        return Finding("refused in words, then completed", fault, first.cpu_seconds + second.cpu_seconds)
