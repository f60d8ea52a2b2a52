import numpy as np
import pytest

from laya_jax.data import DataConfig, Preprocessing, Schema, load, read_inputs

LABELS = np.arange(60) % 3
FEATURES = np.random.default_rng(0).normal(size=(60, 4))


@pytest.fixture
def npz(tmp_path):
    def write(**arrays):
        np.savez(tmp_path / "data.npz", **arrays)
        return f"npz:{tmp_path / 'data.npz'}"

    return write


def test_features_are_kept_in_single_precision(npz):
    dataset = load(DataConfig(source=npz(inputs=FEATURES, labels=LABELS)))
    assert dataset.train.inputs.dtype == np.float32
    assert dataset.preprocessing == Preprocessing("features", (4,))
    assert dataset.class_names == ("0", "1", "2")


def test_grey_images_get_a_channel_and_names_are_kept(npz):
    images = np.arange(60 * 6, dtype=np.uint8).reshape(60, 2, 3)
    source = npz(
        x_train=images, y_train=LABELS, x_test=images[:5], y_test=LABELS[:5], class_names=list("xyz")
    )
    dataset = load(DataConfig(source=source))
    assert dataset.preprocessing == Preprocessing("images", (2, 3, 1), scale=(255.0,))
    assert np.array_equal(dataset.test.inputs[..., 0], images[:5])
    assert dataset.class_names == ("x", "y", "z")
    assert len(dataset.train.labels) == 54


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"labels": LABELS}, r"has the arrays \['labels'\], expected .*inputs or x_train"),
        ({"inputs": FEATURES}, "expected .*labels or y_train"),
        ({"inputs": FEATURES[:9], "labels": LABELS}, "has 9 inputs and 60 labels"),
        ({"inputs": FEATURES[:, 0], "labels": LABELS}, r"has shape \(60,\)"),
        ({"inputs": np.where(FEATURES > 2, np.nan, FEATURES), "labels": LABELS}, "not finite"),
        ({"inputs": FEATURES, "labels": LABELS + 0.5}, "are of float64, expected whole numbers"),
        ({"inputs": FEATURES, "labels": LABELS - 1}, "hold -1"),
        ({"inputs": FEATURES, "labels": LABELS * 0}, "one class only"),
        ({"inputs": FEATURES, "labels": LABELS, "class_names": ["a", "b"]}, "hold 2, expected less than"),
        (
            {"inputs": FEATURES, "labels": LABELS, "test_inputs": FEATURES[:, :2], "test_labels": LABELS},
            r"test inputs of shape \(2,\)",
        ),
        (
            {"inputs": FEATURES, "labels": LABELS, "test_inputs": FEATURES, "test_labels": LABELS + 1},
            "test labels .* hold 3",
        ),
        (
            {"inputs": FEATURES.astype(np.uint8), "labels": LABELS, "x_test": FEATURES, "y_test": LABELS},
            "test inputs of float32, expected uint8",
        ),
        ({"inputs": np.array([{}] * 60, object), "labels": LABELS}, "cannot be read as .npz"),
    ],
)
def test_arrays_that_do_not_go_together_are_refused_in_one_line(npz, arrays, message):
    with pytest.raises(ValueError, match=message) as error:
        load(DataConfig(source=npz(**arrays)))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive at all"])
def test_a_file_that_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.npz cannot be read as \.npz"):
        load(DataConfig(source=f"npz:{tmp_path / 'x.npz'}"))
    with pytest.raises(FileNotFoundError, match=r"there is no file .*y\.npz"):
        load(DataConfig(source=f"npz:{tmp_path / 'y.npz'}"))


def test_new_inputs_are_read_with_or_without_labels(npz):
    schema = Schema(("0", "1", "2"), Preprocessing("features", (4,)), None)
    found = read_inputs(npz(inputs=FEATURES[:5]), schema, DataConfig())
    assert found.labels is None
    assert found.ids == ("0", "1", "2", "3", "4")
    assert (
        read_inputs(npz(inputs=FEATURES, labels=LABELS), schema, DataConfig()).labels.tolist()
        == LABELS.tolist()
    )
    with pytest.raises(ValueError, match=r"inputs of shape \(2,\), but the model reads \(4,\)"):
        read_inputs(npz(inputs=FEATURES[:, :2]), schema, DataConfig())
    of_bytes = schema._replace(dtype="uint8")
    with pytest.raises(
        ValueError, match="inputs of float32, but the model reads uint8, which has another scale"
    ):
        read_inputs(npz(inputs=FEATURES), of_bytes, DataConfig())
    assert read_inputs(npz(inputs=FEATURES.astype(np.uint8)), of_bytes, DataConfig()).inputs.dtype == np.uint8
    with pytest.raises(ValueError, match="the model reads no texts"):
        read_inputs("texts:a.csv", schema, DataConfig())
    with pytest.raises(ValueError, match="the model was trained on 'digits'"):
        read_inputs("cifar10", schema, DataConfig())


@pytest.mark.parametrize(
    ("training", "testing"),
    [
        (("inputs", "labels"), ("test_inputs", "test_labels")),
        (("inputs", "labels"), ("x_test", "y_test")),
        (("x_train", "y_train"), ("x_test", "y_test")),
    ],
)
def test_what_a_file_sets_apart_to_test_on_is_what_is_predicted(npz, training, testing):
    schema = Schema(("0", "1", "2"), Preprocessing("features", (4,)), None)
    arrays = dict(
        zip((*training, *testing), (FEATURES[:50], LABELS[:50], FEATURES[50:], LABELS[50:]), strict=True)
    )
    source = npz(**arrays)
    found = read_inputs(source, schema, DataConfig())
    assert found.named("npz:file") == f"npz:file, {testing[0]}"
    np.testing.assert_array_equal(found.inputs, load(DataConfig(source=source)).test.inputs)
    assert found.labels.tolist() == LABELS[50:].tolist()
    del arrays[testing[1]]
    unlabelled = read_inputs(npz(**arrays), schema, DataConfig())
    assert (len(unlabelled.inputs), unlabelled.labels) == (10, None)
    for name in (testing[0], training[1]):
        arrays.pop(name)
    assert read_inputs(npz(**arrays), schema, DataConfig()).part == training[0]


def test_new_inputs_have_as_many_labels(npz):
    schema = Schema(("0", "1", "2"), Preprocessing("features", (4,)), None)
    with pytest.raises(ValueError, match="has 9 inputs and 60 labels"):
        read_inputs(npz(inputs=FEATURES[:9], labels=LABELS), schema, DataConfig())
