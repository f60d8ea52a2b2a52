import os
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from laya_jax.data import DataConfig, Preprocessing, Schema, image_kinds, load, read_inputs

SCHEMA = Schema(("cat", "dog"), Preprocessing("images", (4, 6, 3), scale=(255.0,)), None, "uint8")


def source(folder, **fields):
    return DataConfig(source=f"images:{folder}", **fields)


def new(folder, **options):
    """Images that a model of cats and dogs of 6 x 4 pixels reads."""
    return read_inputs(f"images:{folder}", SCHEMA, DataConfig(), **options)


def test_what_is_skipped_is_counted_and_named_once(photos):
    (photos / "cat" / "deep").mkdir()
    (photos / "cat" / "deep" / "notes.TXT").write_text("no image")
    for number in range(3):
        (photos / "dog" / f"{number}.xyz").write_bytes(b"no image")
    (photos / "dog" / "lost.png").symlink_to(photos / "nowhere")
    (photos / "labels.csv").write_text("a,b")
    Image.new("RGB", (6, 4)).save(photos / "stray.png")
    (photos / "bird" / "none").mkdir(parents=True)
    (photos / "Dog ").mkdir()
    for path in photos.glob("dog/0*.png"):
        shutil.copy(path, photos / "Dog " / path.stem)  # which is known to be an image all the same
    dataset = load(source(photos))
    assert dataset.class_names == ("Dog ", "cat", "dog")
    skipped, beside, empty, alike, copies, *more = dataset.notes
    assert skipped == (
        "skipped 5 files that Pillow does not recognise as images: cat/deep/notes.TXT and 4 more "
        "(.xyz 3, .txt 1, .png 1)"
    )
    assert beside == "skipped 2 files outside the class folders: labels.csv and 1 more (.csv 1, .png 1)"
    assert empty == "folders without images do not count as classes: bird"
    assert alike == "Dog  and dog are different classes with similar names"
    assert copies.startswith("10 images are in more than one class, with identical files such as ")
    assert len(more) <= 1  # they may be in one split


@pytest.mark.parametrize("known", [False, True])
def test_images_of_telephones_need_an_extra(photos, monkeypatch, known):
    monkeypatch.setattr(image_kinds, "has_to_be_image", lambda path: False)
    monkeypatch.setattr("laya_jax.data.pictures.has_to_be_image", lambda path: False)
    monkeypatch.setattr("laya_jax.data.image_notes.reads_heif", lambda: known)
    for path in (photos / "cat").iterdir():
        path.with_suffix(".heic").write_bytes(b"\0\0\0\x18ftypheic")
    (note,) = load(source(photos)).notes
    assert "cat/00.heic and 19 more (.heic 20)" in note
    assert ("pip install 'laya-jax[heic]'" in note) != known


def test_what_is_changed_is_told(photos):
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.new("RGB", (6, 4)).save(photos / "cat" / "turned.jpg", exif=exif)
    Image.new("RGBA", (6, 4)).save(photos / "cat" / "clear.png")
    Image.new("RGBA", (6, 4)).save(photos / "dog" / "clear.png")
    Image.fromarray(np.ones((4, 6), np.uint16)).save(photos / "dog" / "deep.png")
    turned, clear, deep, *_ = load(source(photos, background="#00ff00")).notes
    assert turned == "1 image is turned upright according to EXIF: cat/turned.jpg"
    told = "2 images are composited on #00ff00 because of transparent pixels (data.background)"
    assert clear == f"{told}: cat/clear.png and 1 more"
    assert deep == "1 image is read with the upper 8 of 16 bits of grey: dog/deep.png"
    assert [note.split(":")[0] for note in new(photos).notes] == [
        note.split(":")[0] for note in (turned, clear.replace("#00ff00", "white"), deep)
    ]


def test_the_background_is_a_colour_of_folders_of_images(photos):
    Image.new("RGBA", (6, 4)).save(photos / "cat" / "clear.png")
    found = load(source(photos, background="#0a141e"))
    every = {
        name: image[0, 0].tolist()
        for ids, split in zip(found.ids, (found.train, found.validation, found.test), strict=True)
        for name, image in zip(ids, split.inputs, strict=True)
    }
    assert every["cat/clear.png"] == [10, 20, 30]
    for wrong in ("", "red", "#12345", 7):
        with pytest.raises(ValueError, match=r"data\.background is .*, expected white, black or #rrggbb"):
            source(photos, background=wrong)
    with pytest.raises(ValueError, match=r"data\.background is 'black', expected 'white' for 'digits'"):
        DataConfig(background="black")


def test_colours_that_are_read_as_grey_are_told(photos):
    for number, path in enumerate(photos.rglob("*.png")):
        Image.new("L", (6, 4), number).save(path)
    grey = Schema(("cat", "dog"), Preprocessing("images", (4, 6, 1)), None, "uint8")
    assert load(source(photos)).notes == ()
    Image.new("RGB", (6, 4)).save(photos / "cat" / "colour.png")
    found = read_inputs(f"images:{photos}", grey, DataConfig())
    assert found.notes == ("1 image is converted to grey: cat/colour.png",)


