import os
import shutil
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from laya_jax.data import DataConfig, Preprocessing, Schema, image_files, image_kinds, load, read_inputs
from laya_jax.data.image_files import ImageFiles
from laya_jax.data.pictures import describe, read_pixels

SCHEMA = Schema(("cat", "dog"), Preprocessing("images", (4, 6, 3), scale=(255.0,)), None, "uint8")


@pytest.fixture
def photos(tmp_path):
    """Two classes of 20 images of 6 x 4 pixels, whose red says their number."""
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(20):
            image = Image.new("RGB", (6, 4), (number, 0, 255 * (name == "dog")))
            image.save(tmp_path / "photos" / name / f"{number:02}.png")
    return tmp_path / "photos"


def source(folder, **fields):
    return DataConfig(source=f"images:{folder}", **fields)


def test_the_checksum_is_of_the_content_and_not_of_the_time(photos, tmp_path):
    first = load(source(photos), decode=False).train.inputs.checksum()
    shutil.copytree(photos, tmp_path / "copy", copy_function=shutil.copyfile)
    assert load(source(tmp_path / "copy"), decode=False).train.inputs.checksum() == first
    changed = tmp_path / "copy" / "cat" / "00.png"
    Image.new("RGB", (6, 4), (99, 0, 0)).save(changed)
    assert load(source(tmp_path / "copy"), decode=False).train.inputs.checksum() != first


