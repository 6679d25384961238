"""Writes docs/limits.md from the limits in core/limits.py.

python docs/make_limits.py
"""

from pathlib import Path

from pocketzoo.core.atomic_files import atomic_path
from pocketzoo.core.limits import LIMITS, Limit

PAGE = Path(__file__).with_name("limits.md")
HEAD = """# Limits

Generated from `core/limits.py` by `make docs`; do not edit.

A file of a few hundred bytes can ask for terabytes of memory or for a loop without an end. What a file may ask for is
limited; a file that asks for more is refused before the work starts, with exit code 2 and a message that states the
figure, the limit, and how to raise it. Raise a limit for files that you trust only; `--skip-unreadable` leaves out the
images above a limit, too. Each limit is an environment variable, for commands and in Python, with a whole number of 1
or more:

```sh
POCKETZOO_LIMIT_IMAGE_PIXELS=400000000 pocketzoo predict net.tflite panorama.png
```

Pipes, devices, sockets and folders in place of a file are refused without opening them.

| variable | default | applies to | reason |
| --- | ---: | --- | --- |
"""


def page() -> str:
    """The page as Markdown."""
    return HEAD + "".join(map(_row, LIMITS))


def _row(limit: Limit) -> str:
    return f"| `{limit.variable}` | {limit.default:,} {limit.unit} | {limit.of} | {limit.reason} |\n"


def main() -> None:
    """Writes the page."""
    with atomic_path(PAGE) as temporary:
        temporary.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
