import csv
import gzip
import sys

import pyarrow
import pytest
from pyarrow import parquet

from laya_jax.data.tables import read_table, text_files

NAMES = ("text", "label")


@pytest.fixture
def read(tmp_path):
    """Reads a table of this name and content; paths in its errors are names alone."""

    def read(name, content, names=NAMES):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        try:
            return read_table(path, names)
        except ValueError as error:
            raise ValueError(str(error).replace(f"{tmp_path}/", "")) from error

    return read


def rows_of(table):
    return list(zip(*(table.values[name] for name in NAMES), strict=True))


COMMAS = 'text,label\n"one, ""two""\nthree",a\nfour; five,b\n'
LINES = '{"text": "one, \\"two\\"\\nthree", "label": "a"}\n\n{"label": "b", "text": "four; five"}\n'
ROWS = [('one, "two"\nthree', "a"), ("four; five", "b")]


@pytest.mark.parametrize(
    ("name", "content", "places"),
    [
        ("t.csv", COMMAS, ["line 2", "line 4"]),
        ("t.CSV", "\ufeff" + COMMAS, ["line 2", "line 4"]),
        ("t.csv", COMMAS.replace("\n", "\r\n").replace('two""\r\n', 'two""\n'), ["line 2", "line 4"]),
        ("t.csv", 'text;label\n"one, ""two""\nthree";a\n\n"four; five";b\n', ["line 2", "line 5"]),
        ("t.csv", 'label;text\na;"one, ""two""\nthree"\nb;"four; five"', ["line 2", "line 4"]),
        ("t.tsv", 'text\tlabel\n"one, ""two""\nthree"\ta\nfour; five\tb\n', ["line 2", "line 4"]),
        ("t.csv", COMMAS.encode("utf-16"), ["line 2", "line 4"]),
        ("t.csv", ("\ufeff" + COMMAS).encode("utf-16-be"), ["line 2", "line 4"]),
        ("t.csv.gz", gzip.compress(COMMAS.encode(), mtime=0), ["line 2", "line 4"]),
        ("t.jsonl", LINES, ["line 1", "line 3"]),
        ("t.ndjson", LINES, ["line 1", "line 3"]),
        ("t.json", LINES, ["line 1", "line 3"]),
        ("a.b.JSONL.GZ", gzip.compress(LINES.encode(), mtime=0), ["line 1", "line 3"]),
        ("t.json", "[" + LINES.strip().replace("\n\n", ",\n") + "]", ["entry 1", "entry 2"]),
    ],
)
def test_every_kind_of_file_gives_the_same_rows(read, name, content, places):
    table = read(name, content)
    assert rows_of(table) == ROWS
    assert [table.place(row) for row in range(2)] == places
    assert table.unread == ()


