"""Compares two bundles of the same model, such as from before and after a change of the export.

python benchmarks/compare_bundles.py before/lenet5 after/lenet5

Prints every difference: in files, models byte by byte; in manifests, all fields except times. Exits with 1 if a model
differs.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pocketzoo.export import load_artifact

TIMES = ("created", "host", "median_ms", "gzip_bytes", "bytes", "sha256")
"""Fields that differ between two exports of the same model: times, and what depends on the certificate with them."""
RELATIVE_TOLERANCE = 1e-9
"""For figures, which may be summed in another order."""


def main() -> None:
    """Compare the bundles and print the differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    arguments = parser.parse_args()
    models = list(differing_models(arguments.before, arguments.after))
    for line in models:
        print(line)
    before, after = (json.loads((path / "manifest.json").read_text()) for path in (arguments.before, arguments.after))
    for line in differences(before, after, ""):
        print(line)
    sys.exit(bool(models))


def differing_models(before: Path, after: Path) -> Iterator[str]:
    """Differences between the files of two bundles; of artifacts, only the validated model is compared."""
    names = [{path.name for path in folder.iterdir()} for folder in (before, after)]
    for name in sorted(names[0] ^ names[1]):
        yield f"{name}: only in {before if name in names[0] else after}"
    for name in sorted((names[0] & names[1]) - {"manifest.json", "report.md"}):
        first, second = (model_bytes(folder / name) for folder in (before, after))
        if first != second:
            size = sum(a != b for a, b in zip(first, second, strict=False)) + abs(len(first) - len(second))
            yield f"{name}: {size} of {len(first)} bytes differ"


def model_bytes(path: Path) -> bytes:
    """The content of a file, or of the files of a folder, without the certificate."""
    if path.is_dir():
        files = (each for each in sorted(path.rglob("*")) if each.is_file() and each.name != "proof.json")
        return b"".join(str(each.relative_to(path)).encode() + each.read_bytes() for each in files)
    content = path.read_bytes()
    if path.suffix not in (".tflite", ".onnx"):
        return content
    certificate = load_artifact(path).certificate if "-ethos-" not in path.name else None  # an unknown operator
    return content if certificate is None else content[: certificate.model_bytes]


def differences(before: Any, after: Any, where: str) -> Iterator[str]:
    """Differences between two JSON values, except for times."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            if key in TIMES:
                continue
            if key not in before or key not in after:
                yield f"{where}.{key}: only {'before' if key in before else 'after'}"
            else:
                yield from differences(before[key], after[key], f"{where}.{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, pair in enumerate(zip(before, after, strict=True)):
            yield from differences(*pair, f"{where}[{index}]")
    elif isinstance(before, float) and isinstance(after, float):
        if abs(before - after) > RELATIVE_TOLERANCE * max(abs(before), abs(after)):
            yield f"{where}: {before} -> {after}"
    elif before != after:
        yield f"{where}: {before!r} -> {after!r}"


if __name__ == "__main__":
    main()
