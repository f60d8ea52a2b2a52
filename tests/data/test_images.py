import shutil
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from laya_jax.data import DataConfig, Preprocessing, Schema, image_files, load
from laya_jax.data.image_files import ImageFiles
from laya_jax.data.pictures import describe, read_pixels

SCHEMA = Schema(("cat", "dog"), Preprocessing("images", (4, 6, 3), scale=(255.0,)), None, "uint8")


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
