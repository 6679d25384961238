"""Patches of what the whole process shares, in force for one thread at a time and restored when their block ends.

Attributes of other packages' modules and classes, and environment variables, are replaced here and nowhere else; file
descriptors in `output_capture`, under the same lock.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, RLock, get_ident
from typing import Any

PROCESS_STATE = RLock()
"""Held while a thread begins or ends to patch, and never in between: a block may convert a model for minutes."""

DEEPEST_GRAPH = 4000
"""Nested calls that are allowed, which need a few of the 8 MiB of a thread's stack; Python's own limit is 1000."""


def allow_deep_graphs() -> None:
    """Let Keras follow graphs of thousands of layers in a row, which it does by one nested call per layer.

    The limit stays raised: when a block ended, another thread might be deep in a graph.
    """
    with PROCESS_STATE:
        sys.setrecursionlimit(max(sys.getrecursionlimit(), DEEPEST_GRAPH))


class _Owner:
    """The thread whose patches are in force; its blocks nest, and blocks of other threads wait until they have ended.

    Two threads that trace or convert at the same time would otherwise get each other's patches.
    """

    def __init__(self) -> None:
        self._released = Condition(PROCESS_STATE)
        self._thread: int | None = None
        self._blocks = 0

    @contextmanager
    def block(self) -> Iterator[None]:
        """Wait until no other thread has patches in force, and keep other threads from patching."""
        thread = get_ident()
        with self._released:
            self._released.wait_for(lambda: self._thread in (None, thread))
            self._thread = thread
            self._blocks += 1
        try:
            yield
        finally:
            with self._released:
                self._blocks -= 1
                if not self._blocks:
                    self._thread = None
                    self._released.notify_all()


_owner = _Owner()


@contextmanager
def replace_attribute(owner: object, name: str, replacement: Any) -> Iterator[None]:
    """Replace an attribute of a module, a class or an object during the block.

    Raises:
        AttributeError: `owner` has no such attribute.
    """
    with _owner.block():
        getattr(owner, name)
        own = vars(owner)
        is_own, original = name in own, own.get(name)  # not getattr, which would bind a method
        setattr(owner, name, replacement)
        try:
            yield
        finally:
            if is_own:
                setattr(owner, name, original)
            else:
                delattr(owner, name)


@contextmanager
def set_environment(**variables: str) -> Iterator[None]:
    """Set environment variables during the block."""
    with _owner.block():
        originals = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)
        try:
            yield
        finally:
            for name, original in originals.items():
                if original is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = original
