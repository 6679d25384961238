"""The checks by private name."""

from collections.abc import Callable

CHECKS: dict[str, Callable[[], None]] = {}
"""By private name: a function that raises if it does not do what pocketzoo needs."""


def check_of(*names: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    def register(check: Callable[[], None]) -> Callable[[], None]:
        CHECKS.update(dict.fromkeys(names, check))
        return check

    return register
