"""Memory that a model may take where it runs, where the user says how much that is."""

from ..manifest import Gate
from .subject import Subject


def within_budget(subject: Subject, facts: dict[str, float | int | str]) -> tuple[Gate, ...]:
    """A gate for each of `facts` that `subject` has a bar for, such as `arena_bytes`."""
    return tuple(Gate.measured(name, facts[name], "<=", bar) for name, bar in subject.bars.items() if name in facts)
