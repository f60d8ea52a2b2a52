import datetime
import decimal
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laya_jax.data.class_names import class_name
from laya_jax.data.labels import classes_of, labels_among

WHERE = "labels of x.csv"


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("pos", "pos"),
        (" pos\t\n", "pos"),
        ("\u3000pos\u00a0", "pos"),
        ("\ufeffpos\u200b", "pos"),
        ("pos\0\0", "pos"),
        ("New  York ", "New  York"),
        ("cafe\u0301", "caf\u00e9"),
        ("\U0001f3f4\U000e0067\U000e007f", "\U0001f3f4\U000e0067\U000e007f"),
        ("1.0", "1.0"),
        ("01", "01"),
        (1, "1"),
        (1.0, "1"),
        (-0.0, "0"),
        (0.5, "0.5"),
        (2**64 - 1, "18446744073709551615"),
        (True, "True"),
        (np.True_, "True"),
        (np.uint64(2**63), "9223372036854775808"),
        (np.float16(3), "3"),
        (np.str_("a "), "a"),
        (np.bytes_(b"a"), "a"),
        (b"caf\xc3\xa9", "caf\u00e9"),
        (decimal.Decimal("2"), "2"),
        (datetime.date(2024, 1, 2), "2024-01-02"),
        ("none", "none"),
        ("N", "N"),
        (None, None),
        (float("nan"), None),
        (np.float32("nan"), None),
        (np.datetime64("NaT", "D"), None),
        *(
            (missing, None)
            for missing in ("", "  ", "\u00a0", "nan", "NaN ", "<NA>", "NA", "n/a", "NULL", "#N/A")
        ),
    ],
)
def test_a_label_means_a_class_or_none(value, name):
    assert class_name(value) == name


@pytest.mark.parametrize("value", [["a"], ("a", "b"), {"a": 1}, np.eye(2), {"a"}])
def test_several_labels_of_an_example_are_refused(value):
    with pytest.raises(ValueError, match=r"^labels of x\.csv, line 3: .*only single-label classification"):
        classes_of(["a", value], WHERE, lambda row: f"line {row + 2}")


def test_long_labels_are_cut_off_in_messages():
    with pytest.raises(ValueError, match="…") as error:
        labels_among(["a" * 10**6], ["b" * 10**6, "c"], WHERE)
    assert len(str(error.value)) < 200
    assert len(classes_of(["a" * 10**6, "A" * 10**6, "a" * 10**6 + " "], WHERE).notes[1]) < 200


def test_bytes_that_are_no_text_are_refused_with_their_place():
    with pytest.raises(
        ValueError, match=r"^labels of x\.csv, row 1: the label is b'caf\\xe9', which is not UTF-8"
    ):
        classes_of([b"a", b"caf\xe9"], WHERE)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([str(digit) for digit in range(10)], [str(digit) for digit in range(10)]),
        (["neg", "pos", "Apple"], ["Apple", "neg", "pos"]),
        (["1", "1.0", "0", "0."], ["0", "1"]),
        ([1, "1", 1.0], ["1"]),
        ([2**32, 0, 1, -5, 200_000], ["-5", "0", "1", "200000", "4294967296"]),
        (["b", "10", "9", "01", "1"], ["01", "1", "9", "10", "b"]),
        (["1.0", "v2", "1.5"], ["1.0", "1.5", "v2"]),
        ([False, True], ["False", "True"]),
        (["9" * 5000, "a"], ["9" * 5000, "a"]),
    ],
)
def test_classes_are_in_natural_order(values, names):
    found = classes_of(values, WHERE)
    assert found.class_names == tuple(names)
    assert labels_among(values, names, WHERE)[0].tolist() == found.labels.tolist()


@pytest.mark.slow
def test_the_order_of_classes_is_the_same_in_every_process():
    code = (
        "from laya_jax.data.labels import classes_of;"
        "print(classes_of(['1', '01', '001', 'a', 'A'], '').class_names)"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in "012"
    }
    assert printed == {b"('001', '01', '1', 'A', 'a')\n"}


