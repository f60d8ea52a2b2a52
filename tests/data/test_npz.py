import numpy as np
import pytest

from laya_jax.data import DataConfig, Preprocessing, Schema, load, read_inputs

LABELS = np.arange(60) % 3
FEATURES = np.random.default_rng(0).normal(size=(60, 4))
SCHEMA = Schema(("0", "1", "2"), Preprocessing("features", (4,)), None)


@pytest.fixture
def npz(tmp_path):
    def write(**arrays):
        np.savez(tmp_path / "data.npz", **arrays)
        return f"npz:{tmp_path / 'data.npz'}"

    return write


def labels_of(dataset):
    """Names of the classes of all examples, by their rows, of a file without parts set apart."""
    names = np.empty(sum(dataset.class_counts), object)
    for rows, split in zip(dataset.ids, (dataset.train, dataset.validation, dataset.test), strict=True):
        names[rows] = [dataset.class_names[label] for label in split.labels]
    return names.tolist()


def test_features_are_kept_in_single_precision_and_normalised(npz):
    dataset = load(DataConfig(source=npz(inputs=FEATURES, labels=LABELS)))
    assert dataset.train.inputs.dtype == np.float32
    assert dataset.preprocessing.shape == (4,)
    np.testing.assert_allclose(dataset.preprocessing.mean, dataset.train.inputs.mean(axis=0), atol=1e-6)
    assert dataset.class_names == ("0", "1", "2")
    assert dataset.notes == ()
    raw = load(DataConfig(source=npz(inputs=FEATURES, labels=LABELS), normalize=False))
    assert raw.preprocessing == Preprocessing("features", (4,))


def test_grey_images_get_a_channel_and_names_are_kept(npz):
    images = np.arange(60 * 6, dtype=np.uint8).reshape(60, 2, 3)
    source = npz(
        x_train=images, y_train=LABELS, x_test=images[:5], y_test=LABELS[:5], class_names=list("zyx")
    )
    dataset = load(DataConfig(source=source))
    assert dataset.preprocessing == Preprocessing("images", (2, 3, 1), scale=(255.0,))
    assert np.array_equal(dataset.test.inputs[..., 0], images[:5])
    assert dataset.class_names == ("z", "y", "x")
    assert len(dataset.train.labels) == 54


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (LABELS.astype(np.uint64), "012"),
        (LABELS + 1, "123"),
        (LABELS - 1, ("-1", "0", "1")),
        (np.array([2**32, 0, 1])[LABELS], ("0", "1", "4294967296")),
        (np.array([2**64 - 1, 2**63, 5], np.uint64)[LABELS], ("5", str(2**63), str(2**64 - 1))),
        (np.array([10, 37, 200_000])[LABELS], ("10", "37", "200000")),
        (LABELS[:, None], "012"),
        (LABELS[None], "012"),
        (LABELS[:, None, None], "012"),
        (LABELS.astype(float), "012"),
        (LABELS.astype(np.float16)[:, None], "012"),
        (np.eye(3)[LABELS], "012"),
        (np.eye(3, dtype=np.int8)[LABELS], "012"),
        (np.eye(3, dtype=bool)[LABELS], "012"),
        (np.eye(5)[[4, 0, 2]][LABELS], "024"),
        (np.arange(60) % 2 == 1, ("False", "True")),
        (np.array(["cat", "dog ", " cow"])[LABELS], ("cat", "cow", "dog")),
        (np.array([b"cat", b"d\xc3\xb6g"])[np.arange(60) % 2], ("cat", "d\u00f6g")),
        (np.array(["10", "9", "1.0"])[LABELS], ("1", "9", "10")),
        (LABELS.astype(">i2"), "012"),
    ],
)
def test_labels_of_any_usual_form_are_classes_by_value(npz, labels, names):
    dataset = load(DataConfig(source=npz(inputs=FEATURES, labels=labels)))
    assert dataset.class_names == tuple(names)
    found = labels_of(dataset)
    assert [found.index(name) for name in found] == [row % len(names) for row in range(60)]


