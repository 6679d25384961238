"""Attacks the package as bad luck and strangers do: nothing may be lost, crash, hang, or be executed.

python benchmarks/attack.py                          # all parts
python benchmarks/attack.py --only mutations --count 500
python benchmarks/attack.py --case kills-prune-3     # one case, as a failure names it
python benchmarks/attack.py --only mutations --files my.tflite my.keras

- kills: training, exports and other writers are killed at random moments, and resumed or repeated; the results must be
  those of a run without interruption.
- mutations: damaged and malicious files of every kind that is read must give a result or an InputError.
- disk: disks that are full, and limits on the size of files: exit code 2, one sentence, no checkpoint lost.
- commands: bad command lines of every command: exit code 2 and one sentence.

Results are appended to build/attack/results.jsonl. A second start skips what has passed and repeats what failed. A case
depends on its name and the seed only. Needs Linux; the disks are tmpfs, which only root can mount, and are left out for
others.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported
os.environ["POCKETZOO_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # no threads before a fork

import argparse
import gc
import sys
import time
from collections import Counter
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from attacks.cases import Result, Results, run_cases

PARTS = {"kills": 75, "mutations": 5000, "disk": 32, "commands": 240}
"""Number of cases of each part."""
SAMPLE = {"kills": 2, "mutations": 170, "disk": 2, "commands": 50}
"""The same of the sample that the tests run."""
FOLDER = Path(__file__).parents[1] / "build" / "attack"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=tuple(PARTS), help="a part; repeatable")
    parser.add_argument("--case", help="name of a single case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, help="number of cases of each part")
    parser.add_argument("--sample", action="store_true", help="a few cases of each part, in a minute")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no case after this time")
    parser.add_argument("--files", nargs="+", type=Path, help="files to change; by default those of a small model")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="folder for results and the files of failed cases")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    parts = [arguments.case.partition("-")[0]] if arguments.case else arguments.only or list(PARTS)
    results = Results(folder / "results.jsonl")
    end = time.monotonic() + 60 * arguments.minutes
    for part in parts:
        count = arguments.count or (SAMPLE if arguments.sample else PARTS)[part]
        files = {"files": arguments.files} if part == "mutations" else {}
        cases = import_module(f"attacks.{part}").cases(count, arguments.seed, folder, **files)
        gc.freeze()  # what is here is not collected, so that forks do not copy it
        if arguments.case:
            cases = (case for case in cases if case.name == arguments.case)
        for _ in run_cases(cases, arguments.seed, results, folder / "cases"):
            if time.monotonic() > end:
                break
    show(results.of(parts))
    failed = [result for result in results.of(parts) if result.fault]
    for result in failed:
        print(f"FAILED {result.case}: {result.fault}")
        print(f"    python benchmarks/attack.py --seed {result.seed} --case {result.case}")
    sys.exit(bool(failed))


def show(results: Sequence[Result]) -> None:
    """Print a table of the outcomes by kind."""
    rows: dict[tuple[str, str], Counter[str]] = {}
    seconds: Counter[tuple[str, str]] = Counter()
    for result in results:
        row = (result.case.partition("-")[0], result.kind)
        rows.setdefault(row, Counter())["FAILED" if result.fault else result.outcome] += 1
        seconds[row] += result.cpu_seconds
    print("| part | kind | cases | outcomes | CPU s |\n| --- | --- | --- | --- | --- |")
    for row, outcomes in sorted(rows.items()):
        text = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
        print(f"| {row[0]} | {row[1]} | {outcomes.total()} | {text} | {seconds[row]:.0f} |")
    for part in dict.fromkeys(row[0] for row in sorted(rows)):
        all_outcomes = sum((outcomes for row, outcomes in rows.items() if row[0] == part), Counter())
        used = sum(used for row, used in seconds.items() if row[0] == part)
        text = ", ".join(f"{count} {outcome}" for outcome, count in sorted(all_outcomes.items()))
        print(f"| **{part}** | all | {all_outcomes.total()} | {text} | {used:.0f} |")


if __name__ == "__main__":
    main()
