import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from pocketzoo.core.safe_console import SafeConsole
from pocketzoo.core.visible_text import visible, visible_line

pytestmark = pytest.mark.fast

HOSTILE = {
    "\x1b]0;title\x07": r"\x1b]0;title\x07",
    "\x9b2J": r"\x9b2J",
    "a\rb\x08c\x7f": r"a\x0db\x08c\x7f",
    "gpj.\u202egnp": r"gpj.\u202egnp",
    "zero\u200bwidth\ufeff": r"zero\u200bwidth\ufeff",
    "line\u2028end\x85": r"line\u2028end\x85",
    "\ud800 \udc9b \U000e0041": r"\ud800 \x9b \U000e0041",
}
LETTERS = (
    "café",
    "cafe\u0301",
    "猫",
    "บ้าน",
    "שָׁלוֹם",
    "عربي",
    "🐈",
    "ÅÖ\u00a0x",
    "a\tb\nc",
    "\udce9 of a file name",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_control_and_hidden_characters_are_shown_as_escapes(text):
    assert visible(text) == visible_line(text) == HOSTILE[text]


@pytest.mark.parametrize("text", LETTERS)
def test_letters_of_every_script_stay(text):
    assert visible(text) == text
    assert visible_line("a\tb\nc") == r"a\tb\nc"


@given(st.text(st.characters(exclude_categories=[])))
def test_no_text_controls_a_terminal(text):
    shown = visible_line(text)
    assert visible_line(shown) == shown
    kinds = {unicodedata.category(letter) for letter in shown if not "\udca0" <= letter <= "\udcff"}
    assert kinds.isdisjoint({"Cc", "Cs", "Zl", "Zp"})
    assert not {unicodedata.bidirectional(letter) for letter in shown} & {
        "LRE",
        "RLE",
        "LRO",
        "RLO",
        "PDF",
        "LRI",
        "RLI",
    }


def test_console_prints_text_verbatim_and_on_one_line():
    file = io.StringIO()
    console = SafeConsole(file=file, width=80, force_terminal=True, color_system=None)
    table = Table("[/x]\x1b[2J", title="\x1b]0;title\x07")
    table.add_row(":cat: [red]a\nb[/red]")
    console.print(table)
    console.print("[/bold] \x1b[31mred")
    shown = file.getvalue()
    assert "\x1b" not in shown
    for text in (r"[/x]\x1b[2J", r"\x1b]0;title\x07", r":cat: [red]a\nb[/red]", r"[/bold] \x1b[31mred"):
        assert text in shown