def test_rows_without_a_label_are_left_out_and_told(npz):
    labels = np.where(np.arange(60) < 4, np.nan, LABELS)
    dataset = load(DataConfig(source=npz(inputs=FEATURES, labels=labels)))
    assert dataset.class_counts == (18, 19, 19)
    assert dataset.notes[0].startswith("4 of 60 labels of ")
    assert dataset.notes[0].endswith("data.npz are missing (nan); their examples are left out")
    for rows, split in zip(dataset.ids, (dataset.train, dataset.validation, dataset.test), strict=True):
        assert np.array_equal(split.inputs, FEATURES[rows].astype(np.float32))
        assert np.array_equal(split.labels, LABELS[rows])
    found = read_inputs(npz(inputs=FEATURES, labels=labels), SCHEMA, DataConfig())
    assert (len(found.inputs), found.labels) == (60, None)
    assert "4 of 60 labels of" in found.notes[0]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"labels": LABELS},
            "has the arrays labels, expected arrays named inputs and labels, X and y, or x_train",
        ),
        (
            {"inputs": FEATURES},
            r"has no labels for inputs \(train split\), expected",
        ),
        ({"arr_0": FEATURES, "arr_1": LABELS}, "has the arrays arr_0, arr_1, expected"),
        ({"x_val": FEATURES, "y_val": LABELS}, r"has no inputs \(train split\), expected"),
        ({"inputs": FEATURES[:9], "labels": LABELS}, "labels of .* have 60 entries for 9 inputs"),
        ({"inputs": FEATURES[:, 0], "labels": LABELS}, r"has shape \(60,\)"),
        ({"inputs": FEATURES[:, :0], "labels": LABELS}, r"has shape \(60, 0\)"),
        ({"inputs": FEATURES * 1j, "labels": LABELS}, "dtype complex128, expected numbers"),
        ({"inputs": FEATURES.astype(str), "labels": LABELS}, "expected numbers"),
        ({"inputs": np.where(FEATURES > 2, np.nan, FEATURES), "labels": LABELS}, "not finite, expected"),
        ({"inputs": FEATURES * 1e300, "labels": LABELS}, "not finite in float32, expected"),
        ({"inputs": FEATURES, "labels": LABELS + 0.5}, "look like a regression target, expected classes"),
        ({"inputs": FEATURES, "labels": FEATURES[:, 0]}, "look like a regression target, expected classes"),
        ({"inputs": FEATURES, "labels": FEATURES}, r"have shape \(60, 4\), .* only single-label"),
        (
            {"inputs": FEATURES, "labels": np.eye(3)[LABELS] + np.eye(3)[0]},
            r"have shape \(60, 3\), expected .* only single-label classification is supported",
        ),
        (
            {"inputs": FEATURES, "labels": np.maximum(np.eye(3)[LABELS], np.eye(3)[0])},
            r"have shape \(60, 3\) and 2 ones in row 1, .* single-label .*, not multi-label",
        ),
        (
            {"inputs": FEATURES, "labels": np.eye(4)[LABELS + 1][:, :3]},
            r"and 0 ones in row 2, expected",
        ),
        ({"inputs": FEATURES, "labels": np.zeros((60, 2, 3))}, r"shape \(60, 2, 3\), expected one label per"),
        ({"inputs": FEATURES, "labels": np.array(0)}, r"shape \(\), expected one label per"),
        ({"inputs": FEATURES, "labels": LABELS * 1j}, "have dtype complex128, expected whole numbers, names"),
        ({"inputs": FEATURES, "labels": np.arange(60).astype("M8[D]")}, "have dtype datetime64"),
        ({"inputs": FEATURES, "labels": np.arange(60)}, "60 of them with only one example .* identifiers"),
        ({"inputs": FEATURES, "labels": LABELS * 0}, "one class only"),
        ({"inputs": FEATURES, "labels": LABELS * np.nan}, "are missing, expected one label per example"),
        (
            {"inputs": FEATURES, "labels": LABELS, "class_names": ["a", "b"]},
            r"hold 2 \(row 2\), expected whole numbers from 0 to 1",
        ),
        ({"inputs": FEATURES, "labels": LABELS, "class_names": list("aba")}, "hold 'a', expected a distinct"),
        ({"inputs": FEATURES, "labels": LABELS, "class_names": FEATURES}, "expected one name per class"),
        (
            {"inputs": FEATURES, "labels": LABELS, "test_inputs": FEATURES[:, :2], "test_labels": LABELS},
            r"test_inputs .* of shape \(2,\), expected \(4,\)",
        ),
        (
            {"inputs": FEATURES, "labels": LABELS, "x_val": FEATURES[:, :2], "y_val": LABELS},
            r"x_val .* of shape \(2,\), expected \(4,\)",
        ),
        (
            {"inputs": FEATURES, "labels": LABELS, "test_inputs": FEATURES, "test_labels": LABELS + 1},
            r"test_labels .* hold '3' \(row 2\), expected one of '0', '1', '2'",
        ),
        (
            {"inputs": FEATURES, "labels": LABELS, "x_test": FEATURES},
            r"has no labels for x_test \(test split\)",
        ),
        (
            {"inputs": FEATURES.astype(np.uint8), "labels": LABELS, "x_test": FEATURES, "y_test": LABELS},
            "x_test .* inputs of dtype float32, expected uint8",
        ),
        (
            {"inputs": np.array([{}] * 60, object), "labels": LABELS},
            "cannot be read .* Python objects",
        ),
        ({"inputs": FEATURES, "labels": LABELS.astype(object)}, "labels.npy holds Python objects, which are"),
    ],
)
def test_arrays_that_do_not_go_together_are_refused_in_one_line(npz, arrays, message):
    with pytest.raises(ValueError, match=message) as error:
        load(DataConfig(source=npz(**arrays)))
    assert "\n" not in str(error.value)
    assert "data.npz" in str(error.value) or "one class only" in message


