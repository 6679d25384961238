"""What an ONNX file of another tool says of itself. The package `onnx` is not needed."""

from collections import Counter
from collections.abc import Mapping
from math import prod
from typing import Any

from ..artifact.file_facts import MOST_AXES, MOST_PASSED, Activation, FileFacts
from .onnx_files import Message, parse_message, text_of, varints

ACTIVATIONS: Mapping[str, Activation] = {
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
    "Sigmoid": "sigmoid",
    "Gemm": "linear",
    "MatMul": "linear",
    "Conv": "linear",
    "Add": "linear",
}
SAME_VALUES = ("Identity", "Cast", "QuantizeLinear", "DequantizeLinear")
"""Operators that leave what an output means as it is."""
SAME_CHANNELS = ("Squeeze", "Flatten", "Reshape")
"""Operators that leave it too, unless it is a softmax, whose axis they move."""
FLATTENED_BEFORE = 13
"""Version of the standard operators before which a softmax is over its axis and all that follow, by default from 1."""


def onnx_facts(content: bytes) -> FileFacts:
    """Read what an ONNX file says of itself."""
    model = parse_message(memoryview(content))
    graph = parse_message(model[7][-1]) if model[7] else parse_message(b"")
    nodes = [parse_message(node) for node in graph[1]]
    imports = map(parse_message, model[8])
    versions = {text_of(entry, 1) or "ai.onnx": _number(entry, 2) for entry in imports}
    texts = [("domain", text_of(model, 4)), ("description", text_of(model, 6)), ("graph", text_of(graph, 2))]
    entries = [(text_of(entry, 1), text_of(entry, 2)) for entry in map(parse_message, model[14])]
    outputs = [text_of(parse_message(output), 1) for output in graph[12]]
    made = {_name(name): node for node in nodes for name in node[2]}
    found = {name: _activation(name, made, versions.get("ai.onnx", 0)) for name in outputs}
    return FileFacts(
        kind=f"ONNX, IR version {_number(model, 1)}",
        made_by=f"{text_of(model, 2)} {text_of(model, 3)}".strip(),
        versions=versions,
        operators=dict(sorted(Counter(_operator(node, versions) for node in nodes).items())),
        weights=sum(_size(parse_message(tensor)) for tensor in graph[5]),
        properties={name: text for name, text in [*texts, *entries] if text},
        activations={name: each[0] for name, each in found.items() if each},
        softmax_axes={name: each[1] for name, each in found.items() if each},
    )


def _operator(node: Message, versions: Mapping[str, int]) -> str:
    """Return an operator with the version of its set, after its domain if it is not a standard one."""
    domain = text_of(node, 7)
    prefix = f"{domain}." if domain not in ("", "ai.onnx") else ""
    return f"{prefix}{text_of(node, 4)} {versions.get(domain or 'ai.onnx', '?')}"


def _activation(output: str, made: Mapping[str, Message], version: int) -> tuple[Activation, int] | None:
    """Return what computes an output, and the axis of a softmax; None if that is something else.

    Args:
        output: Name of the output.
        made: Node that computes each tensor.
        version: Of the standard operators.
    """
    moved = False
    for _ in range(MOST_PASSED):
        node = made.get(output)
        if node is None or text_of(node, 7) not in ("", "ai.onnx"):
            return None
        kind = text_of(node, 4)
        if kind not in SAME_VALUES + SAME_CHANNELS:
            activation = ACTIVATIONS.get(kind)
            is_softmax = activation in ("softmax", "log_softmax")
            axis = _axis(node, version) if is_softmax else -1
            return None if activation is None or (is_softmax and moved) else (activation, axis)
        moved = moved or kind in SAME_CHANNELS
        output = next(map(_name, node[1]), "")
    return None


def _name(value: Any) -> str:
    return "" if isinstance(value, int) else str(bytes(value), "utf-8", "replace")


def _axis(node: Message, version: int) -> int:
    attributes = {text_of(attribute, 1): attribute for attribute in map(parse_message, node[5])}
    default = 1 if version < FLATTENED_BEFORE else -1
    return _number(attributes["axis"], 3) if "axis" in attributes else default


def _size(tensor: Message) -> int:
    """Number of values of a stored tensor, by its shape; 0 for one of more axes than any tensor has."""
    sides = [side for part in tensor[1] for side in ([part] if isinstance(part, int) else varints(part))]
    return max(0, prod(sides)) if len(sides) <= MOST_AXES else 0


def _number(message: Message, field: int) -> int:
    value = message[field][-1] if message[field] else 0
    return value if isinstance(value, int) else 0
