"""Patches of the process: restored after an exception, and never in force for two threads at once."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from types import SimpleNamespace

import keras
import pytest

from pocketzoo.core.output_capture import suppress_output
from pocketzoo.core.process_patches import allow_deep_graphs, replace_attribute, set_environment

pytestmark = pytest.mark.fast

VARIABLE = "POCKETZOO_TEST_OF_PATCHES"


class Base:
    def method(self) -> str:
        return "original"

    @staticmethod
    def static() -> str:
        return "original"


class Derived(Base):
    pass


def fail_inside(patch) -> None:
    with patch:
        raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["method", "static"])
@pytest.mark.parametrize("owner", [Base, Derived])
def test_attribute_is_restored_after_an_exception(owner, name):
    before = dict(vars(owner))
    with replace_attribute(owner, name, "replacement"):
        assert getattr(owner(), name) == "replacement"
    with pytest.raises(KeyboardInterrupt):
        fail_inside(replace_attribute(owner, name, None))
    assert dict(vars(owner)) == before
    assert getattr(owner(), name)() == "original"


def test_attribute_that_is_not_there_is_an_error():
    with pytest.raises(AttributeError, match="tf"):
        replace_attribute(SimpleNamespace(), "tf", None).__enter__()
    with replace_attribute(Base, "method", None):  # and keeps no other patch from being made
        pass


def test_environment_is_restored_after_an_exception(monkeypatch):
    for before in ("before", None):
        if before is None:
            monkeypatch.delenv(VARIABLE)
        else:
            monkeypatch.setenv(VARIABLE, before)
        with set_environment(**{VARIABLE: "during"}):
            assert os.environ[VARIABLE] == "during"
        with pytest.raises(KeyboardInterrupt):
            fail_inside(set_environment(**{VARIABLE: "during"}))
        assert os.environ.get(VARIABLE) == before


def test_patches_of_one_thread_nest():
    owner = SimpleNamespace(value=0)
    with replace_attribute(owner, "value", 1), replace_attribute(owner, "value", 2):
        assert owner.value == 2
    assert owner.value == 0


def test_patches_of_another_thread_wait():
    owner = SimpleNamespace(value=0)
    first_is_in, second_is_in = Event(), Event()
    seen = []

    def patch_first() -> None:
        with replace_attribute(owner, "value", 1):
            first_is_in.set()
            assert not second_is_in.wait(0.2)
            seen.append(owner.value)

    def patch_second() -> None:
        first_is_in.wait(10)
        with replace_attribute(owner, "value", 2):
            second_is_in.set()
            seen.append(owner.value)

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(patch_first), pool.submit(patch_second)]:
            future.result(timeout=10)
    assert seen == [1, 2]
    assert owner.value == 0


def test_many_threads_never_see_the_patch_of_another():
    owner = SimpleNamespace(value=None)

    def patch_often(number: int) -> None:
        for _ in range(200):
            with replace_attribute(owner, "value", number), set_environment(**{VARIABLE: str(number)}):
                assert (owner.value, os.environ[VARIABLE]) == (number, str(number))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(patch_often, range(4)))
    assert owner.value is None
    assert VARIABLE not in os.environ


def test_output_is_suppressed_while_another_thread_has_a_patch():
    """An artifact is opened in one thread while another converts, for minutes, with patches in force."""
    owner, both_in = SimpleNamespace(value=0), Barrier(2, timeout=10)

    def convert() -> None:
        with replace_attribute(owner, "value", 1):
            both_in.wait()

    def open_artifact() -> None:
        with suppress_output():
            both_in.wait()

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(convert), pool.submit(open_artifact)]:
            future.result(timeout=10)


def test_graph_of_more_layers_than_python_nests_calls_is_followed():
    image = keras.Input((1,))
    x = image
    for _ in range(1000):
        x = keras.layers.Identity()(x)
    before = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(1000)
        with pytest.raises(RecursionError):
            keras.Model(image, x)
        allow_deep_graphs()
        assert len(keras.Model(image, x).layers) == 1001
    finally:
        sys.setrecursionlimit(before)