@pytest.mark.parametrize(
    ("inputs", "labels"),
    [
        ("inputs", "labels"),
        ("X", "y"),
        ("x", "Y"),
        ("X_train", "y_train"),
        ("xTrain", "yTrain"),
        ("data", "target"),
        ("images", "labels"),
        ("train_images", "train_labels"),
        ("training-inputs", "training.labels"),
        ("features", "target"),
        ("X", "label"),
    ],
)
def test_inputs_and_labels_go_by_any_usual_name(npz, inputs, labels):
    dataset = load(DataConfig(source=npz(**{labels: LABELS, inputs: FEATURES})))
    assert sum(dataset.class_counts) == 60
    assert dataset.notes == ()


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        (("train_images", "train_labels"), ("val_images", "val_labels"), ("test_images", "test_labels")),
        (("inputs", "labels"), ("validation_inputs", "validation_labels"), ("test_inputs", "test_labels")),
        (("X_train", "y_train"), ("X_val", "y_val"), ("X_test", "y_test")),
        (("X", "y"), ("Xvalid", "yvalid"), ("testX", "testY")),
    ],
)
def test_splits_that_a_file_sets_apart_are_used_as_such(npz, train, validation, test):
    parts = {}
    for (inputs, labels), rows in ((train, slice(40)), (validation, slice(40, 50)), (test, slice(50, 60))):
        parts |= {inputs: FEATURES[rows], labels: LABELS[rows, None]}
    dataset = load(DataConfig(source=npz(**parts)))
    assert np.array_equal(dataset.train.inputs, FEATURES[:40].astype(np.float32))
    assert np.array_equal(dataset.validation.inputs, FEATURES[40:50].astype(np.float32))
    assert np.array_equal(dataset.test.labels, LABELS[50:])
    assert [rows.tolist() for rows in dataset.ids] == [list(range(size)) for size in (40, 10, 10)]
    assert dataset.notes == ()


def test_all_of_the_data_beside_its_parts_is_not_trained_on(npz):
    source = npz(
        X=FEATURES,
        y=LABELS,
        X_train=FEATURES[:50],
        y_train=LABELS[:50],
        X_test=FEATURES[50:],
        y_test=LABELS[50:],
    )
    dataset = load(DataConfig(source=source))
    assert sum(map(len, dataset.ids)) == 60
    assert dataset.notes[0].endswith("data.npz holds arrays that are not used: X, y")
    assert len(dataset.notes) == 1


