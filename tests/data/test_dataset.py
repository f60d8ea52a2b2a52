import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laya_jax.data import DataConfig, Examples, Preprocessing, load
from laya_jax.data.config import kind_of
from laya_jax.data.dataset import check_labels, make_dataset
from laya_jax.data.splits import split_rows

FEATURES = Preprocessing("features", (2,))


@given(
    st.integers(3, 300),
    st.sampled_from(["last", "shuffled"]),
    st.booleans(),
    st.floats(0.01, 0.4),
    st.integers(0, 9),
)
def test_splits_are_a_partition(number, split, has_test, fraction, seed):
    config = DataConfig(split=split, validation_fraction=fraction, test_fraction=fraction, split_seed=seed)
    splits = split_rows(number, config, has_test=has_test)
    assert sorted(np.concatenate(splits)) == list(range(number))
    assert len(splits.train) >= 1
    assert len(splits.validation) == max(1, round((number - len(splits.test)) * fraction))
    assert (len(splits.test) == 0) == has_test


def test_the_last_examples_are_held_out_as_in_the_paper():
    splits = split_rows(60_000, DataConfig(split="last"), has_test=True)
    assert np.array_equal(splits.validation, np.arange(54_000, 60_000))


def test_shuffled_splits_depend_on_their_own_seed_alone():
    first, again, other = (
        split_rows(100, DataConfig(split_seed=seed), has_test=True).validation for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_examples_are_known_by_their_rows(tmp_path):
    inputs = np.arange(40, dtype=np.uint8).reshape(20, 2)
    examples = Examples(inputs, np.arange(20, dtype=np.int32) % 2)
    dataset = make_dataset(examples, None, ("a", "b"), FEATURES, DataConfig())
    for split, rows in zip((dataset.train, dataset.validation, dataset.test), dataset.ids, strict=True):
        np.testing.assert_array_equal(split.inputs, inputs[rows])
    apart = make_dataset(examples, examples.take(slice(3)), ("a", "b"), FEATURES, DataConfig())
    assert apart.ids.test.tolist() == [0, 1, 2]
    doubled = apart.with_inputs(lambda inputs: 2 * inputs)
    assert doubled.ids is apart.ids


def test_too_few_examples_are_refused():
    with pytest.raises(ValueError, match=r"data\.source has 2 examples"):
        split_rows(2, DataConfig(), has_test=False)


def test_normalisation_is_measured_on_the_training_split_alone():
    generator = np.random.default_rng(0)
    inputs = generator.normal([3, -50], [2, 9], (3000, 2)).astype(np.float32)
    examples = Examples(inputs, np.arange(3000, dtype=np.int32) % 2)
    config = DataConfig(normalize=True, split="last")
    dataset = make_dataset(examples, None, ("a", "b"), FEATURES, config)
    normal = np.asarray(dataset.preprocessing(jnp.asarray(dataset.train.inputs)))
    np.testing.assert_allclose(normal.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(normal.std(axis=0), 1, atol=1e-4)
    inputs[-500:] += 100
    assert make_dataset(examples, None, ("a", "b"), FEATURES, config).preprocessing == dataset.preprocessing


def test_a_constant_channel_stays_finite():
    examples = Examples(np.full((20, 2), 7, np.uint8), np.arange(20, dtype=np.int32) % 2)
    dataset = make_dataset(examples, None, ("a", "b"), FEATURES, DataConfig(normalize=True))
    assert (np.asarray(dataset.preprocessing(jnp.asarray(dataset.train.inputs))) == 0).all()


def test_one_class_to_train_on_is_refused():
    examples = Examples(np.zeros((20, 2), np.uint8), np.ones(20, np.int32))
    with pytest.raises(ValueError, match=r"one class only \(b\)"):
        make_dataset(examples, None, ("a", "b"), FEATURES, DataConfig())


def test_the_last_examples_are_not_all_of_a_class():
    labels = np.repeat(np.arange(20, dtype=np.int32), 10)
    examples = Examples(np.zeros((200, 2), np.uint8), labels)
    names = [f"c{label}" for label in range(20)]
    with pytest.raises(
        ValueError,
        match=r"'last', which holds out all examples of c18, c19, expected 'shuffled'.*--data\.split",
    ):
        make_dataset(examples, None, names, FEATURES, DataConfig(split="last", validation_fraction=0.05))
    with pytest.raises(ValueError, match="all examples of c10, c11, c12, c13, c14 and 5 more, expected"):
        make_dataset(examples, examples, names, FEATURES, DataConfig(split="last", validation_fraction=0.5))
    with pytest.raises(ValueError, match="all examples of c18, c19, expected"):
        make_dataset(examples, None, names, FEATURES, DataConfig(split="last"), validation=examples)
    make_dataset(examples, examples, names, FEATURES, DataConfig(split="last"), validation=examples)
    make_dataset(examples, None, names, FEATURES, DataConfig())


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0.0, 1.0], "are of float64, expected whole numbers"),
        ([-1, 0], "hold -1"),
        ([[0, 1]], r"shape \(1, 2\)"),
        ([], r"shape \(0,\)"),
        (["cat", "dog"], "are of <U3"),
    ],
)
def test_labels_that_are_none_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        check_labels(labels, "labels of x")