def test_parquet_gives_the_same_rows(tmp_path):
    columns = {
        "id": [7, 8],
        **{name: list(column) for name, column in zip(NAMES, zip(*ROWS, strict=True), strict=True)},
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet", NAMES)
    assert rows_of(table) == ROWS
    assert (table.place(0), table.unread) == ("row 0", ("id",))


def test_columns_are_found_but_for_case_and_blanks_and_the_others_are_told(read):
    table = read("t.csv", "id,\u00a0Text , LABEL,text 2\n1,a,b,c\n")
    assert rows_of(table) == [("a", "b")]
    assert table.unread == ("id", "text 2")
    table = read("t.csv", "Text,text,label\nno,yes,b\n")
    assert rows_of(table) == [("yes", "b")]
    assert table.unread == ("Text",)
    assert read("t.jsonl", '{"Text": "a", "label": 1}\n{"text": "b", "x": 2}').unread == ("x",)


def test_a_column_that_is_not_there_is_told_with_those_that_are(read):
    table = read("t.csv", "review,stars\nfine,5\n")
    with pytest.raises(
        ValueError, match=r"t\.csv has the columns 'review', 'stars', expected 'text' \(set by data"
    ):
        table.column("text", "data.text_column")


def test_a_single_column_has_no_delimiter_to_guess(read):
    assert read("t.tsv", "text\nI liked it, a lot\n").values == {"text": ["I liked it, a lot"]}
    with pytest.raises(ValueError, match="line 2: number of fields is 2, expected 1"):
        read("t.csv", "text\nI liked it, a lot\n")


def test_long_fields_separators_of_lines_and_missing_values(read):
    long = "x" * 200_000
    assert read("t.csv", f"text,label\n{long},a\n").values["text"] == [long]
    assert read("t.csv", "text,label\n\u2028\x0b\x85,a\n").values["text"] == ["\u2028\x0b\x85"]
    assert read("t.csv", "text,label\rold,mac\r").values["text"] == ["old"]
    assert read("t.jsonl", '{"text": "a\u2028b", "label": null}\n{"text": "c"}').values["label"] == [
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "t.csv",
            "text,label\nfine,a\nI liked it, a lot,b\n",
            r"line 3: number of fields is 3, expected 2.*a comma",
        ),
        ("t.csv", "text;label\nfine;a\n\nshort\n", r"line 4: number of fields is 1, expected 2.*a semicolon"),
        ("t.tsv", "text\tlabel\na\tb\t\n", "line 2: number of fields is 3, expected 2.*a tab"),
        ("t.csv", "text,text,label\na,b,c\n", r"has 2 columns named 'text' \('text', 'text'\)"),
        ("t.csv", "Text,TEXT,label\na,b,c\n", r"has 2 columns named 'text' \('Text', 'TEXT'\)"),
        ("t.csv", 'text,label\nfine,a\n"open,b\nx,y\n', "line 3: unexpected end.*must be closed"),
        ("t.csv", 'text,label\n"a "good" film",b\n', "line 2: ',' expected after.*must be doubled"),
        ("t.csv", b"text,label\nfine,a\nsch\xf6n,b\n", "line 3: invalid.*expected UTF-8 .*'CSV UTF-8'"),
        ("t.csv", "text,label\nfine,a\n".encode("utf-16-le"), "line 1: NUL character"),
        ("t.csv", b"text,label\nfine,a\nx\0y,b\n", "line 3: NUL character"),
        ("t.csv", b"", r"t\.csv has no rows$"),
        ("t.csv", b"text,label\n", "has no rows after its header"),
        ("t.json", b"[]", "has no rows"),
        ("t.jsonl", b"\n\n", "has no rows"),
        ("t.jsonl", b'{"text": "a"}\n{"text"\n', r"line 2: Expecting ':' delimiter \(column"),
        (
            "t.jsonl",
            b'{"text": "a"}\n[1]\n',
            "line 2: expected an object with 'text'.*one list should be named .json",
        ),
        ("t.jsonl", b'"a"\n', "line 1: expected an object with 'text'$"),
        ("t.jsonl", b'\n{"text": "a", "text": "b"}', "line 2: an object has the field 'text' more than once"),
        ("t.jsonl", b"\n" + b"[" * 100_000, "line 2: it is nested too deeply"),
        ("t.json", b"[" * 100_000, r"t\.json: it is nested too deeply"),
        ("t.jsonl", b'{"text": "a", "label": ' + b"1" * 5000 + b"}", "line 1: a number has 5,000 digits"),
        ("t.jsonl", rb'{"text": "half \ud83d"}', r"line 1: 'text' has half of a surrogate pair, '\\ud83d'"),
        ("t.json", b'[{"text": "a"},\n {"text"]', r"t\.json: Expecting ':' delimiter \(line 2, column 9\)"),
        ("t.json", b'[{"text": "a"}, 3]', "entry 2: expected an object"),
        ("t.csv.gz", b"text,label\na,b\n", "cannot be read as gzip: Not a gzipped file"),
        (
            "t.csv.gz",
            gzip.compress(COMMAS.encode(), mtime=0)[:-9],
            "cannot be read as gzip: Compressed file ended",
        ),
        ("t.parquet", b"PAR1", "cannot be read as parquet"),
        ("t.txt", b"text", r"has suffix '\.txt', expected '\.csv', '\.tsv'"),
        ("t.parquet.gz", b"", r"has suffix '\.parquet\.gz', expected"),
        ("t", b"text", "has suffix '', expected"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_line(read, name, content, message):
    with pytest.raises(ValueError, match=message) as error:
        read(name, content)
    assert "\n" not in str(error.value)


def test_what_is_no_file_is_refused(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ValueError, match=r"folder\.csv is a folder"):
        read_table(tmp_path / "folder.csv", NAMES)
    with pytest.raises(FileNotFoundError, match=r"there is no file .*nowhere\.csv"):
        read_table(tmp_path / "nowhere.csv", NAMES)


def test_a_decompression_bomb_is_not_decompressed(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "UNSUSPICIOUS", 2**22)
    never_reached = b"not gzip"
    (tmp_path / "bomb.csv.gz").write_bytes(gzip.compress(bytes(2**25)) + never_reached)
    with pytest.raises(ValueError, match="expands to more than 100 times its size"):
        read_table(tmp_path / "bomb.csv.gz", NAMES)
    parquet.write_table(pyarrow.table({"text": ["x" * 2**12] * 4000}), tmp_path / "bomb.parquet")
    with pytest.raises(ValueError, match="expands to more than 100 times its size"):
        read_table(tmp_path / "bomb.parquet", NAMES)


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "t.parquet").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ValueError, match=r"needs pyarrow: pip install 'laya-jax\[parquet\]'"):
        read_table(tmp_path / "t.parquet", NAMES)


def test_the_limit_of_csv_fields_is_left_as_it_was(read):
    before = csv.field_size_limit()
    read("t.csv", COMMAS)
    with pytest.raises(ValueError, match="line 2: field larger than field limit"):
        read("t.csv", 'text,label\n"' + "x,a\n" * 2**23)
    assert csv.field_size_limit() == before
