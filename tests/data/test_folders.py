import pytest

from laya_jax.data.folders import beside_classes, classes_in, is_hidden, names_of, splits_in


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("Train", "TEST"), {"train": "Train", "test": "TEST"}),
        (("training", "testing", "dev"), {"train": "training", "validation": "dev", "test": "testing"}),
        (("train ", "valid"), {"train": "train ", "validation": "valid"}),
        (("val", "test"), {"validation": "val", "test": "test"}),
        (("cat", "dog"), {}),
        ((), {}),
    ],
)
def test_folders_of_splits_are_known_by_their_names(tmp_path, names, expected):
    for name in names:
        (tmp_path / name).mkdir()
    assert {split: path.name for split, path in splits_in(tmp_path).items()} == expected


@pytest.mark.parametrize(
    "names", [("train", "val", "validation"), ("Test", "test", "train"), ("train", "dev", "valid")]
)
def test_two_folders_of_one_split_are_refused(tmp_path, names):
    for name in names:
        (tmp_path / name).mkdir()
    with pytest.raises(
        ValueError, match=f"has the folders {', '.join(sorted(names))}, expected .* one folder for each"
    ):
        splits_in(tmp_path)


def test_folders_that_may_be_splits_or_classes_are_refused(tmp_path):
    for name in ("bus", "car", "train"):
        (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match="if train is a class, move all of them into a folder named train"):
        splits_in(tmp_path)
    (tmp_path / "all").mkdir()
    for name in ("bus", "car", "train"):
        (tmp_path / name).rename(tmp_path / "all" / name)
    (tmp_path / "all").rename(tmp_path / "train")
    assert list(splits_in(tmp_path)) == ["train"]
    assert list(classes_in(tmp_path / "train")) == ["bus", "car", "train"]


@pytest.mark.parametrize(
    "names",
    [
        ("test_set", "training_set"),
        ("seg_test", "seg_train"),
        ("TestSet", "TrainSet", "single_prediction"),
        ("train2017", "val2017"),
        ("train-images", "valid-images"),
    ],
)
def test_folders_that_seem_to_be_splits_are_no_classes(tmp_path, names):
    for name in names:
        (tmp_path / name).mkdir()
    with pytest.raises(
        ValueError, match=f"{names[0]} and {names[1]} seem to be splits, expected the names train"
    ):
        splits_in(tmp_path)


@pytest.mark.parametrize(
    "names", [("blood_test", "road_test"), ("restrain", "contest"), ("train_a", "train_b")]
)
def test_folders_named_after_one_split_are_classes(tmp_path, names):
    for name in names:
        (tmp_path / name).mkdir()
    assert splits_in(tmp_path) == {}


def test_the_first_folder_is_the_class_and_hidden_ones_are_not_there(tmp_path):
    make(
        tmp_path,
        "cat/1.png",
        "cat/dog/0.png",
        "cat/2023/05/x.png",
        "dog/b.png",
        "dog/a.png",
        "stray.png",
        ".x",
    )
    make(tmp_path, "cat/.ipynb_checkpoints/1.png", "__MACOSX/cat/1.png", "dog/@eaDir/a.png", "cat/._1.png")
    make(
        tmp_path,
        "cat/2023/.hidden/y.png",
        "$RECYCLE.BIN/a.png",
        "System Volume Information/a",
        "cat/Thumbs.db",
    )
    found = {name: names_of(paths, tmp_path) for name, paths in classes_in(tmp_path).items()}
    assert found == {
        "cat": ["cat/1.png", "cat/2023/05/x.png", "cat/dog/0.png"],
        "dog": ["dog/a.png", "dog/b.png"],
    }
    assert names_of(beside_classes(tmp_path), tmp_path) == ["stray.png"]
    assert not is_hidden("cat")


def test_links_to_class_folders_are_followed_and_others_are_listed(tmp_path):
    make(tmp_path, "elsewhere/1.png")
    (tmp_path / "data" / "dog").mkdir(parents=True)
    (tmp_path / "data" / "cat").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "dog" / "loop").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "dog" / "lost.png").symlink_to(tmp_path / "nowhere")
    found = {name: [path.name for path in paths] for name, paths in classes_in(tmp_path / "data").items()}
    assert found == {"cat": ["1.png"], "dog": ["loop", "lost.png"]}


def test_names_that_are_not_utf_8_can_be_written_and_told_apart(tmp_path):
    (tmp_path / "caf\udce9").mkdir()
    for name in ("\udce9.png", "\\xe9.png", "é.png"):
        (tmp_path / "caf\udce9" / name).touch()
    ((name, paths),) = classes_in(tmp_path).items()
    assert name == "caf\\xe9"
    names = names_of(paths, tmp_path)
    assert sorted(names) == ["caf\\xe9/\\xe9.png", "caf\\xe9/\\xe9.png (2)", "caf\\xe9/é.png"]
    assert "\n".join(names).encode()