def test_preprocessing_survives_json_and_takes_flat_inputs():
    preprocessing = Preprocessing("images", (2, 2, 3), (1.0, 2.0, 3.0), (2.0, 2.0, 4.0))
    values = json.loads(json.dumps(dataclasses.asdict(preprocessing)))
    assert Preprocessing.from_json(values) == preprocessing
    images = jnp.arange(24, dtype=jnp.uint8).reshape(2, 2, 2, 3)
    expected = (np.asarray(images, np.float32) - [1, 2, 3]) / [2, 2, 4]
    np.testing.assert_allclose(preprocessing(images), expected, rtol=1e-6)
    np.testing.assert_array_equal(preprocessing(images.reshape(2, 12)), preprocessing(images))


def test_tokens_are_left_alone():
    tokens = jnp.array([[3, 0]])
    assert Preprocessing("tokens", (2,))(tokens).dtype == tokens.dtype


def test_the_digits_are_those_of_scikit_learn():
    dataset = load(DataConfig(source="digits", test_fraction=0.2))
    sizes = [len(split.labels) for split in (dataset.train, dataset.validation, dataset.test)]
    assert sum(sizes) == 1797
    assert sizes[2] == 359
    inputs = dataset.preprocessing(jnp.asarray(dataset.train.inputs))
    assert (float(inputs.min()), float(inputs.max())) == (0, 1)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("digits", "digits"),
        ("cifar10", "tfds"),
        ("npz:a", "npz"),
        ("images:a b", "images"),
        ("texts:C:x.csv", "texts"),
    ],
)
def test_a_source_is_of_one_kind(source, kind):
    assert kind_of(source) == kind


def test_label_noise_shuffles_training_labels_alone():
    shares = (0.0, 0.2, 1.0)
    clean, noisy, shuffled = (load(DataConfig(source="digits", label_noise=share)) for share in shares)
    for other, least, most in ((noisy, 0.15, 0.2), (shuffled, 0.85, 0.95)):
        changed = np.mean(other.train.labels != clean.train.labels)
        assert least < changed < most
        assert np.array_equal(np.sort(other.train.labels), np.sort(clean.train.labels))
        assert np.array_equal(other.train.inputs, clean.train.inputs)
        assert np.array_equal(other.validation.labels, clean.validation.labels)
        assert np.array_equal(other.test.labels, clean.test.labels)
    again = load(DataConfig(source="digits", label_noise=0.2))
    assert np.array_equal(again.train.labels, noisy.train.labels)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), "half"])
def test_a_share_of_noise_that_is_none_is_refused(share):
    with pytest.raises((ValueError, TypeError), match=r"data\.label_noise is"):
        DataConfig(label_noise=share)
