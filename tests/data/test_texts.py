import dataclasses
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from laya_jax.data import DataConfig, load, read_inputs
from laya_jax.data.dataset import Schema
from laya_jax.data.texts import read_texts
from laya_jax.data.vocabulary import Vocabulary

ROWS = [(f'a "{word}", film\nof {number}', word) for number in range(30) for word in ("good", "bad")]


def write_csv(path, rows=ROWS, header="text,label"):
    quoted = ('"{}",{}'.format(text.replace('"', '""'), label) for text, label in rows)
    path.write_text("\n".join([header, *quoted]) + "\n", encoding="utf-8-sig")
    return DataConfig(source=f"texts:{path}", max_length=8)


def write_jsonl(path, rows=ROWS):
    path.write_text("\n\n".join(json.dumps({"text": text, "label": label}) for text, label in rows))
    return DataConfig(source=f"texts:{path}", max_length=8)


def all_ids(dataset):
    return np.sort(np.concatenate(dataset.ids)).tolist()


def test_both_kinds_of_file_give_the_same(tmp_path):
    of_csv, of_jsonl = load(write_csv(tmp_path / "a.csv")), load(write_jsonl(tmp_path / "a.jsonl"))
    assert of_csv.class_names == of_jsonl.class_names == ("bad", "good")
    assert of_csv.encoder == of_jsonl.encoder
    assert np.array_equal(of_csv.train.inputs, of_jsonl.train.inputs)
    good = of_csv.encoder.words.index("good") + 2
    assert np.array_equal((of_csv.test.inputs == good).any(axis=1), of_csv.test.labels == 1)
    assert of_csv.notes == of_jsonl.notes == ()


def test_columns_are_named_by_options_and_the_others_are_told(tmp_path):
    config = write_csv(tmp_path / "a.csv", header="Review,Sentiment")
    config = dataclasses.replace(config, text_column="review", label_column="sentiment")
    assert load(config).class_names == ("bad", "good")
    rows = [{"id": number, "review": text, "sentiment": label} for number, (text, label) in enumerate(ROWS)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    dataset = load(dataclasses.replace(config, source=f"texts:{tmp_path / 'a.jsonl'}"))
    assert dataset.notes == (f"columns of {tmp_path / 'a.jsonl'} that are not used: 'id'",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"source": "texts:a.csv", "text_column": "Label"},
            "data.label_column is 'label', expected a different",
        ),
        ({"source": "texts:a.csv", "text_column": " "}, "data.text_column is ' ', expected the name of a"),
        ({"source": "texts:a.csv", "label_column": None}, "data.label_column is None, expected the name of"),
        (
            {"source": "imdb_reviews", "label_column": "stars"},
            "label_column is 'stars', expected 'label' for",
        ),
    ],
)
def test_names_of_columns_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        DataConfig(**options)


def test_labels_are_cleaned_and_texts_without_one_are_left_out_and_told(tmp_path):
    rows = [*ROWS, ("no label", ""), ("nor here", "NaN"), ("a blank", "good ")]
    dataset = load(write_csv(tmp_path / "a.csv", rows))
    assert dataset.class_names == ("bad", "good")
    assert all_ids(dataset) == [*range(60), 62]
    missing, spelled = dataset.notes
    assert missing.startswith(f"2 of 63 labels of {tmp_path / 'a.csv'} are missing")
    assert "'good', 'good ' as 'good'" in spelled


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
    assert f"{held_out} of 60 texts consist mostly of unknown words" in after.notes


def test_the_vocabulary_has_the_size_that_was_asked_for(tmp_path):
    config = dataclasses.replace(write_csv(tmp_path / "a.csv"), vocabulary_size=5)
    dataset = load(config)
    assert dataset.encoder.size == 5
    assert dataset.train.inputs.max() == 4


def test_texts_that_a_model_cannot_read_well_are_told(tmp_path):
    config = write_csv(tmp_path / "a.csv", [*ROWS, ("a b c d e f g h i j", "good"), ("...", "bad")])
    assert set(load(config).notes) >= {
        "1 of 62 texts are longer than 8 words and were cut to their first 8 (data.max_length, data.keep)",
        "1 of 62 texts have no words",
    }


