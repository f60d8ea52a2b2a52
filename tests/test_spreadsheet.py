import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laya_jax.spreadsheet import harmless, write_rows

FORMULAS = (
    "=cmd|' /C calc'!A0",
    "+1",
    "-x",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    " =1",
    "\u200b=1",
    "\ufeff@x",
    "\uff1d1+1",
)


def written(header, rows):
    file = io.StringIO(newline="")
    write_rows(file, header, rows)
    return file.getvalue()


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_becomes_text(text):
    (_, row) = csv.reader(io.StringIO(written(["id"], [[text]]), newline=""))
    assert row == [f"'{text}"]


@pytest.mark.parametrize("text", ["cat", "a=1", "x-y", "café", "日本", "", "😀", "a 'quoted' name", "1e5"])
def test_other_texts_stay_as_they_are(text):
    assert harmless(text) == text


@given(st.text())
def test_one_apostrophe_less_is_the_text_again(text):
    assert harmless(text).removeprefix("'") == text


@given(st.lists(st.text(), min_size=2, max_size=2, unique=True))
def test_different_texts_stay_different(texts):
    assert harmless(texts[0]) != harmless(texts[1])


def test_numbers_stay_numbers_and_texts_are_quoted():
    # Where semicolons separate columns, an unquoted "a;=1" would be two cells, and the second one a formula.
    assert written(["id", "share"], iter([["a;=1", -0.5], ["b", True]])) == (
        '"id","share"\r\n"a;=1",-0.5\r\n"b",True\r\n'
    )