def test_what_is_not_read_is_named_with_what_may_have_been_meant(npz):
    source = npz(
        inputs=FEATURES,
        labels=LABELS,
        test_input=FEATURES,
        test_labels=LABELS,
        weights=np.ones(60),
        notes=np.array([{}] * 60, object),
        validaton_inputs=FEATURES,
        y_tset=LABELS,
    )
    note = (
        "data.npz holds arrays that are not used: test_input (did you mean test_inputs?), test_labels, "
        "weights, notes, validaton_inputs (did you mean validation_inputs?) and 1 more"
    )
    assert load(DataConfig(source=source)).notes[0].endswith(note)
    found = read_inputs(source, SCHEMA, DataConfig())
    assert found.part == "inputs"
    assert found.notes[0].endswith(note)


def test_a_class_may_have_a_name_that_looks_like_a_missing_label(npz):
    source = npz(inputs=FEATURES, labels=LABELS, class_names=["EU", "NA", "AS"])
    dataset = load(DataConfig(source=source))
    assert dataset.class_names == ("EU", "NA", "AS")
    assert dataset.class_counts == (20, 20, 20)


def test_one_example_may_have_one_hot_labels(npz):
    for labels in (np.eye(3)[[2]], np.array([[2]]), np.array([2])):
        assert read_inputs(npz(X=FEATURES[:1], y=labels), SCHEMA, DataConfig()).labels.tolist() == [2]


def test_class_names_that_no_label_has_are_no_classes(npz):
    source = npz(inputs=FEATURES, labels=np.array([0, 2, 5])[LABELS], class_names=list("fedcba"))
    dataset = load(DataConfig(source=source))
    assert dataset.class_names == ("f", "d", "a")
    assert dataset.notes == ("3 classes have no training examples and are left out: e, c, b",)
    by_name = npz(inputs=FEATURES, labels=np.array(list("fda"))[LABELS], class_names=list("fedcba"))
    again = load(DataConfig(source=by_name))
    assert again.class_names == dataset.class_names
    assert np.array_equal(again.train.labels, dataset.train.labels)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize(
    ("shape", "read", "note"),
    [
        (
            (3, 8, 9),
            (8, 9, 3),
            "[N, 3, 8, 9]; the first axis",
        ),
        (
            (1, 8, 8),
            (8, 8, 1),
            "[N, 1, 8, 8]; the first axis",
        ),
        (
            (4, 8, 6),
            (8, 6, 4),
            "[N, 4, 8, 6]; the first axis",
        ),
        (
            (3, 8, 3),
            (3, 8, 3),
            "[N, 3, 8, 3]; the last axis",
        ),
        ((8, 9, 3), (8, 9, 3), None),
        (
            (8, 8, 7),
            (8, 8, 7),
            "[N, 8, 8, 7]; the last axis",
        ),
    ],
)
def test_channels_come_last_and_it_is_told(npz, dtype, shape, read, note):
    images = np.random.default_rng(0).integers(0, 256, (60, *shape)).astype(dtype)
    source = npz(x_train=images, y_train=LABELS, x_test=images[:9] + 1, y_test=LABELS[:9])
    dataset = load(DataConfig(source=source))
    assert dataset.preprocessing.shape == read
    assert len(dataset.notes) == (2 if note else 0)
    assert all(f"{note} of each example is read as its channels" in each for each in dataset.notes)
    assert dataset.test.inputs.flags.c_contiguous
    expected = images if read == shape else np.moveaxis(images, 1, -1)
    assert np.array_equal(dataset.train.inputs, expected[dataset.ids.train])
    schema = Schema.of(dataset)
    assert np.array_equal(read_inputs(source, schema, DataConfig()).inputs, dataset.test.inputs)


def test_digits_that_float32_does_not_have_are_told(npz):
    seconds = 1.7e9 + np.arange(60) * 60
    source = npz(inputs=np.column_stack([FEATURES, seconds, np.full(60, 0.1)]), labels=LABELS)
    (note,) = load(DataConfig(source=source)).notes
    assert note.endswith("data.npz loses precision in float32 in columns 4: subtract an offset")
    assert load(DataConfig(source=npz(inputs=FEATURES > 0, labels=LABELS))).train.inputs.dtype == np.float32


