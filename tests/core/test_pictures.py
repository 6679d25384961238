import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.text import Text

from pocketzoo.core import pictures
from pocketzoo.core.pictures import fonts_for, save_figure, use_fonts
from pocketzoo.core.point_labels import label_points


def texts_of(figure):
    figure.draw_without_rendering()
    return {text.get_text() for text in figure.findobj(Text)}


@pytest.fixture
def no_other_fonts(monkeypatch):
    """A machine on which no font but matplotlib's own is installed."""
    monkeypatch.setattr(pictures, "_installed_fonts", dict)
    monkeypatch.setattr(pictures, "_numbers", {})


@pytest.mark.filterwarnings("error")  # matplotlib warns of each box that it draws
@pytest.mark.parametrize("labels", [["cat", "\u043a\u043e\u0442"], ["\u0642\u0637\u0629", "\u05d7\u05ea\u05d5\u05dc"]])
def test_scripts_of_the_default_font_are_drawn_as_they_are(labels, no_other_fonts, tmp_path, capsys):
    figure = Figure()
    figure.subplots().set_xticks(range(2), labels)
    save_figure(figure, tmp_path / "a.png")
    assert {*labels} <= texts_of(figure)
    assert capsys.readouterr().err == ""


@pytest.mark.filterwarnings("error")
def test_letters_without_a_font_become_numbers_that_are_explained(no_other_fonts, tmp_path, capsys):
    figure = Figure()
    axes = figure.subplots()
    axes.set_yticks(range(3), ["\u732b", "dog", "\u0915\u0941"])
    axes.set_title("photo.png\n\u732b")
    save_figure(figure, tmp_path / "a.png")
    shown = texts_of(figure)
    assert {"dog", "[1]", "[2]"} <= shown
    assert "photo.png\n[1]" in shown or "photo.png\n[2]" in shown
    error = capsys.readouterr().err
    assert "for \u732b" in error
    assert "apt install fonts-noto-cjk fonts-noto-core" in error
    again = Figure()
    again.subplots().set_title("\u732b")
    use_fonts(again)  # which has the same number
    assert capsys.readouterr().err == ""


def test_an_installed_font_with_the_letters_is_used(monkeypatch, tmp_path):
    from matplotlib import font_manager

    files = {"Other": "other.ttf", "Most": "most.ttf", "Bare": "bare.ttf"}
    has = {"other.ttf": {"\u732b"}, "most.ttf": {"\u732b", "\u72d7"}, "bare.ttf": set()}
    default = str(font_manager.findfont(pictures.DEFAULT))
    own = pictures._letters(default)
    monkeypatch.setattr(pictures, "_installed_fonts", lambda: dict(files))
    monkeypatch.setattr(pictures, "_letters", lambda file: own if file == default else frozenset(has[file]))
    assert fonts_for(["a\u732b", "\u72d7 "]) == ([pictures.DEFAULT, "Most"], set())
    assert fonts_for(["\u0915"]) == ([pictures.DEFAULT], {"\u0915"})
    assert fonts_for(["plain\u200d\n"]) == ([pictures.DEFAULT], set())


@settings(max_examples=15)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=8, unique=True))
def test_names_of_points_do_not_overlap(points):
    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(-0.5, 1.5), ylim=(-0.5, 1.5))
    label_points(axes, {f"model number {number}": point for number, point in enumerate(points)})
    boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
    assert len(boxes) == len(points)
    for number, box in enumerate(boxes):
        for other in boxes[:number]:
            width = min(box.x1, other.x1) - max(box.x0, other.x0)
            height = min(box.y1, other.y1) - max(box.y0, other.y0)
            assert width < 1 or height < 1


def test_points_that_are_not_finite_have_no_name():
    figure = Figure()
    axes = figure.subplots()
    label_points(axes, {"a": (0.5, np.nan), "b $x$": (0.5, 0.5)})
    assert [text.get_text() for text in axes.texts] == ["b $x$"]