def test_texts_that_are_repeated_are_told(tmp_path):
    films = [(f"film {number}", "good") for number in range(20)]
    rows = [*films, *[("the same", "bad")] * 20, ("the same", "good")]
    notes = " ".join(load(write_csv(tmp_path / "a.csv", rows)).notes)
    assert "also in the training split" in notes
    assert "21 examples are in several classes" in notes


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "has no rows"),
        (
            "a.csv",
            b"review,stars\nfine,5\n",
            "'review', 'stars', expected 'text' .set by data.text_column",
        ),
        (
            "a.csv",
            b"text,stars\nfine,5\n",
            "'text', 'stars', expected 'label' .set by data.label_column",
        ),
        ("a.csv", b"text,label\nfine,\nbad,\n", "are missing"),
        ("a.csv", b"text,label\n" + b"".join(b"a,.%d\n" % n for n in range(60)), "hold fractional numbers"),
        ("a.jsonl", b'{"texts": "a", "label": 1}\n', "has the columns 'texts', 'label', expected 'text'"),
        ("a.jsonl", b'{"text": "a", "label": 1}\n{"label": 1}\n', "line 2: 'text' is None, expected a text"),
        ("a.jsonl", b'{"text": 3, "label": 1}\n', "line 1: 'text' is 3, expected a text"),
        ("a.jsonl", b'\n{"text": "a", "label": ["x"]}\n', "line 2: the label is .*, expected one class"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        load(DataConfig(source=f"texts:{tmp_path / name}"))
    assert "\n" not in str(error.value)


@pytest.fixture
def trained(tmp_path):
    """Reads new texts as a run on others would."""
    config = write_csv(tmp_path / "a.csv")
    schema = Schema.of(load(config))

    def read(content, name="new.jsonl", **options):
        (tmp_path / name).write_text(content)
        return read_inputs(f"texts:{tmp_path / name}", schema, config, **options)

    return read, schema.encoder


def test_new_texts_are_read_with_the_vocabulary_of_the_run(trained):
    read, encoder = trained
    found = read('{"text": "a GOOD surprise"}\n')
    ids = [encoder.words.index(word) + 2 for word in ("a", "good")]
    assert found.inputs.tolist() == [[*ids, 1, 0, 0, 0, 0, 0]]
    assert (found.labels, found.notes) == (None, ())
    assert read("label;Text\r\n good ;a film\r\nbad;a film\r\n", "new.csv").labels.tolist() == [1, 0]
    assert read("label,text\n,a film\n,a film\n", "new.csv").notes == ()


def test_new_texts_of_which_a_model_can_make_nothing_are_told(trained):
    read, _ = trained
    found = read("text,date\nन कोई शब्द,1\n" + "a " * 9 + ",2\n", "new.csv")
    columns, cut, unknown = found.notes
    assert columns.endswith("that are not used: 'date'")
    assert cut.startswith("1 of 2 texts are longer than 8 words")
    assert unknown == "1 of 2 texts consist mostly of unknown words"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,label\na,good\na,ugly\n", r"hold 'ugly' \(line 3\), expected one of 'bad', 'good'"),
        ("text,label\na,good\na,\n", "1 of 2 labels of .* are missing, so no labels are used"),
        ("text,label\na,\na,NA\n", "labels of .* are missing, expected one for each text"),
        (
            "text,stars\na,5\n",
            "has the columns 'text', 'stars', expected 'label' .set by data",
        ),
    ],
)
def test_labels_that_cannot_be_used_are_refused_if_they_are_needed_and_told_if_not(trained, content, message):
    read, _ = trained
    with pytest.raises(ValueError, match=message):
        read(content, "new.csv", labelled=True)
    found = read(content, "new.csv")
    assert found.labels is None
    assert bool(re.search(message, " ".join(found.notes))) == ("good" in content)


def test_line_breaks_of_html_are_blanks_whatever_reads_the_text(tmp_path):
    path = tmp_path / "texts.jsonl"
    path.write_text(json.dumps({"text": "Great!<br /><br />Go.", "label": "good"}))
    assert read_texts(path, DataConfig())[1] == ["Great!  Go."]


@pytest.mark.slow
def test_texts_are_read_the_same_whatever_the_locale(tmp_path):
    rows = [(f"très काला {number}", label) for number in range(20) for label in ("naïf", "мило")]
    config = write_csv(tmp_path / "a.csv", rows)
    code = f"""
from laya_jax.data import DataConfig, load
from laya_jax.files import write_text
dataset = load(DataConfig(source={config.source!r}, max_length=8))
write_text({str(tmp_path / "vocabulary.txt")!r}, dataset.encoder.to_text())
print(ascii(dataset.class_names))
"""
    ascii_only = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    printed = subprocess.run([sys.executable, "-c", code], env=ascii_only, capture_output=True, check=True)
    dataset = load(config)
    assert printed.stdout.decode().strip() == ascii(dataset.class_names)
    assert Vocabulary.from_text((tmp_path / "vocabulary.txt").read_text("utf-8")) == dataset.encoder
