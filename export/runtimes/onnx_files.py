"""What is read of an ONNX file before ONNX Runtime gets it: its loops, and the data that it keeps in other files.

The file is a protocol buffer, https://protobuf.dev/programming-guides/encoding; the numbers of the fields are those of
onnx.proto. The package `onnx` is not needed to run an artifact, so it is not used here.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from ...core.errors import InputError, shorten
from ...core.input_files import check_file
from ...core.limits import LOOP_ITERATIONS, MODEL_BYTES, MODEL_PARTS, NESTING

LOOPS = ("Loop", "Scan", "SequenceMap")
UNKNOWN = 2**63 - 1
"""Iterations of a loop whose number the file computes or leaves open."""
VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5
"""Types of a field in a protocol buffer."""

Message = dict[int, list[Any]]
"""Fields by number: an int, or the bytes of a text, of packed numbers or of another message."""


def check_onnx(path: Path, content: bytes) -> bool:
    """Check that the loops of an ONNX file end, and that its data lies in regular files of its own folder.

    Args:
        path: The file.
        content: Its content.

    Returns:
        Whether some of its data lies in other files.

    Raises:
        InputError: It is no protocol buffer, has too many operators or iterations, or its data lies elsewhere.
    """
    model = _Model(parse_message(memoryview(content)))
    MODEL_PARTS.check(model.size, "its graph, with the functions that it calls,")
    sizes = [_external_size(path.parent, location) for location in sorted(model.external)]
    MODEL_BYTES.check(len(content) + sum(sizes), "it, with its data in other files,")
    return bool(sizes)


class _Model:
    """The graphs of a model, each looked at once."""

    def __init__(self, model: Message) -> None:
        self.external = set[str]()
        """Names of the files with data."""
        functions = map(parse_message, model[25])
        self._functions = {(text_of(function, 10), text_of(function, 1)): function for function in functions}
        self._function_sizes = dict[tuple[str, str], int]()
        self.size = sum(self._graph_size(graph, {}, 1, 1) for graph in map(parse_message, model[7]))
        """Number of nodes, with those of each function for each of its calls."""

    def _graph_size(self, graph: Message, outer: dict[str, int], times: int, depth: int) -> int:
        """Count the nodes of a graph that is run so many `times`; `outer` are the integers that it can refer to."""
        NESTING.check(depth, "its graph")
        integers = dict(outer)
        for tensor in map(parse_message, graph[5]):
            integers |= self._integer(text_of(tensor, 8), tensor)
        for sparse in map(parse_message, graph[15]):
            self._look_at_sparse(sparse)
        return sum(self._node_size(node, integers, times, depth) for node in map(parse_message, graph[1]))

    def _node_size(self, node: Message, integers: dict[str, int], times: int, depth: int) -> int:
        kind, attributes = text_of(node, 4), list(map(parse_message, node[5]))
        for attribute in attributes:
            for tensor in map(parse_message, attribute[5] + attribute[10]):
                integers |= self._integer(_first_text(node, 2), tensor)
            for sparse in map(parse_message, attribute[22] + attribute[23]):
                self._look_at_sparse(sparse)
        if kind in LOOPS:
            stated = integers.get(_first_text(node, 1), UNKNOWN) if kind == "Loop" else UNKNOWN
            bodies = (graph for attribute in attributes for graph in map(parse_message, attribute[6]))
            if stated == UNKNOWN and any(map(_ends_itself, bodies)):
                stated = 1  # a while loop, whose time the trial run limits
            times = min(UNKNOWN, times * max(1, stated))
            if times > LOOP_ITERATIONS.value:
                raise LOOP_ITERATIONS.refusal(
                    f"its {kind} {shorten(text_of(node, 3))!r} has up to {times:,} iterations"
                )
        inner = (graph for attribute in attributes for graph in map(parse_message, attribute[6] + attribute[11]))
        function = text_of(node, 7), kind
        called = self._function_size(function, depth) if function in self._functions else 0
        return 1 + called + sum(self._graph_size(graph, integers, times, depth + 1) for graph in inner)

    def _function_size(self, name: tuple[str, str], depth: int) -> int:
        """Count the nodes of a function; a loop in it counts as endless, as the function may be called in a loop."""
        NESTING.check(depth, "its graph")
        if name not in self._function_sizes:
            self._function_sizes[name] = MODEL_PARTS.value + 1  # where it calls itself
            nodes = map(parse_message, self._functions[name][7])
            self._function_sizes[name] = sum(self._node_size(node, {}, UNKNOWN, depth + 1) for node in nodes)
        return self._function_sizes[name]

    def _integer(self, name: str, tensor: Message) -> dict[str, int]:
        """Look at a tensor; return its value by its name if it is a single int64."""
        self._look_at(tensor)
        values = [number for part in tensor[7] for number in ([part] if isinstance(part, int) else varints(part))]
        if [len(raw) for raw in tensor[9]] == [8]:
            values = [int.from_bytes(tensor[9][0], "little", signed=True)]
        return {name: values[0]} if len(values) == 1 and 7 in tensor[2] else {}

    def _look_at_sparse(self, sparse: Message) -> None:
        for tensor in map(parse_message, sparse[1] + sparse[2]):
            self._look_at(tensor)

    def _look_at(self, tensor: Message) -> None:
        if tensor[13] or 1 in tensor[14]:
            entries = {text_of(entry, 1): text_of(entry, 2) for entry in map(parse_message, tensor[13])}
            self.external.add(entries.get("location", ""))


def _ends_itself(body: Message) -> bool:
    """Return whether the body of a loop computes the condition on which it goes on, its first output."""
    made = {_bytes(output): node for node in map(parse_message, body[1]) for output in node[2]}
    condition = next((_bytes(name) for output in body[12] for name in parse_message(output)[1]), b"")
    for _ in range(len(made)):
        node = made.get(condition)
        if node is None or text_of(node, 4) == "Constant":
            return False  # it has the same value in every iteration
        if text_of(node, 4) != "Identity":
            return True
        condition = next(map(_bytes, node[1]), b"")
    return False


def _external_size(folder: Path, location: str) -> int:
    """Return the size in bytes of a file with data; it must lie in the folder of the model."""
    parts = PurePosixPath(location).parts
    is_absolute = PurePosixPath(location).is_absolute() or PureWindowsPath(location).anchor
    if not parts or is_absolute or ".." in parts or "\0" in location:
        raise InputError(f"its data lies in {shorten(location)!r}, which is not in its own folder.")
    file = folder / location
    if not file.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"its data lies in {shorten(location)!r}, a link to outside of its own folder.")
    return check_file(file, MODEL_BYTES).stat().st_size


def parse_message(message: Any) -> Message:
    """Return the fields of a message by number."""
    if isinstance(message, int):
        raise InputError("it is damaged: it has a number in place of a message.")
    fields, position, end = defaultdict[int, list[Any]](list), 0, len(message)
    while position < end:
        key, position = _varint(message, position)
        number, kind = key >> 3, key & 7
        if not 0 < number < 2**29:
            raise InputError("it is damaged: it has a field of an impossible number.")
        if kind == VARINT:
            value, position = _varint(message, position)
        else:
            sizes = {EIGHT_BYTES: 8, FOUR_BYTES: 4}
            size = sizes.get(kind, 0)
            if kind == LENGTH:
                size, position = _varint(message, position)
            elif kind not in sizes:
                raise InputError("it is damaged: it has a field of an unknown type.")
            if position + size > end:
                raise InputError("it is damaged or has been truncated.")
            value, position = message[position : position + size], position + size
        fields[number].append(value)
    return fields


def _varint(message: Any, position: int) -> tuple[int, int]:
    """Return the number at a position, seven bits a byte, the lowest first, as signed 64 bits; and where it ends."""
    number = shift = 0
    while True:
        if position == len(message) or shift > 63:
            raise InputError("it is damaged or has been truncated.")
        byte = message[position]
        number |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return (number & 2**64 - 1 ^ 2**63) - 2**63, position


def varints(packed: Any) -> Iterator[int]:
    """Yield the numbers of a packed field."""
    position = 0
    while position < len(packed):
        number, position = _varint(packed, position)
        yield number


def text_of(message: Message, number: int) -> str:
    """Return the text of a field, the last one if a file has it twice; empty if there is none."""
    return _bytes(message[number][-1]).decode("utf-8", "replace") if message[number] else ""


def _first_text(message: Message, number: int) -> str:
    """Return the first of the texts of a repeated field; empty if there is none."""
    return _bytes(message[number][0]).decode("utf-8", "replace") if message[number] else ""


def _bytes(value: Any) -> bytes:
    return b"" if isinstance(value, int) else bytes(value)
