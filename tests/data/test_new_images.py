import shutil

import pytest
from PIL import Image

from laya_jax.data import DataConfig, Preprocessing, Schema, load, read_inputs

SCHEMA = Schema(("cat", "dog"), Preprocessing("images", (4, 6, 3), scale=(255.0,)), None, "uint8")


def source(folder, **fields):
    return DataConfig(source=f"images:{folder}", **fields)


def new(folder, **options):
    """Images that a model of cats and dogs of 6 x 4 pixels reads."""
    return read_inputs(f"images:{folder}", SCHEMA, DataConfig(), **options)


def test_new_images_are_read_from_any_folder(photos, tmp_path):
    labelled = new(photos)
    assert labelled.labels.tolist() == [0] * 20 + [1] * 20
    assert labelled.ids[0] == "cat/00.png"
    assert (labelled.part, labelled.notes) == (None, ())
    (photos / "cat").rename(tmp_path / "new")
    flat = new(tmp_path / "new")
    assert (len(flat.ids), flat.labels, flat.notes) == (20, None, ())
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="has no images"):
        new(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match=r"has no images in class folders, .*; skipped 20 files"):
        new(tmp_path / "new", labelled=True)


def test_every_command_takes_the_first_folder_for_the_class(photos):
    for place in ("cat/dog", "cat/2023/05", "cat/unknown"):
        (photos / place).mkdir(parents=True)
        Image.new("RGB", (6, 4), (99, 0, 0)).save(photos / place / "more.png")
    dataset = load(source(photos))
    trained = {
        name: dataset.class_names[label]
        for ids, split in zip(dataset.ids, (dataset.train, dataset.validation, dataset.test), strict=True)
        for name, label in zip(ids, split.labels, strict=True)
    }
    for labelled in (False, True):
        found = new(photos, labelled=labelled)
        assert {
            name: dataset.class_names[label] for name, label in zip(found.ids, found.labels, strict=True)
        } == (trained)
    assert trained["cat/dog/more.png"] == trained["cat/2023/05/more.png"] == "cat"


def test_unknown_classes_are_counted_by_name(photos):
    (photos / "dog").rename(photos / "fox")
    Image.new("RGB", (6, 4)).save(photos / "stray.png")
    found = new(photos)
    assert (len(found.ids), found.labels) == (41, None)
    assert found.notes == (
        "labels are not used: fox (20) is not one of the classes, 1 image is outside the class folders",
    )
    with pytest.raises(
        ValueError, match=r"has the class fox \(20 images\), unknown to the model, whose classes are cat, dog"
    ):
        new(photos, labelled=True)
    shutil.rmtree(photos / "fox")
    found = new(photos, labelled=True)
    assert (found.labels.tolist(), found.notes) == (
        [0] * 20,
        ("skipped 1 file outside the class folders: stray.png",),
    )
    assert new(photos).notes == ("labels are not used: 1 image is outside the class folders",)


def test_of_a_folder_with_splits_the_test_split_is_read(photos, tmp_path):
    (tmp_path / "all").mkdir()
    photos.rename(tmp_path / "all" / "Train")
    with pytest.raises(
        ValueError, match=r"has the folders Train, expected a folder test .* such as images:.*/all/Train"
    ):
        new(tmp_path / "all")
    shutil.copytree(tmp_path / "all" / "Train" / "dog", tmp_path / "all" / "TEST" / "dog")
    found = new(tmp_path / "all", labelled=True)
    assert found.labels.tolist() == [1] * 20
    assert found.ids[0] == "TEST/dog/00.png"
    assert found.named("images:all") == "images:all, test split"
    assert load(source(tmp_path / "all")).test.labels.tolist() == [1] * 20
    (tmp_path / "all" / "TEST" / "dog").rename(tmp_path / "all" / "flat")
    (tmp_path / "all" / "TEST").rmdir()
    (tmp_path / "all" / "flat").rename(tmp_path / "all" / "test")
    assert new(tmp_path / "all").labels is None
    assert "skipped 20 files outside the class folders: test/00.png and 19 more (.png 20)" in (
        load(source(tmp_path / "all")).notes
    )
    (tmp_path / "all" / "Train").rename(tmp_path / "all" / "val")
    with pytest.raises(ValueError, match="has the folders val, test, expected a folder train"):
        load(source(tmp_path / "all"))


def test_what_a_model_reads_is_said_where_sizes_differ(photos):
    Image.new("RGB", (9, 5)).save(photos / "dog" / "large.png")
    with pytest.raises(
        ValueError, match=r"large\.png has 9 x 5 pixels, but the model reads 6 x 4; resize it first$"
    ):
        new(photos)


@pytest.mark.parametrize(("channels", "dtype"), [(4, "uint8"), (3, "float32")])
def test_a_model_of_other_inputs_does_not_read_images(photos, channels, dtype):
    schema = SCHEMA._replace(preprocessing=Preprocessing("images", (4, 6, channels)), dtype=dtype)
    with pytest.raises(
        ValueError, match=r"4 channels, expected 1 or 3|reads float32, which has a different scale"
    ):
        read_inputs(f"images:{photos}", schema, DataConfig())
