"""What a model knows of its data comes back, or its damage is told."""

import json

import pytest

from laya_jax.data import Preprocessing, Schema, Vocabulary
from laya_jax.training.data_record import DATA, read_data, read_schema, write_schema

SCHEMA = Schema(("no", "yes"), Preprocessing("tokens", (4,)), Vocabulary(("the", "naïve", "film")))


def test_a_schema_comes_back_with_its_vocabulary(tmp_path):
    write_schema(tmp_path, SCHEMA, fingerprint=7, version=2, notes=("a note",), examples={"train": (3, 4)})
    assert read_schema(tmp_path) == SCHEMA
    record = read_data(tmp_path)
    assert (record.fingerprint, record.version, record.notes) == (7, 2, ("a note",))
    assert record.examples == {"train": (3, 4)}


def test_a_record_of_an_earlier_version_is_read(tmp_path):
    write_schema(tmp_path, SCHEMA, fingerprint=7)
    known = json.loads((tmp_path / DATA).read_text())
    kept = {name: known[name] for name in ("class_names", "preprocessing")}
    (tmp_path / DATA).write_text(json.dumps(kept))
    record = read_data(tmp_path)
    assert (record.version, record.fingerprint, record.notes) == (1, None, ())
    assert read_schema(tmp_path) == SCHEMA


def test_a_vocabulary_that_is_no_text_is_told(tmp_path):
    write_schema(tmp_path, SCHEMA)
    (tmp_path / "vocabulary.txt").write_bytes(b"the\n\xff\n")
    with pytest.raises(ValueError, match=r"vocabulary\.txt is not UTF-8"):
        read_schema(tmp_path)
