from dataclasses import dataclass, field, make_dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from support.small_net import small_net

from pocketzoo import export, training, zoo
from pocketzoo.core.short_repr import COLUMNS, LINES, ShortRepr, columns


@dataclass(frozen=True)
class Inner(ShortRepr):
    values: Any = None
    note: str = ""


class Record(ShortRepr, BaseModel):
    name: str
    counts: dict[str, int] = {}


def fits(text: str) -> bool:
    lines = text.split("\n")
    return len(lines) <= LINES and all(columns(line) <= COLUMNS for line in lines)


scalars = st.none() | st.booleans() | st.floats() | st.text(max_size=400) | st.integers(-(10**60), 10**60)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=60)
        | st.dictionaries(st.text(max_size=200), inner, max_size=40)
        | st.tuples(inner, inner)
        | st.builds(Inner, inner, st.text(max_size=300))
    ),
    max_leaves=20,
)


@settings(max_examples=40)
@given(st.lists(values, min_size=1, max_size=30))
def test_anything_fits_on_one_screen(items):
    kind = make_dataclass(
        "Result", [f"a_field_with_a_name_{number}" for number in range(len(items))], bases=(ShortRepr,)
    )
    assert fits(repr(kind(*items)))
    assert fits(repr(Inner(items, "x" * 1000)))


@pytest.mark.parametrize("text", ["\x1b[2J", "\u202egnp", "two\nlines"])
def test_text_cannot_control_the_terminal(text):
    shown = repr(Inner([text], text)) + repr(Record(name=text, counts={text: 1}))
    assert not {*text} & {"\x1b", "\u202e", "\n"} & {*shown}


def test_short_values_are_shown_whole():
    assert repr(Inner((1, 2), "ab")) == "Inner(values=(1, 2), note='ab')"
    assert repr(Record(name="n", counts={"a": 1})) == "Record(name='n', counts={'a': 1})"
    assert repr(Inner(np.zeros((3, 4), "float32"))) == "Inner(values=array(3x4 float32), note='')"


def test_long_lists_say_how_many_more_there_are():
    text = repr(Inner(tuple(f"class {number}" for number in range(1000))))
    assert "'class 0', 'class 1'" in text
    assert " more)" in text
    assert text.count("class") + int(text.partition("... ")[2].partition(" more")[0]) == 1000


@dataclass(frozen=True)
class Subclass(Inner):
    own: int = field(default=0)

    def __repr__(self) -> str:
        return "own"


def test_a_repr_of_its_own_stays():
    assert repr(Subclass()) == "own"


def test_data_results_recipes_and_cards_fit_on_one_screen():
    labels = [f"a long name of the class number {number}, \u732b" for number in range(100)]
    images = np.random.default_rng(0).integers(0, 256, (300, 8, 8, 1)).astype("uint8")
    data = training.from_arrays(images, np.arange(300) % 100, labels=labels)
    assert fits(repr(data))
    assert "images=" in repr(data.train)
    assert fits(repr(data.train))
    prediction = export.predict(small_net(classes=1000), images[:2, ::1].repeat(2, 1).repeat(2, 2))
    assert fits(repr(prediction))
    for recipe in (training.Recipe(), training.FineTuneRecipe()):
        assert fits(repr(recipe))
    assert all(fits(repr(zoo.model_card(name))) for name in zoo.list_models())
