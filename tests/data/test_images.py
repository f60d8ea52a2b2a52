import shutil

import numpy as np
import pytest
from PIL import Image

from laya_jax.data import DataConfig, Preprocessing, Schema, images, load, read_inputs


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


def test_folders_are_classes_and_hidden_files_are_not_there(photos):
    (photos / ".cache").mkdir()
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
        ValueError, match=r"large\.png is of 9 x 9 pixels, but others are of 6 x 4.*--data\.image-size"
    ):
        load(source(photos))
    assert load(source(photos, image_size=5)).train.inputs.shape[1:] == (5, 5, 3)


def test_resizing_keeps_the_middle(tmp_path):
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = 200
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    assert (images.read_image(tmp_path / "wide.png", 10, 3) == 200).mean() > 0.9


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
    Image.fromarray(np.full((4, 6), 999, np.uint16)).save(photos / "cat" / "00.png")
    with pytest.raises(ValueError, match=r"00\.png has pixels of mode I;16, expected 8 bits a channel"):
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
    monkeypatch.setattr(images, "LARGEST_DECODED", 1000)
    lazy = load(source(photos)).train
    assert isinstance(lazy.inputs, images.ImageFiles)
    assert lazy.inputs.nbytes == at_once.train.inputs.nbytes
    rows = np.array([3, 0, 3])
    assert np.array_equal(lazy.inputs[rows], at_once.train.inputs[rows])


def test_new_images_are_read_from_any_folder(photos, tmp_path):
    schema = Schema(("cat", "dog"), Preprocessing("images", (4, 6, 3)), None)
    labelled = read_inputs(f"images:{photos}", schema, DataConfig())
    assert labelled.labels.tolist() == [0] * 20 + [1] * 20
    assert labelled.ids[0] == "cat/00.png"
    (photos / "cat").rename(tmp_path / "new")
    assert read_inputs(f"images:{tmp_path / 'new'}", schema, DataConfig()).labels is None
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="has no images"):
        read_inputs(f"images:{tmp_path / 'empty'}", schema, DataConfig())


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
    for folder in ("validation", "valid"):
        (tmp_path / "split" / folder).mkdir()
        with pytest.raises(ValueError, match=f"has the folders .*{folder}.*, expected train, validation"):
            load(source(tmp_path / "split"))
        (tmp_path / "split" / folder).rmdir()
    (tmp_path / "split" / "test" / "Dog").mkdir()
    with pytest.raises(ValueError, match="test has the classes Dog, which train/ has not"):
        load(source(tmp_path / "split"))
    shutil.rmtree(tmp_path / "split" / "test")
    dataset = load(source(tmp_path / "split"))
    assert len(dataset.validation.labels) == 10
    assert len(dataset.train.labels) + len(dataset.test.labels) == 24
