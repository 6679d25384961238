"""Cases, and the file of their results, which a later start continues."""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Finding:
    """What a case led to."""

    outcome: str
    """The same words for the same outcome, as they are counted."""
    fault: str = ""
    """What is wrong; empty if nothing is."""
    cpu_seconds: float = 0


@dataclass(frozen=True)
class Case:
    """One attack."""

    name: str
    """Unique; begins with the part, as in `kills-prune-17`."""
    kind: str
    """Row of the table."""
    run: Callable[[Path], Finding]
    """Takes an empty folder."""

    @property
    def part(self) -> str:
        """Which part of the harness it belongs to."""
        return self.name.partition("-")[0]


@dataclass(frozen=True)
class Result:
    """The finding of a case, as it is recorded."""

    case: str
    kind: str
    seed: int
    outcome: str
    fault: str
    cpu_seconds: float


class Results:
    """Results in a file of JSON lines; the last one of a case counts."""

    def __init__(self, file: Path):
        self._file = file
        self._by_case: dict[tuple[str, int], Result] = {}
        lines = file.read_text().splitlines() if file.exists() else []
        for line in lines:
            self._add(Result(**json.loads(line)))

    def _add(self, result: Result) -> None:
        self._by_case[result.case, result.seed] = result

    def record(self, result: Result) -> None:
        """Add a result to the file."""
        self._add(result)
        with self._file.open("a") as file:
            file.write(json.dumps(asdict(result)) + "\n")

    def passed(self, case: Case, seed: int) -> bool:
        """Return whether the case needs no repetition."""
        result = self._by_case.get((case.name, seed))
        return result is not None and not result.fault

    def of(self, parts: Iterable[str]) -> list[Result]:
        """Return the results of these parts."""
        return [result for result in self._by_case.values() if result.case.partition("-")[0] in parts]


def run_cases(cases: Iterable[Case], seed: int, results: Results, folder: Path) -> Iterator[Result]:
    """Run the cases that have not passed yet, each in a folder of its own, which stays if it found a fault."""
    for case in cases:
        if results.passed(case, seed):
            continue
        own = folder / case.name
        shutil.rmtree(own, ignore_errors=True)
        own.mkdir(parents=True)
        finding = case.run(own)
        if not finding.fault:
            shutil.rmtree(own)
        result = Result(case.name, case.kind, seed, finding.outcome, finding.fault, round(finding.cpu_seconds, 2))
        results.record(result)
        yield result
