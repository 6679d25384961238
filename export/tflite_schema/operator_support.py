"""Which operators a runtime supports: lists as data in `operator_lists/`, each with its source. No TensorFlow."""

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from math import prod
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from .nodes import Node, tflite_nodes

LISTS = Path(__file__).parent / "operator_lists"
UNKNOWN_FIX = "another layer; no replacement is known"


class Rule(BaseModel):
    """Conditions under which an operator is supported; None and True where there is no restriction."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_version: int | None = None
    max_inputs: int | None = None
    max_pixels: int | None = None
    """Product of all axes of the output except the last."""
    max_channels: int | None = None
    """Last axis of the output."""
    fused_activation: bool = True
    """Whether an activation may be fused into it."""
    grouped: bool = True
    """Whether a convolution may be grouped."""
    may_end: bool = False
    """Whether the CPU may run it as the last operator of a model, after which nothing returns to the accelerator."""
    integers: bool = True
    """Whether TFLite's converter can quantize it; it crashes on some."""
    int16: bool = True
    """Whether it computes with 16-bit activations."""
    added_by: str | None = None
    """Method of TensorFlow Lite Micro's `MicroMutableOpResolver` that registers it."""

    def objection(self, node: Node) -> str | None:
        """Why `node` is not supported; None if it is."""
        *sides, channels = node.output or (1,)
        pixels = prod(sides)
        objections = {
            f"version {node.version}, at most {self.max_version} is supported": _exceeds(
                node.version, self.max_version
            ),
            f"{len(node.inputs)} inputs, {self.max_inputs} at most": _exceeds(len(node.inputs), self.max_inputs),
            f"{pixels} pixels, {self.max_pixels} at most": _exceeds(pixels, self.max_pixels),
            f"{channels} channels, {self.max_channels} at most": _exceeds(channels, self.max_channels),
            "with a fused activation": node.fused_activation and not self.fused_activation,
            "TFLite's converter crashes when it quantizes it": not self.integers,
            "grouped": node.grouped and not self.grouped,
            "no kernel for 16-bit activations": node.is_16_bit and not self.int16,
        }
        return next((reason for reason, applies in objections.items() if applies), None)


class OperatorList(BaseModel):
    """The operators that one runtime supports."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    runtime: str
    source: str
    """Where the list is published."""
    as_of: date
    max_rank: int | None = None
    """Largest number of axes of any tensor."""
    operators: dict[str, Rule]
    """By name, such as `CONV_2D`."""

    def refused(self, content: bytes) -> "Iterator[Refusal]":
        """The unsupported operators of a TFLite file in execution order, except one at the end that the CPU may run."""
        nodes = list(tflite_nodes(content))
        for node in nodes:
            reason = self._objection(node)
            if reason and node not in self._last_on_cpu(nodes):
                yield Refusal(node, reason)

    def left_to_processor(self, content: bytes) -> list[Node]:
        """The last operator, where it is not supported but the CPU may run it; else empty."""
        return self._last_on_cpu(list(tflite_nodes(content)))

    def _last_on_cpu(self, nodes: Sequence[Node]) -> list[Node]:
        rule = self.operators.get(nodes[-1].operator)
        return [nodes[-1]] if rule and rule.may_end and self._objection(nodes[-1]) else []

    def _objection(self, node: Node) -> str | None:
        if node.operator not in self.operators:
            return "not supported there"
        rank = max(map(len, (*node.inputs, node.output)))
        if _exceeds(rank, self.max_rank):
            return f"tensors of {rank} axes, {self.max_rank} at most"
        return self.operators[node.operator].objection(node)


@dataclass(frozen=True)
class Refusal:
    """An operator that a runtime does not support."""

    node: Node
    reason: str

    @property
    def fix(self) -> str:
        """The suggested replacement."""
        return _fixes().get(self.node.operator, UNKNOWN_FIX)

    @property
    def sentence(self) -> str:
        """Location, reason and fix, such as `GELU (stem_act): not supported there; instead: activation='relu'`."""
        return f"{self.node.location}: {self.reason}; instead: {self.fix}"


def summarize(refusals: Iterable[Refusal]) -> str | None:
    """Describe the first refusal of each operator and count the others; None where there are none."""
    by_operator: dict[str, list[Refusal]] = {}
    for refusal in refusals:
        by_operator.setdefault(refusal.node.operator, []).append(refusal)
    words = (f"{first.sentence}{f' ({len(more)} more)' if more else ''}" for first, *more in by_operator.values())
    return ". ".join(words) or None


@cache
def operator_list(name: str) -> OperatorList:
    """Load a list from `operator_lists/` by its file name, such as `gpu_delegate`."""
    return OperatorList(**tomllib.loads((LISTS / f"{name}.toml").read_text(encoding="utf-8")))


@cache
def _fixes() -> dict[str, str]:
    return tomllib.loads((LISTS / "fixes.toml").read_text(encoding="utf-8"))["fixes"]


def _exceeds(value: int, limit: int | None) -> bool:
    return limit is not None and value > limit