@given(
    st.lists(st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3)), min_size=1, max_size=10)
)
def test_evaluation_numbers_labels_as_training_did(values):
    if all(class_name(value) is None for value in values):
        with pytest.raises(ValueError, match="are missing, expected one label per example"):
            classes_of(values, WHERE)
        return
    found = classes_of(values, WHERE)
    known = [value for value, label in zip(values, found.labels, strict=True) if label >= 0]
    again, notes = labels_among(known, found.class_names, WHERE)
    assert again.tolist() == found.labels[found.labels >= 0].tolist()
    assert not notes
    assert set(found.labels.tolist()) - {-1} == set(range(len(found.class_names)))


@pytest.mark.parametrize(
    ("values", "note"),
    [
        (["a", "", "b", None], "2 of 4 labels of x.csv are missing ('', None); their examples are left out"),
        (["a", "a ", "b"], "labels of x.csv with several spellings are read as one class: 'a', 'a ' as 'a'"),
        (
            ["1", "1.0", "0"],
            "labels of x.csv with several spellings are read as one class: '1', '1.0' as '1'",
        ),
        (
            ["Pos", "pos", "pos"],
            "labels of x.csv with similar names are separate classes: 'Pos' (1) and 'pos' (2)",
        ),
        (["New York", "NewYork"], "'New York' (1) and 'NewYork' (1)"),
        (["01", "1", "2"], "'01' (1) and '1' (1)"),
        (["a", "\uff41"], "'a' (1) and '\uff41' (1)"),
        (["None", "a"], "labels of x.csv hold 'None' (1), read as a class rather than as missing"),
        (["a", "b", "a|b"], "labels of x.csv seem to hold several classes in one, 'a|b' (1): each is"),
    ],
)
def test_what_is_ambiguous_is_told(values, note):
    notes = classes_of(values, WHERE).notes
    assert len(notes) == 1
    assert note in notes[0]


@pytest.mark.parametrize("values", [["a", "b"], [0, 1, 2], [2**53, 2**53 + 1], [True, False], [" a", "b"]])
def test_plain_labels_need_no_note(values):
    assert classes_of(values, WHERE).notes == ()


@pytest.mark.parametrize(
    "values",
    [
        np.linspace(0, 1, 60),
        [str(value) for value in np.linspace(-1, 1, 60)],
        [0.5, 1, 1],
        ["1,5", "2,25", "3"],
        ["1", "2.5", "1"],
        [np.inf],
    ],
)
def test_a_regression_target_is_refused(values):
    message = r"^labels of x\.csv hold fractional numbers .* regression target.*only single-label"
    with pytest.raises(ValueError, match=message):
        classes_of(values, WHERE)


@pytest.mark.parametrize(
    "values", [range(100, 160), [f"id{row}" for row in range(30)], [*range(40), *([1, 2] * 15)]]
)
def test_identifiers_are_refused(values):
    with pytest.raises(
        ValueError, match=r"with only one example \('.*', '.*', '.*' and .*\), which look like iden"
    ):
        classes_of(values, WHERE)


def test_many_classes_of_a_few_examples_are_none_the_less_classes():
    assert len(classes_of(np.repeat(np.arange(1000), 2), WHERE).class_names) == 1000


def test_an_unknown_label_is_named_with_its_place():
    with pytest.raises(ValueError, match=r"^labels of x\.csv hold 'c' \(line 4\), expected one of 'a', 'b'$"):
        labels_among(["a", "b", "c"], ("a", "b"), WHERE, lambda row: f"line {row + 2}")


def test_labels_that_are_not_all_there_are_not_used():
    assert labels_among(["a", "", "a"], ("a", "b"), WHERE) == (
        None,
        ("1 of 3 labels of x.csv are missing, so no labels are used",),
    )
    assert labels_among([None, ""], ("a", "b"), WHERE) == (None, ())


def test_a_class_of_the_model_is_one_though_it_looks_like_a_missing_label():
    assert labels_among(["NA", "EU", "NA "], ("EU", "NA"), WHERE)[0].tolist() == [1, 0, 1]


def test_names_of_older_models_are_found_as_they_are():
    assert labels_among(["1", "1.0", "pos ", "pos"], ("1.0", "pos "), WHERE)[0].tolist() == [0, 0, 1, 1]
