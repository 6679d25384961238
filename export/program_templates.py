"""Templates of programs: which of their lines remain for a file, in READMEs and in the project for microcontrollers.

A template is the program, with lines that choose among the others: `@if a !b` (a holds, b does not), `@else`, `@end`,
and `@include FILE`, whose lines get the indentation of that line.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from ..tasks.registry import get_task
from .artifact.metadata import Metadata
from .artifact.tensors import TensorInfo

DIRECTIVE = re.compile(r"( *)@(if|else|end|include)\b *(.*)")


def chosen_lines(template: Path, conditions: Mapping[str, bool], indentation: str = "") -> Iterator[str]:
    """The lines of a template that remain under `conditions`; it includes files beside it."""
    open_blocks: list[bool] = []
    for line in _template_lines(template):
        directive = DIRECTIVE.fullmatch(line)
        kind, argument = (directive[2], directive[3]) if directive else ("", "")
        if kind == "if":
            open_blocks.append(
                all(conditions[word.removeprefix("!")] != word.startswith("!") for word in argument.split())
            )
        elif kind == "else":
            open_blocks[-1] = not open_blocks[-1]
        elif kind == "end":
            open_blocks.pop()
        elif not all(open_blocks):
            continue
        elif directive:
            yield from chosen_lines(template.with_name(argument), conditions, indentation + directive[1])
        else:
            yield indentation + line


@cache
def _template_lines(template: Path) -> tuple[str, ...]:
    return tuple(template.read_text(encoding="utf-8").splitlines())


def output_conditions(metadata: Metadata, output: TensorInfo) -> dict[str, bool]:
    """What lines depend on that show the output of a file: what its numbers are, and how they become probabilities."""
    task = get_task(metadata.task)
    single = task.activation == "softmax" and output.value_shape[-1] == 1
    squashed = task.activation if metadata.from_logits else None
    return {
        "softmax": squashed == "softmax" and not single,
        "sigmoid": squashed == "sigmoid" or (squashed == "softmax" and single),
        "single": single,
        "logits": squashed is not None and task.figure_name == "probability",
        "ranked": task.figure_name == "probability",
        "numbers": task.figure_name == "value",
        "mask": task.figure_name == "share",
        "vector": task.figure_name not in ("probability", "value", "share"),
    }


def threshold(metadata: Metadata) -> str:
    """Literal of the score above which the single output of a file means the second class."""
    return "0.0" if metadata.from_logits else "0.5"
