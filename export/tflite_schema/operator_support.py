"""Which operators a runtime accepts: lists as data in `operators/`, each with its source. Imports no TensorFlow."""

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from .nodes import Node, tflite_nodes

LISTS = Path(__file__).parent / "operator_lists"
UNKNOWN_FIX = "another layer; nothing that stands for it is known"


class Rule(BaseModel):
    """What an operator must be like to be accepted; None and True where it does not matter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_version: int | None = None
    max_inputs: int | None = None
    max_places: int | None = None
    """Of its output, all axes but the last multiplied."""
    max_channels: int | None = None
    """Of its output, the last axis."""
    fused_activation: bool = True
    """Whether an activation may be part of it."""
    grouped: bool = True
    """Whether a convolution may be in groups."""
    may_end: bool = False
    """Whether it may be left to the processor where it gives the answer: nothing comes back from there."""
    integers: bool = True
    """Whether TFLite's converter makes integers of it; of some it dies."""
    added_by: str | None = None
    """Method of TensorFlow Lite Micro's `MicroMutableOpResolver` that registers it."""

    def objection(self, node: Node) -> str | None:
        """Why `node` is not accepted, or None if it is."""
        *places, channels = node.output or (1,)
        area = 1
        for side in places:
            area *= side
        objections = {
            f"version {node.version}, known up to {self.max_version}": _exceeds(node.version, self.max_version),
            f"{len(node.inputs)} inputs, {self.max_inputs} at most": _exceeds(len(node.inputs), self.max_inputs),
            f"at {area} places, {self.max_places} at most": _exceeds(area, self.max_places),
            f"{channels} channels, {self.max_channels} at most": _exceeds(channels, self.max_channels),
            "with an activation in it": node.fused_activation and not self.fused_activation,
            "TFLite's converter dies of it where integers are wanted": not self.integers,
            "in groups": node.grouped and not self.grouped,
        }
        return next((reason for reason, holds in objections.items() if holds), None)


class OperatorList(BaseModel):
    """What one runtime accepts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    runtime: str
    source: str
    """Where it is published."""
    as_of: date
    max_rank: int | None = None
    """Most axes of any tensor."""
    operators: dict[str, Rule]
    """By name, such as `CONV_2D`."""

    def refused(self, content: bytes) -> "Iterator[Refusal]":
        """The operators of a TFLite file that are not accepted, in the order in which they run, but for one that may
        be left to the processor."""
        nodes = list(tflite_nodes(content))
        for node in nodes:
            reason = self._objection(node)
            if reason and node not in self._ending(nodes):
                yield Refusal(node, reason)

    def left_to_processor(self, content: bytes) -> list[Node]:
        """The operator that gives the answer, where it is not accepted but may end a net; else none."""
        return self._ending(list(tflite_nodes(content)))

    def _ending(self, nodes: Sequence[Node]) -> list[Node]:
        rule = self.operators.get(nodes[-1].operator)
        return [nodes[-1]] if rule and rule.may_end and self._objection(nodes[-1]) else []

    def _objection(self, node: Node) -> str | None:
        if node.operator not in self.operators:
            return "unknown there"
        rank = max(map(len, (*node.inputs, node.output)))
        if _exceeds(rank, self.max_rank):
            return f"tensors of {rank} axes, {self.max_rank} at most"
        return self.operators[node.operator].objection(node)


@dataclass(frozen=True)
class Refusal:
    """An operator that a runtime does not accept."""

    node: Node
    reason: str

    @property
    def fix(self) -> str:
        """What to put in its place."""
        return _fixes().get(self.node.operator, UNKNOWN_FIX)

    @property
    def sentence(self) -> str:
        """Where, why, and what to put there, such as `GELU (stem_act): unknown there; instead: activation='relu'`."""
        return f"{self.node.place}: {self.reason}; instead: {self.fix}"


def in_few_words(refusals: Iterable[Refusal]) -> str | None:
    """The first of each operator with how many more there are; None where there is none."""
    by_operator: dict[str, list[Refusal]] = {}
    for refusal in refusals:
        by_operator.setdefault(refusal.node.operator, []).append(refusal)
    words = (f"{first.sentence}{f' ({len(more)} more)' if more else ''}" for first, *more in by_operator.values())
    return ". ".join(words) or None


@cache
def operator_list(name: str) -> OperatorList:
    """One of the lists in `operators/` by its file's name, such as `gpu_delegate`."""
    return OperatorList(**tomllib.loads((LISTS / f"{name}.toml").read_text(encoding="utf-8")))


@cache
def _fixes() -> dict[str, str]:
    return tomllib.loads((LISTS / "fixes.toml").read_text(encoding="utf-8"))["fixes"]


def _exceeds(figure: int, most: int | None) -> bool:
    return most is not None and figure > most