def test_ordinary_images_have_the_checksum_that_they_had_in_earlier_versions(tmp_path):
    """Runs and caches made before images were turned upright or laid on a background are known by it."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(4):
            row = bytes([number, 0, 255 * (name == "dog")]) * 6
            (tmp_path / name / f"{number}.ppm").write_bytes(b"P6 3 2 255\n" + row)
            opaque = (b"\0" + bytes([number, 7, 9, 255]) * 3) * 2
            sizes = struct.pack("<HH", len(opaque), len(opaque) ^ 0xFFFF)
            data = b"\x78\x01\x01" + sizes + opaque + struct.pack(">I", zlib.adler32(opaque))
            parts = {b"IHDR": struct.pack(">IIBBBBB", 3, 2, 8, 6, 0, 0, 0), b"IDAT": data, b"IEND": b""}
            content = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts.items())
            (tmp_path / name / f"{number}a.png").write_bytes(content)
    found = [describe(path) for path in sorted(tmp_path.rglob("*.*"))]
    assert ImageFiles(found, (2, 3, 3), resize=False).checksum() == 1848340509


@pytest.mark.parametrize("change", ["orientation", "transparency", "16 bits"])
def test_the_checksum_changes_with_how_an_image_is_read(tmp_path, change):
    path, image = (
        tmp_path / "x.png",
        Image.new("RGBA", (4, 4), (0, 0, 0, 0 if change == "transparency" else 255)),
    )
    exif = Image.Exif()
    exif[0x0112] = 6 if change == "orientation" else 1
    (Image.fromarray(np.ones((4, 4), np.uint16)) if change == "16 bits" else image).save(path, exif=exif)
    found = describe(path)
    files = ImageFiles([found], (4, 4, 3), resize=False)
    stored = ImageFiles([found._replace(traits=())], (4, 4, 3), resize=False)
    assert files.checksum() != stored.checksum()
    other = ImageFiles([found], (4, 4, 3), resize=False, background="black")
    assert (other.checksum() != files.checksum()) == (change == "transparency")


def test_folders_are_classes_and_hidden_files_are_not_there(photos):
    before = load(source(photos), decode=False).train.inputs.checksum()
    (photos / ".cache").mkdir()
    (photos / "cat" / ".ipynb_checkpoints").mkdir()
    shutil.copy(photos / "cat" / "01.png", photos / "cat" / ".ipynb_checkpoints" / "01-checkpoint.png")
    (photos / "__MACOSX" / "cat").mkdir(parents=True)
    (photos / "__MACOSX" / "cat" / "._01.png").write_bytes(b"")
    assert load(source(photos), decode=False).train.inputs.checksum() == before
    assert load(source(photos)).notes == ()
    (photos / "cat" / ".hidden.png").write_bytes(b"")
    (photos / "cat" / "notes.txt").write_text("no image")
    dataset = load(source(photos))
    assert dataset.class_names == ("cat", "dog")
    assert dataset.preprocessing == Preprocessing("images", (4, 6, 3), scale=(255.0,))
    assert sum(len(split.labels) for split in (dataset.train, dataset.validation, dataset.test)) == 40
    assert np.array_equal(dataset.train.inputs[:, 0, 0, 2] == 255, dataset.train.labels == 1)


def test_images_are_known_by_their_names(photos):
    dataset = load(source(photos))
    for split, names in zip((dataset.train, dataset.validation, dataset.test), dataset.ids, strict=True):
        kinds, numbers = zip(*(name.removesuffix(".png").split("/") for name in names), strict=True)
        assert [dataset.class_names[label] for label in split.labels] == list(kinds)
        assert split.inputs[:, 0, 0, 0].tolist() == list(map(int, numbers))


def test_a_test_folder_is_the_test_split(photos, tmp_path):
    (tmp_path / "both").mkdir()
    photos.rename(tmp_path / "both" / "train")
    (tmp_path / "both" / "test" / "dog").mkdir(parents=True)
    Image.new("RGB", (6, 4), (99, 0, 0)).save(tmp_path / "both" / "test" / "dog" / "x.png")
    dataset = load(source(tmp_path / "both"))
    assert dataset.test.labels.tolist() == [1]
    assert dataset.test.inputs[0, 0, 0].tolist() == [99, 0, 0]
    assert len(dataset.train.labels) + len(dataset.validation.labels) == 40


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "LA"])
def test_images_of_any_mode_become_grey_or_colour(photos, mode):
    grey_alone = mode in ("L", "1")
    for path in photos.rglob("*.png"):
        image = Image.open(path).convert(mode)
        image.save(path.with_suffix(".tif"))
        image.close()
        path.unlink()
    assert load(source(photos)).preprocessing.shape == (4, 6, 1 if grey_alone else 3)


def test_mixed_sizes_are_refused_unless_they_are_resized(photos):
    Image.new("RGB", (9, 9)).save(photos / "dog" / "large.png")
    with pytest.raises(
        ValueError, match=r"large\.png has 9 x 9 pixels, but others have 6 x 4.*--data\.image-size"
    ):
        load(source(photos))
    assert load(source(photos, image_size=5)).train.inputs.shape[1:] == (5, 5, 3)


def test_resizing_keeps_the_middle(tmp_path):
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = 200
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    assert (read_pixels(describe(tmp_path / "wide.png"), 10, 3, "white") == 200).mean() > 0.9


def test_what_is_no_folder_of_images_is_refused(photos, tmp_path):
    (tmp_path / "empty" / "class").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        load(source(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="empty has no images in sub-folders"):
        load(source(tmp_path / "empty"))
    content = (photos / "cat" / "00.png").read_bytes()
    for broken in (b"", b"no image", content[: len(content) // 2]):
        (photos / "cat" / "00.png").write_bytes(broken)
        with pytest.raises(ValueError, match=r"00\.png cannot be read as an image"):
            load(source(photos))


def test_one_class_is_refused(photos):
    for path in photos.glob("dog/*"):
        path.unlink()
    with pytest.raises(ValueError, match=r"one class only \(cat\)"):
        load(source(photos))


def test_the_last_images_of_a_folder_are_all_of_a_class(photos):
    with pytest.raises(ValueError, match=r"holds out all examples of dog, expected 'shuffled'"):
        load(source(photos, split="last", test_fraction=0.5))


def test_a_folder_that_is_too_large_to_decode_is_read_as_it_is_needed(photos, monkeypatch):
    at_once = load(source(photos))
    monkeypatch.setattr(image_files, "LARGEST_DECODED", 1000)
    lazy = load(source(photos)).train
    assert isinstance(lazy.inputs, ImageFiles)
    assert lazy.inputs.nbytes == at_once.train.inputs.nbytes
    rows = np.array([3, 0, 3])
    assert np.array_equal(lazy.inputs[rows], at_once.train.inputs[rows])


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
