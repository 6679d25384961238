"""Run mypy (strict, see pyproject.toml) and compare its errors per folder with the numbers recorded there.

core, layers, tasks and zoo have none. The other folders become stricter step by step: more errors than recorded fail,
and where there are fewer, the number to record is printed.
"""

import re
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
ERROR = re.compile(r"pocketzoo/(\w+)(?:/[\w/]+)?\.pyi?:\d+: error: ")


def main() -> int:
    """Print errors per folder; return 1 if a folder has more than recorded, 2 if mypy itself fails."""
    recorded: dict[str, int] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pocketzoo"]["type-errors"]
    run = subprocess.run([sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, text=True)
    if run.returncode and not ERROR.search(run.stdout):
        print(run.stdout, run.stderr, sep="")
        return 2
    by_folder = defaultdict(list)
    for line in run.stdout.splitlines():
        if match := ERROR.match(line):
            by_folder[match[1]].append(line)
    counts = Counter({folder: len(errors) for folder, errors in by_folder.items()})
    worse = [folder for folder in counts if counts[folder] > recorded.get(folder, 0)]
    for folder in worse:
        print(*by_folder[folder], sep="\n")
    for folder in sorted(counts.keys() | recorded.keys()):
        limit = recorded.get(folder, 0)
        note = "" if counts[folder] == limit else " FAILED" if folder in worse else f": record {counts[folder]}"
        print(f"{folder:10} {counts[folder]:4} type errors, {limit} recorded{note}")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
