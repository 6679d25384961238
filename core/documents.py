"""YAML and JSON of a user or a stranger as plain values: nothing is executed, and no text causes much work."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import yaml
from yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, ScalarEvent
from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode

from .errors import InputError, first_line, shorten
from .input_files import read_file
from .limits import NESTING, NUMBER_DIGITS, TEXT_BYTES, YAML_VALUES

TAG = "tag:yaml.org,2002:"
UNUSED = (f"{TAG}timestamp", f"{TAG}value")
"""Types of plain text in YAML that no field has: a date stays text."""


def read_yaml(path: str | Path, kind: str = "") -> Any:
    """Return the content of a YAML file.

    Args:
        path: The file.
        kind: What it should be, such as "a recipe", for error messages.

    Raises:
        InputError: There is no such file, or its text is refused by `parse_yaml`.
    """
    return _read(path, kind, parse_yaml)


def read_json(path: str | Path, kind: str = "") -> Any:
    """Return the content of a JSON file; arguments and errors as in `read_yaml`."""
    return _read(path, kind, parse_json)


def _read(path: str | Path, kind: str, parse: Callable[[bytes], Any]) -> Any:
    content = read_file(path, TEXT_BYTES, kind)
    try:
        return parse(content)
    except InputError as error:
        raise InputError(f"{path} cannot be read{kind and f' as {kind}'}: {error}") from error


def parse_yaml(text: str | bytes) -> Any:
    """Return the value of a YAML document: None, bool, int, float, str, list or dict, or these in each other.

    Raises:
        InputError: It is no YAML, has a key twice, has a value of another type, such as `!!python/object`, is nested
            too deeply, or its aliases stand for too many values.
    """
    try:
        _check_size(text)
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check_keys(node)
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if (mark := error.problem_mark) else ""
        raise InputError(f"{error.problem or error.context}{place}.") from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise InputError(f"{first_line(error)}.") from error


def _check_size(text: str | bytes) -> None:
    """Count levels and values before the tree is built, which recurses, with each alias for all that it stands for."""
    total, depth, begun = 0, 0, list[tuple[str, int]]()
    sizes = dict[str, int]()
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, ScalarEvent | CollectionStartEvent) and event.anchor in sizes:
            _refuse(f"the anchor &{shorten(event.anchor)} is there twice", event)
        if isinstance(event, AliasEvent):
            if event.anchor not in sizes and event.anchor in [anchor for anchor, _ in begun]:
                _refuse(f"the alias *{shorten(event.anchor)} is inside of what it stands for", event)
            total += sizes.get(event.anchor, 1)  # an unknown one is an error of the parser
        elif isinstance(event, CollectionStartEvent):
            begun.append((event.anchor, total))
            depth, total = depth + 1, total + 1
            NESTING.check(depth, "it")
        elif isinstance(event, CollectionEndEvent):
            depth, (anchor, before) = depth - 1, begun.pop()
            sizes |= {anchor: total - before} if anchor else {}
        elif isinstance(event, ScalarEvent):
            total += 1
            sizes |= {event.anchor: 1} if event.anchor else {}
        YAML_VALUES.check(total, "it")


def _check_keys(root: Node) -> None:
    """Refuse a key that a mapping has twice, of which YAML would take the last."""
    waiting, seen = [root], set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) in seen or not isinstance(node, CollectionNode):
            continue
        seen.add(id(node))
        if not isinstance(node, MappingNode):
            waiting += node.value
            continue
        keys = set[tuple[str, str]]()
        for key, value in node.value:
            waiting += (key, value)
            if isinstance(key, ScalarNode):
                if (key.tag, key.value) in keys:
                    _refuse(f"the key {shorten(key.value)!r} is there twice", key)
                keys.add((key.tag, key.value))


def _construct_scalar(loader: Any, node: Node) -> Any:
    """Return None, a bool or a number."""
    text = str(loader.construct_scalar(node))
    if node.tag in (f"{TAG}int", f"{TAG}float"):
        NUMBER_DIGITS.check(len(text), "a number in it")
    try:
        return yaml.SafeLoader.yaml_constructors[node.tag](loader, node)
    except (ValueError, LookupError, OverflowError):
        _refuse(f"{shorten(text)!r} is no {node.tag.removeprefix(TAG)}", node)


def _construct_other(_: Any, node: Node) -> NoReturn:
    _refuse(
        f"a value has the type {shorten(node.tag.replace(TAG, '!!'))}, which is not read; nothing was executed", node
    )


def _refuse(problem: str, where: Any) -> NoReturn:
    raise yaml.MarkedYAMLError(problem=problem, problem_mark=where.start_mark)


class _Loader(yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):  # type: ignore[misc]
    """Reads the types that JSON has; PyYAML looks up what constructs a value by its tag."""

    yaml_implicit_resolvers: ClassVar = {
        start: [(tag, form) for tag, form in resolvers if tag not in UNUSED]
        for start, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    yaml_constructors: ClassVar = (
        {f"{TAG}{name}": yaml.SafeLoader.yaml_constructors[f"{TAG}{name}"] for name in ("str", "seq", "map")}
        | {f"{TAG}{name}": _construct_scalar for name in ("null", "bool", "int", "float")}
        | {None: _construct_other}
    )


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON document.

    Raises:
        InputError: It is no JSON, is nested too deeply, or has a number of too many digits.
    """
    try:
        value = json.loads(text, parse_int=_parse_int)
    except RecursionError as error:
        raise NESTING.refusal("it has more levels than can be read") from error
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{first_line(error)}.") from error
    NESTING.check(_depth(value), "it")
    return value


def _parse_int(digits: str) -> int:
    NUMBER_DIGITS.check(len(digits), "a number in it")
    return int(digits)


def _depth(value: Any) -> int:
    """Return the number of levels of lists and dicts."""
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [inner for item in level for inner in (item.values() if isinstance(item, dict) else item)]
    return depth
