import dataclasses
import json

import numpy as np
import pytest

from laya_jax.data import DataConfig, load, read_inputs
from laya_jax.data.dataset import Schema
from laya_jax.data.texts import read_texts

ROWS = [(f'a "{word}", film\nof {number}', word) for number in range(30) for word in ("good", "bad")]


def write_csv(path, rows=ROWS, header="text,label"):
    quoted = ('"{}",{}'.format(text.replace('"', '""'), label) for text, label in rows)
    path.write_text("\n".join([header, *quoted]) + "\n", encoding="utf-8-sig")
    return DataConfig(source=f"texts:{path}", max_length=8)


def write_jsonl(path, rows=ROWS):
    path.write_text("\n\n".join(json.dumps({"text": text, "label": label}) for text, label in rows))
    return DataConfig(source=f"texts:{path}", max_length=8)


def test_both_kinds_of_file_give_the_same(tmp_path):
    of_csv, of_jsonl = load(write_csv(tmp_path / "a.csv")), load(write_jsonl(tmp_path / "a.jsonl"))
    assert of_csv.class_names == of_jsonl.class_names == ("bad", "good")
    assert of_csv.encoder == of_jsonl.encoder
    assert np.array_equal(of_csv.train.inputs, of_jsonl.train.inputs)
    good = of_csv.encoder.words.index("good") + 2
    assert np.array_equal((of_csv.test.inputs == good).any(axis=1), of_csv.test.labels == 1)


def test_labels_that_are_numbers_are_sorted_as_numbers(tmp_path):
    rows = [(f"text {number}", number) for number in (10, 9, 1) for _ in range(20)]
    assert load(write_jsonl(tmp_path / "a.jsonl", rows)).class_names == ("1", "9", "10")


def test_the_vocabulary_is_that_of_the_training_split(tmp_path):
    config = dataclasses.replace(write_csv(tmp_path / "a.csv"), split="last")
    before = load(config)
    held_out = len(before.validation.labels) + len(before.test.labels)
    changed = [*ROWS[:-held_out], *(("entirely other words", label) for _, label in ROWS[-held_out:])]
    write_csv(tmp_path / "a.csv", changed)
    after = load(config)
    assert after.encoder == before.encoder
    assert (after.test.inputs[:, :3] == 1).all()


def test_the_vocabulary_has_the_size_that_was_asked_for(tmp_path):
    config = dataclasses.replace(write_csv(tmp_path / "a.csv"), vocabulary_size=5)
    dataset = load(config)
    assert dataset.encoder.size == 5
    assert dataset.train.inputs.max() == 4


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "has the columns"),
        (
            "a.csv",
            b"review,stars\nfine,5\n",
            r"has the columns \['review', 'stars'\], expected text and label",
        ),
        ("a.csv", b"text,label\n", "has no texts"),
        ("a.csv", b"text,label\nfine,\n", "texts without a label"),
        ("a.csv", b'text,label\n"open,good\n', r"line \d: unexpected end"),
        ("a.csv", b"text,label\n\xff\xfe,good\n", "is no UTF-8"),
        ("a.jsonl", b'{"text": "a", "label": 1}\n{"text"\n', "line 2"),
        ("a.jsonl", b'{"text": "a", "label": 1}\n[1]\n', "line 2: expected an object"),
        ("a.jsonl", b'{"texts": "a", "label": 1}\n', "line 1: there is no text"),
        ("a.jsonl", b'{"text": 3, "label": 1}\n', "line 1: there is no text"),
        ("a.txt", b"text", "is of kind '.txt', expected '.csv' or '.jsonl'"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        load(DataConfig(source=f"texts:{tmp_path / name}"))
    assert "\n" not in str(error.value)


def test_new_texts_are_read_with_the_vocabulary_of_the_run(tmp_path):
    config = write_csv(tmp_path / "a.csv")
    dataset = load(config)
    schema = Schema.of(dataset)
    (tmp_path / "new.jsonl").write_text('{"text": "a GOOD surprise"}\n')
    found = read_inputs(f"texts:{tmp_path / 'new.jsonl'}", schema, config)
    ids = [dataset.encoder.words.index(word) + 2 for word in ("a", "good")]
    assert found.inputs.tolist() == [[*ids, 1, 0, 0, 0, 0, 0]]
    assert found.labels is None
    assert read_inputs(config.source, schema, config).labels.tolist() == [1, 0] * 30
    (tmp_path / "new.jsonl").write_text('{"text": "a", "label": "ugly"}\n')
    with pytest.raises(ValueError, match="has the label 'ugly', expected one of 'bad', 'good'"):
        read_inputs(f"texts:{tmp_path / 'new.jsonl'}", schema, config)


def test_line_breaks_of_html_are_blanks_whatever_reads_the_text(tmp_path):
    path = tmp_path / "texts.jsonl"
    path.write_text(json.dumps({"text": "Great!<br /><br />Go.", "label": "good"}))
    assert read_texts(path) == (["Great!  Go."], ["good"])
