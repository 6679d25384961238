"""What a model may take where it runs, where the user says how much that is."""

from ...artifact.manifest import Gate
from .subject import Subject


def within_budget(subject: Subject, facts: dict[str, float | int | str]) -> tuple[Gate, ...]:
    """A gate for each of `facts` that `subject` has a bar for, such as `arena_bytes`."""
    return tuple(Gate.measured(name, facts[name], "<=", bar) for name, bar in subject.bars.items() if name in facts)


def within_tolerance(subject: Subject, bar_name: str, gate_name: str, count: int, reason: str | None) -> Gate:
    """A gate for operators that do not run where they should, of which there may be none but by a bar of the user's."""
    bar = subject.bars.get(bar_name, 0)
    gate = Gate.measured(gate_name, count, "<=", bar, reason)
    return gate.model_copy(update={"default_bar": 0 if bar else None})
