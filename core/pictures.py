"""Writing figures of matplotlib, with fonts for the scripts of their texts."""

import os
import sys
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from .visible_text import visible_line

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

DEFAULT = "DejaVu Sans"
"""The font of matplotlib, which is part of it: Latin, Greek, Cyrillic, Arabic, Hebrew and others."""
UNUSABLE = ("Last Resort", "Color Emoji", "LastResort")
"""Parts of the names of fonts that draw boxes, or pictures in colors, which matplotlib cannot."""
PACKAGES = {
    "CJK": "fonts-noto-cjk",
    "HIRAGANA": "fonts-noto-cjk",
    "KATAKANA": "fonts-noto-cjk",
    "HANGUL": "fonts-noto-cjk",
}
"""Debian's package with the letters of a script, by the first word of their names in Unicode; `OTHER` for others."""
OTHER = "fonts-noto-core"
SHOWN = 20
"""Texts that a message lists."""
RESOLUTION = 110
"""Dots per inch."""

_numbers: dict[str, int] = {}
"""Lines of texts that cannot be drawn, with what stands for them."""


def save_figure(figure: "Figure", path: str | Path) -> None:
    """Write a figure as a PNG, in which every letter is drawn; lines with letters that no font has are numbers."""
    use_fonts(figure)
    figure.savefig(path, format="png", dpi=RESOLUTION)


def use_fonts(figure: "Figure") -> None:
    """Set fonts of this machine that have the letters of a figure's texts.

    Lines with letters that no font has become numbers, such as `[1]`; what they stand for is said on standard error.
    """
    from matplotlib.text import Text

    texts = [text for text in figure.findobj(Text) if text.get_text()]
    families, missing = fonts_for(text.get_text() for text in texts)
    before = len(_numbers)
    if len(families) > 1 or missing:
        for text in texts:
            text.set_fontfamily(families)
            text.set_text(_encoded(text.get_text(), missing))
        for axes in figure.axes:
            for axis in (axes.xaxis, axes.yaxis):
                _encode_ticks(axis, missing)
                axis.set_tick_params(labelfontfamily=families)
    new = [(line, number) for line, number in _numbers.items() if number > before]
    if new:
        print(_advice(new, sorted(missing)), file=sys.stderr)


def _encode_ticks(axis: "Axis", letters: Iterable[str]) -> None:
    """Let an axis write numbers in place of some letters: it makes the texts of its ticks anew whenever it is drawn."""
    from matplotlib.ticker import FuncFormatter

    formatter = axis.get_major_formatter()
    if letters and isinstance(formatter, FuncFormatter):  # that of ticks with names
        axis.set_major_formatter(FuncFormatter(lambda value, place: _encoded(formatter(value, place), letters)))


def _encoded(text: str, letters: Iterable[str]) -> str:
    """Return a text in which each line that has some letters is replaced by a number, the same in all pictures."""
    lines = text.split("\n")
    return "\n".join(f"[{_number(line)}]" if {*line} & {*letters} else line for line in lines)


def _number(line: str) -> int:
    return _numbers.setdefault(line, len(_numbers) + 1)


def fonts_for(texts: Iterable[str]) -> tuple[list[str], set[str]]:
    """Return the names of fonts that have the letters of texts, the default first, and the letters that none has."""
    needed = {letter for text in texts for letter in text if unicodedata.category(letter)[0] not in "CZ"}
    families, missing = [DEFAULT], needed - _letters(_default_file())
    if missing:
        fonts = _installed_fonts()
        while missing and fonts:
            best = max(fonts, key=lambda name: (len(missing & _letters(fonts[name])), "Sans" in name, name))
            found = missing & _letters(fonts.pop(best))
            if not found:
                break
            families.append(best)
            missing = missing - found
    return families, missing


def _default_file() -> str:
    from matplotlib import font_manager

    return str(font_manager.findfont(DEFAULT))


def _installed_fonts() -> dict[str, str]:
    """Return the file of each family in its regular style, also of fonts that were installed after matplotlib."""
    from matplotlib import font_manager

    known = {os.path.realpath(entry.fname) for entry in font_manager.fontManager.ttflist}
    for file in font_manager.findSystemFonts():
        if os.path.realpath(file) not in known:
            try:
                font_manager.fontManager.addfont(file)
            except Exception:
                continue
    regular = [
        entry
        for entry in font_manager.fontManager.ttflist
        if entry.style == "normal" and entry.weight in (400, "normal")
    ]
    return {entry.name: entry.fname for entry in regular if not any(part in entry.name for part in UNUSABLE)}


@lru_cache(maxsize=256)
def _letters(file: str) -> frozenset[str]:
    """The letters that a font has."""
    from matplotlib.font_manager import get_font

    try:
        return frozenset(map(chr, get_font(file).get_charmap()))
    except (OSError, RuntimeError):  # it is gone or damaged
        return frozenset()


def _advice(lines: list[tuple[str, int]], letters: list[str]) -> str:
    scripts = [unicodedata.name(letter, "").partition(" ")[0] for letter in letters]
    packages = sorted({PACKAGES.get(script, OTHER) for script in scripts})
    named = ", ".join(f"[{number}] for {line}" for line, number in lines[:SHOWN])
    more = f" and {len(lines) - SHOWN:,} more numbers" if len(lines) > SHOWN else ""
    return visible_line(
        f"No installed font has the letters of some texts, so pictures show {named}{more}; install a font that has "
        f"them, on Debian with: apt install {' '.join(packages)}"
    )