def test_new_inputs_are_read_with_or_without_labels(npz):
    found = read_inputs(npz(inputs=FEATURES[:5]), SCHEMA, DataConfig())
    assert found.labels is None
    assert found.ids == ("0", "1", "2", "3", "4")
    labels = np.eye(3)[LABELS]
    assert read_inputs(npz(X=FEATURES, y=labels), SCHEMA, DataConfig()).labels.tolist() == LABELS.tolist()
    with pytest.raises(ValueError, match=r"inputs of shape \(2,\), but the model reads \(4,\)"):
        read_inputs(npz(inputs=FEATURES[:, :2]), SCHEMA, DataConfig())
    of_bytes = SCHEMA._replace(dtype="uint8")
    with pytest.raises(
        ValueError, match="inputs of dtype float32, but the model reads uint8, which has a different scale"
    ):
        read_inputs(npz(inputs=FEATURES), of_bytes, DataConfig())
    assert read_inputs(npz(inputs=FEATURES.astype(np.uint8)), of_bytes, DataConfig()).inputs.dtype == np.uint8
    with pytest.raises(ValueError, match="the model reads images or features"):
        read_inputs("texts:a.csv", SCHEMA, DataConfig())
    with pytest.raises(ValueError, match="the model was trained on 'digits'"):
        read_inputs("cifar10", SCHEMA, DataConfig())
    with pytest.raises(ValueError, match=r"labels of .* hold '3' \(row 2\), expected one of '0', '1', '2'"):
        read_inputs(npz(inputs=FEATURES, labels=LABELS + 1), SCHEMA, DataConfig())


def test_labels_are_those_of_the_model_by_name(npz):
    schema = SCHEMA._replace(class_names=("10", "37", "200000"))
    values = np.array([37, 10, 200_000])[LABELS]
    found = read_inputs(npz(inputs=FEATURES, labels=values), schema, DataConfig())
    assert found.labels.tolist() == np.array([1, 0, 2])[LABELS].tolist()
    named = SCHEMA._replace(class_names=("b", "a", "c"))
    found = read_inputs(npz(inputs=FEATURES, labels=LABELS, class_names=list("abc")), named, DataConfig())
    assert found.labels.tolist() == np.array([1, 0, 2])[LABELS].tolist()
    assert found.notes == ()
    found = read_inputs(npz(inputs=FEATURES, labels=LABELS), named, DataConfig())
    assert found.labels.tolist() == LABELS.tolist()
    assert found.notes[0].endswith("are read as indices of the model's classes, counted from 0")
    with pytest.raises(ValueError, match=r"hold 3 \(row 2\), expected whole numbers from 0 to 2"):
        read_inputs(npz(inputs=FEATURES, labels=LABELS + 1), named, DataConfig())


@pytest.mark.parametrize(
    ("training", "testing"),
    [
        (("inputs", "labels"), ("test_inputs", "test_labels")),
        (("inputs", "labels"), ("x_test", "y_test")),
        (("x_train", "y_train"), ("x_test", "y_test")),
        (("train_images", "train_labels"), ("test_images", "test_labels")),
    ],
)
def test_what_a_file_sets_apart_to_test_on_is_what_is_predicted(npz, training, testing):
    arrays = dict(
        zip((*training, *testing), (FEATURES[:50], LABELS[:50], FEATURES[50:], LABELS[50:]), strict=True)
    )
    source = npz(**arrays)
    found = read_inputs(source, SCHEMA, DataConfig())
    assert found.named("npz:file") == f"npz:file, {testing[0]}"
    assert found.notes == ()
    np.testing.assert_array_equal(found.inputs, load(DataConfig(source=source)).test.inputs)
    assert found.labels.tolist() == LABELS[50:].tolist()
    del arrays[testing[1]]
    unlabelled = read_inputs(npz(**arrays), SCHEMA, DataConfig())
    assert (len(unlabelled.inputs), unlabelled.labels) == (10, None)
    for name in (testing[0], training[1]):
        arrays.pop(name)
    assert read_inputs(npz(**arrays), SCHEMA, DataConfig()).part == training[0]


def test_new_inputs_have_as_many_labels(npz):
    with pytest.raises(ValueError, match=r"labels of .* have 60 entries for 9 inputs"):
        read_inputs(npz(inputs=FEATURES[:9], labels=LABELS), SCHEMA, DataConfig())
