import io
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from laya_jax.data import DataConfig, load, prepared

CODE = """
import sys
import numpy as np
from laya_jax.data import DataConfig, load
dataset = load(DataConfig(source={name!r}, split="last", normalize={normalize}))
splits = (dataset.train, dataset.validation, dataset.test)
print([split.inputs.shape for split in splits], dataset.train.inputs.dtype)
print(sum(np.bincount(split.labels) for split in splits).tolist())
words = dataset.encoder.words if dataset.encoder else ()
print(len(words) + 2, "br" in words)
print("tensorflow" in sys.modules)
"""


def is_prepared(name):
    return tfds.builder(name, file_format="array_record").is_prepared()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shape", "dtype", "sizes", "labels"),
    [
        ("fashion_mnist", (28, 28, 1), "uint8", (54_000, 6_000, 10_000), [7_000] * 10),
        ("cifar10", (32, 32, 3), "uint8", (45_000, 5_000, 10_000), [6_000] * 10),
        ("imdb_reviews", (256,), "int32", (22_500, 2_500, 25_000), [25_000] * 2),
    ],
)
def test_the_real_data_sets_are_read_without_tensorflow(name, shape, dtype, sizes, labels):
    if not is_prepared(name):
        pytest.skip(f"{name} is not prepared on this machine")
    code = CODE.format(name=name, normalize=name == "cifar10")
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[:2] == [f"{[(size, *shape) for size in sizes]} {dtype}", str(labels)]
    assert printed.splitlines()[2] == ("20000 False" if name == "imdb_reviews" else "2 False")
    assert printed.splitlines()[3] == "False"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Thirty images whose pixels are their number, as tensorflow-datasets writes cifar10."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("data")
    builder = tfds.builder("cifar10", data_dir=str(folder))

    def examples(number):
        for i in range(number):
            yield i, {"image": Image.new("RGB", (32, 32), (i, i, i)), "label": i % 10, "id": str(i)}

    builder._split_generators = lambda manager: {"train": examples(30), "test": examples(10)}
    builder.download_and_prepare(file_format="array_record")
    return folder


@pytest.fixture
def folder(written, tmp_path):
    """A copy of them, to be damaged."""
    shutil.copytree(written / "cifar10", tmp_path / "cifar10")
    return tmp_path


def test_a_prepared_set_comes_back_whole(written):
    dataset = load(DataConfig(source="cifar10", directory=str(written)))
    assert dataset.class_names == tuple("0123456789")
    values = np.concatenate([split.inputs[:, 0, 0, 0] for split in (dataset.train, dataset.validation)])
    labels = np.concatenate([dataset.train.labels, dataset.validation.labels])
    assert sorted(values) == list(range(30))
    assert np.array_equal(values % 10, labels)
    assert sorted(dataset.test.inputs[:, 0, 0, 0]) == list(range(10))


def test_a_set_that_is_not_there_says_what_to_run_and_downloads_nothing(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        load(DataConfig(source="cifar10", directory=str(tmp_path)))
    assert str(error.value) == (
        f"data.source is 'cifar10', which is not in {tmp_path}/cifar10/3.0.2; to download it (171 MB), "
        f"run: laya prepare cifar10 --data.directory {tmp_path}"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("cifar10-train.array_record-00000-of-00001", lambda path: path.unlink()),
        ("cifar10-train.array_record-00000-of-00001", lambda path: path.write_bytes(b"")),
        ("dataset_info.json", lambda path: path.write_text("{")),
        ("dataset_info.json", lambda path: path.write_text(path.read_text().replace('"30"', '"31"'))),
        ("label.labels.txt", lambda path: path.write_text("cat\ndog\n")),
    ],
)
def test_damaged_files_are_one_line_that_says_what_to_do(folder, name, damage):
    damage(folder / "cifar10" / "3.0.2" / name)
    with pytest.raises(ValueError, match=r"cifar10.* cannot be read .*run: laya prepare cifar10") as error:
        load(DataConfig(source="cifar10", directory=str(folder)))
    assert "\n" not in str(error.value)


def test_a_flipped_bit_in_the_records_is_found(folder):
    path = folder / "cifar10" / "3.0.2" / "cifar10-train.array_record-00000-of-00001"
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[content.index(b"PNG") + 40] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(ValueError, match="cannot be read"):
        load(DataConfig(source="cifar10", directory=str(folder)))


def test_files_that_only_tensorflow_reads_are_refused(folder):
    path = folder / "cifar10" / "3.0.2" / "dataset_info.json"
    path.write_text(path.read_text().replace('"array_record"', '"tfrecord"'))
    with pytest.raises(
        ValueError,
        match=r"has tfrecord files, which only TensorFlow can read; prepare the data set elsewhere",
    ):
        load(DataConfig(source="cifar10", directory=str(folder)))


def test_an_image_of_another_size_is_refused_before_it_is_decoded(monkeypatch):
    from PIL import Image

    into = io.BytesIO()
    Image.new("L", (5000, 5000)).save(into, "PNG")
    monkeypatch.setattr(Image.Image, "load", lambda image: pytest.fail("it is decoded"))
    with pytest.raises(ValueError, match="an image has 5000 x 5000 pixels"):
        prepared._decode([into.getvalue()], (28, 28, 1))