def test_copies_in_several_classes_or_splits_are_counted(photos, tmp_path):
    assert load(source(photos)).notes == ()
    for part in ("train", "test"):
        shutil.copytree(photos, tmp_path / "split" / part)
    (tmp_path / "split" / "test" / "cat" / "01.png").write_bytes((photos / "dog" / "05.png").read_bytes())
    classes, splits = load(source(tmp_path / "split")).notes
    assert classes.startswith("1 image is in more than one class, with identical files such as ")
    assert splits.startswith("39 images are in more than one split, with identical files such as ")
    for number in range(20):
        shutil.copy(photos / "cat" / "00.png", photos / "cat" / f"copy{number}.png")
    (shuffled,) = load(source(photos)).notes
    assert shuffled.startswith("1 image is in more than one split, with identical files such as cat/")


@pytest.mark.skipif(sys.platform == "darwin", reason="file names there are of one Unicode form")
@pytest.mark.parametrize(("train", "test"), [("cafe\u0301", "caf\u00e9"), ("caf\u00e9 ", "caf\u00e9")])
def test_classes_are_the_same_in_every_form_of_unicode(photos, tmp_path, train, test):
    (photos / "cat").rename(photos / train)
    (tmp_path / "all").mkdir()
    shutil.copytree(photos, tmp_path / "all" / "test")
    photos.rename(tmp_path / "all" / "train")
    (tmp_path / "all" / "test" / train).rename(tmp_path / "all" / "test" / test)
    dataset = load(source(tmp_path / "all"))
    assert set(dataset.class_names) == {train, "dog"}
    assert np.bincount(dataset.test.labels).tolist() == [20, 20]
    schema = SCHEMA._replace(class_names=dataset.class_names)
    found = read_inputs(f"images:{tmp_path / 'all'}", schema, source(tmp_path / "all"), labelled=True)
    np.testing.assert_array_equal(found.labels, dataset.test.labels)
    (tmp_path / "all" / "test" / "dog").rename(tmp_path / "all" / "test" / (test + " "))
    with pytest.raises(ValueError, match=r"test has the class(es)? caf.* missing from train"):
        load(source(tmp_path / "all"))


@pytest.mark.skipif(sys.platform == "darwin", reason="file names are UTF-8 there")
def test_names_that_are_not_utf_8_are_read_and_written(photos):
    (photos / "cat").rename(photos / "caf\udce9")
    os.rename(photos / "dog" / "00.png", photos / "dog" / "\udce9.png")
    dataset = load(source(photos))
    assert dataset.class_names == ("caf\\xe9", "dog")
    assert "dog/\\xe9.png" in np.concatenate(dataset.ids).tolist()
    assert "\n".join([*np.concatenate(dataset.ids), *dataset.class_names]).encode()
    found = read_inputs(f"images:{photos}", SCHEMA._replace(class_names=dataset.class_names), DataConfig())
    assert len(found.labels) == 40
    assert "".join(found.ids).encode()
    with pytest.raises(ValueError, match=r"has the class caf\\xe9 \(20 images\)"):
        new(photos, labelled=True)


def test_splits_that_are_there_are_taken_as_they_are(photos, tmp_path):
    for name, number in (("train", 12), ("validation", 5), ("test", 3)):
        for label in ("cat", "dog"):
            (tmp_path / "split" / name / label).mkdir(parents=True)
            for path in sorted((photos / label).iterdir())[:number]:
                path.rename(tmp_path / "split" / name / label / path.name)
    dataset = load(source(tmp_path / "split"))
    sizes = [len(split.labels) for split in (dataset.train, dataset.validation, dataset.test)]
    assert sizes == [24, 10, 6]
    (tmp_path / "split" / "validation").rename(tmp_path / "split" / "val")
    renamed = load(source(tmp_path / "split"))
    np.testing.assert_array_equal(renamed.validation.inputs, dataset.validation.inputs)
    for folder in ("validation", "valid", "other"):
        (tmp_path / "split" / folder).mkdir()
        with pytest.raises(ValueError, match=f"has the folders .*{folder}.*, expected .*validation"):
            load(source(tmp_path / "split"))
        (tmp_path / "split" / folder).rmdir()
    (tmp_path / "split" / "test" / "Dog").mkdir()
    assert load(source(tmp_path / "split")).class_names == ("cat", "dog")
    shutil.copy(next((tmp_path / "split" / "test" / "dog").iterdir()), tmp_path / "split" / "test" / "Dog")
    with pytest.raises(ValueError, match=r"test has the class Dog \(1 image\), missing from train"):
        load(source(tmp_path / "split"))
    shutil.rmtree(tmp_path / "split" / "test")
    dataset = load(source(tmp_path / "split"))
    assert len(dataset.validation.labels) == 10
    assert len(dataset.train.labels) + len(dataset.test.labels) == 24
