import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

from laya_jax.data import DataConfig, Examples, Preprocessing, load
from laya_jax.data.config import kind_of
from laya_jax.data.dataset import make_dataset
from laya_jax.data.moments import moments
from laya_jax.data.splits import Splits

FEATURES = Preprocessing("features", (2,))


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
    names = Splits(np.array([f"row{row}" for row in range(20)]), None, np.array(["x", "y", "z"]))
    named = make_dataset(examples, examples.take(slice(3)), ("a", "b"), FEATURES, DataConfig(), ids=names)
    assert named.ids.train.tolist() == [f"row{row}" for row in apart.ids.train]
    assert named.ids.test.tolist() == ["x", "y", "z"]


def test_features_are_normalised_unless_it_is_refused_and_bytes_of_images_are_not():
    labels = np.arange(40, dtype=np.int32) % 2
    features = np.random.default_rng(0).normal(5, 1e6, (40, 2)).astype(np.float32)
    images = np.arange(40 * 12, dtype=np.uint8).reshape(40, 2, 2, 3)

    def scale(inputs, kind, normalize=None):
        preprocessing = Preprocessing(kind, inputs.shape[1:])
        config = DataConfig(normalize=normalize)
        return make_dataset(Examples(inputs, labels), None, "ab", preprocessing, config).preprocessing.scale

    assert min(scale(features, "features")) > 1e5
    assert scale(features, "features", False) == (1.0,)
    assert min(scale((features * 0).astype(np.uint8) + images[:, 0, 0, :2], "features")) > 50
    assert scale(images, "images") == (1.0,)
    assert len(scale(images, "images", True)) == 3
    assert min(scale(images.astype(np.float32), "images")) > 50
    assert scale(images.reshape(40, -1).astype(np.int32), "tokens", True) == (1.0,)


def test_classes_without_training_examples_are_left_out_and_told():
    labels = np.array([0, 2, 5] * 10, np.int32)
    examples = Examples(np.arange(60, dtype=np.float32).reshape(30, 2), labels)
    dataset = make_dataset(examples, None, tuple("abcdef"), FEATURES, DataConfig(), notes=["first"])
    assert dataset.class_names == ("a", "c", "f")
    assert dataset.class_counts == (10, 10, 10)
    assert dataset.train.labels.dtype == np.int32
    assert dataset.notes == ("first", "3 classes have no training examples and are left out: b, d, e")
    by_row = np.empty(30, int)
    for rows, split in zip(dataset.ids, (dataset.train, dataset.validation, dataset.test), strict=True):
        by_row[rows] = split.labels
    assert by_row.tolist() == [0, 1, 2] * 10


def test_held_out_examples_of_a_class_that_is_not_trained_are_refused():
    examples = Examples(np.zeros((20, 2), np.uint8), np.arange(20, dtype=np.int32) % 2)
    test = Examples(np.zeros((3, 2), np.uint8), np.array([0, 2, 2], np.int32))
    for apart in ({"test": test}, {"test": None, "validation": test}):
        with pytest.raises(
            ValueError, match=r"has (test|validation) examples of c, but no training examples of them"
        ):
            make_dataset(examples, class_names="abc", preprocessing=FEATURES, config=DataConfig(), **apart)


def test_classes_too_few_for_all_splits_are_told():
    labels = np.array([0] * 50 + [1] * 50 + [2] + [3, 3] + [4, 4, 4], np.int32)
    examples = Examples(np.arange(212, dtype=np.float32).reshape(106, 2), labels)
    dataset = make_dataset(examples, None, "abcde", FEATURES, DataConfig())
    assert dataset.notes == (
        "2 of 5 classes have too few examples for every split; the training split comes first: c (1), d (2)",
    )
    assert set(dataset.train.labels.tolist()) == {0, 1, 2, 3, 4}


def test_copies_across_splits_and_classes_are_told():
    inputs = np.arange(200, dtype=np.float32).reshape(100, 2)
    labels = np.arange(100, dtype=np.int32) % 2
    examples, test = Examples(inputs, labels), Examples(inputs[:7] + 1000, labels[:7].copy())
    dataset = make_dataset(examples, test, "ab", FEATURES, DataConfig())
    assert not dataset.notes
    even = dataset.ids.train[dataset.train.labels == 0]
    odd = dataset.ids.train[dataset.train.labels == 1]
    inputs[even[0]] = test.inputs[3] = inputs[even[1]]  # the same class
    inputs[even[2]] = inputs[odd[0]]
    test.labels[3] = 0
    assert make_dataset(examples, test, "ab", FEATURES, DataConfig()).notes == (
        "1 of 7 test examples is also in the training split",
        "2 examples are in several classes",
    )
    texts = Examples(np.array([f"text {row % 50}" for row in range(100)], object), labels)
    notes = make_dataset(texts, None, "ab", Preprocessing("tokens", (2,)), DataConfig()).notes
    assert "test examples are also in the training split" in notes[-1]


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


@pytest.mark.parametrize("offset", [0, 0.1, -1e6, 1e8])
def test_moments_are_exact_whatever_the_offset(offset):
    wide = np.random.default_rng(0).normal(offset, 1 + abs(offset) * 1e-5, (2500, 3)).astype(np.float32)
    mean, scale = moments(wide)
    np.testing.assert_allclose(mean, wide.astype(np.float64).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(scale, wide.astype(np.float64).std(axis=0), rtol=1e-9)


@pytest.mark.parametrize("value", [0, 0.1, 0.3, -7, 1e8, 1e-30])
def test_a_constant_channel_has_scale_one(value):
    column = np.full((2500, 1), value, np.float32)
    assert moments(column).scale == (1.0,)
    column[::3] = np.nextafter(column[0], np.float32(np.inf))
    assert moments(column).scale == (1.0,) or value == 0
    assert np.isfinite(np.float32(1) / np.float32(moments(column).scale[0]))


def test_images_are_measured_by_channel():
    images = np.random.default_rng(0).integers(0, 256, (1200, 4, 5, 3), np.uint8)
    mean, scale = moments(images)
    np.testing.assert_allclose(mean, images.mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(scale, images.std(axis=(0, 1, 2)))


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
