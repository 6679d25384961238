import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketzoo.core.csv_tables import text_cell, write_csv

pytestmark = pytest.mark.fast


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1"])
def test_text_that_a_spreadsheet_would_compute_begins_with_an_apostrophe(text):
    assert text_cell(text).startswith("'")
    assert text_cell(text)[1:].endswith(text[1:])


@pytest.mark.parametrize("separator", [";", "\t", "\n"])
def test_text_after_another_separator_begins_with_an_apostrophe_too(separator):
    assert text_cell(f"cat{separator}=1+1{separator}dog") == f"cat{separator}'=1+1{separator}dog"


@pytest.mark.parametrize(
    "text", ["", "-1", "+2.5", "-1e-5", "cat", "a=b", "photo-1.png", "'quoted'", "two\nlines", "cat; dog"]
)
def test_numbers_and_other_text_stay(text):
    assert text_cell(text) == text


@given(st.lists(st.tuples(st.text("ab,\"'\n =-;é"), st.floats(allow_nan=False), st.integers()), min_size=1))
def test_rows_are_read_again_as_they_were_written(rows):
    file = io.StringIO()
    write_csv(file, rows)
    for (text, value, count), (cell, number, whole) in zip(csv.reader(io.StringIO(file.getvalue())), rows, strict=True):
        assert (text, float(value), int(count)) == (text_cell(cell), number, whole)
