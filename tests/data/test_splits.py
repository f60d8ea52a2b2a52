import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laya_jax.data import DataConfig, load
from laya_jax.data.splits import split_rows


def counts(labels, rows):
    return [np.bincount(labels[of], minlength=labels.max() + 1).tolist() for of in rows]


def blocks(*sizes):
    """Labels of classes of these sizes, in order, as a folder of images gives them."""
    return np.repeat(np.arange(len(sizes)), sizes)


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=12).filter(lambda sizes: max(sizes) >= 3),
    st.floats(0.01, 0.6),
    st.booleans(),
    st.booleans(),
    st.integers(0, 9),
)
def test_shuffled_splits_are_a_stratified_partition(sizes, fraction, has_test, has_validation, seed):
    labels = np.random.default_rng(seed).permutation(blocks(*sizes))
    config = DataConfig(validation_fraction=fraction, test_fraction=fraction, split_seed=seed)
    splits = split_rows(labels, config, has_test=has_test, has_validation=has_validation)
    assert sorted(np.concatenate(splits)) == list(range(len(labels)))
    assert all((np.diff(rows) > 0).all() for rows in splits)
    train, validation, test = (np.array(each) for each in counts(labels, splits))
    assert (train >= 1).all()
    assert (len(splits.test) == 0) == has_test
    assert (len(splits.validation) == 0) == has_validation
    for before, held_out, least in ((labels, test, 2 - has_validation), (labels, validation, 1)):
        if held_out is validation:
            before = np.delete(labels, splits.test)
        if not held_out.sum():
            continue
        number = np.bincount(before, minlength=len(sizes))
        spare = np.maximum(number - least, np.minimum(number - 1, 1))
        wanted = max(1, round(len(before) * fraction))
        assert held_out.sum() == min(wanted, spare.sum())
        # Beside what is given to the smallest classes, everybody is within one of their share.
        share = number * wanted / len(before)
        assert (held_out <= np.maximum(np.ceil(share), 1)).all()
        if wanted >= len(sizes):
            assert (held_out >= np.minimum(spare, 1)).all()


@given(st.integers(3, 300), st.booleans(), st.floats(0.01, 0.4))
def test_the_last_examples_are_a_partition(number, has_test, fraction):
    config = DataConfig(split="last", validation_fraction=fraction, test_fraction=fraction)
    splits = split_rows(np.zeros(number, int), config, has_test=has_test)
    assert np.concatenate(splits).tolist() == list(range(number))
    assert len(splits.validation) == max(1, round((number - len(splits.test)) * fraction))


@pytest.mark.parametrize(("number", "validation"), [(60_000, 54_000), (50_000, 45_000), (25_000, 22_500)])
def test_the_rows_of_the_papers_data_sets_are_the_last_ones_whatever_their_labels(number, validation):
    labels = np.random.default_rng(0).integers(0, 10, number)
    splits = split_rows(labels, DataConfig(split="last"), has_test=True)
    assert np.array_equal(splits.train, np.arange(validation))
    assert np.array_equal(splits.validation, np.arange(validation, number))
    assert not len(splits.test)


@pytest.mark.parametrize("apart", [(False, False), (True, False), (False, True)])
def test_every_class_of_data_in_order_is_in_every_split(apart):
    labels = blocks(*[100] * 10)
    has_test, has_validation = apart
    splits = split_rows(labels, DataConfig(), has_test=has_test, has_validation=has_validation)
    expected = {(False, False): (81, 9, 10), (True, False): (90, 10, 0), (False, True): (90, 0, 10)}[apart]
    assert counts(labels, splits) == [[size] * 10 for size in expected]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((96, 4), [[79, 2], [8, 1], [9, 1]]),
        ((80, 10, 10), [[65, 8, 8], [7, 1, 1], [8, 1, 1]]),
        ((50, 3, 2, 1), [[42, 1, 1, 1], [4, 1, 0, 0], [4, 1, 1, 0]]),
        ((3, 3, 3), [[2, 2, 3], [0, 1, 0], [1, 0, 0]]),
    ],
)
def test_small_classes_are_trained_on_first_and_then_tested(sizes, expected):
    found = counts(blocks(*sizes), split_rows(blocks(*sizes), DataConfig(), has_test=False))
    assert [sum(each) for each in found] == [sum(each) for each in expected]
    assert [sorted(each) for each in found] == [sorted(each) for each in expected]


def test_splits_depend_on_labels_and_their_own_seed_alone():
    labels = blocks(30, 20, 50)
    first, again, other = (
        split_rows(labels, DataConfig(split_seed=seed), has_test=True).validation for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    named = np.array(["z", "a", "m"])[labels]
    assert len(np.intersect1d(split_rows(named, DataConfig(), has_test=True).validation, first)) <= 10


def test_no_class_is_shuffled_apart_from_the_others_by_its_place():
    labels = blocks(200, 200)
    test = split_rows(labels, DataConfig(), has_test=False).test
    assert (np.diff(test) > 1).sum() > 30
    assert 40 < np.median(test[:20]) < 160


@pytest.mark.parametrize("labels", [[0, 1], [0], [0, 1, 2], [0, 0], [1, 1, 0]])
def test_too_few_examples_are_refused(labels):
    with pytest.raises(
        ValueError, match=r"data\.source has \d examples of \d classes to split, expected enough"
    ):
        split_rows(np.array(labels), DataConfig(), has_test=False)


def test_large_fractions_leave_an_example_of_each_class_for_every_split():
    labels = blocks(*[10] * 10)
    splits = split_rows(labels, DataConfig(test_fraction=0.99, validation_fraction=0.9), has_test=False)
    assert counts(labels, splits) == [[1] * 10, [1] * 10, [8] * 10]


@pytest.mark.slow
def test_digits_are_stratified_and_the_same_in_every_process():
    dataset = load(DataConfig(source="digits"))
    train, validation, test = (
        np.bincount(split.labels) for split in (dataset.train, dataset.validation, dataset.test)
    )
    whole = train + validation + test
    np.testing.assert_allclose(test / whole, 0.1, atol=0.01)
    np.testing.assert_allclose(validation / (whole - test), 0.1, atol=0.01)
    code = "from laya_jax.data import *; import numpy as np; print(load(DataConfig()).ids.test.sum())"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    assert int(printed) == dataset.ids.test.sum()
