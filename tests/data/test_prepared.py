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


class Tiny(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Thirty images whose pixels are their number, written as tensorflow-datasets writes them."""

    name = "tiny"
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(4, 4, 1)),
            "label": tfds.features.ClassLabel(names=["a", "b"]),
        }
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(30), "test": self._generate_examples(10)}

    def _generate_examples(self, number):
        from PIL import Image

        for i in range(number):
            yield i, {"image": Image.new("L", (4, 4), i), "label": i % 2}


def test_a_prepared_set_comes_back_whole(tmp_path, monkeypatch):
    def builder(name, data_dir, file_format):
        return Tiny(data_dir=data_dir, file_format=file_format)

    builder("tiny", str(tmp_path), "array_record").download_and_prepare()
    monkeypatch.setattr(tfds, "builder", builder)
    dataset = load(DataConfig(source="fashion_mnist", directory=str(tmp_path)))
    assert dataset.class_names == ("a", "b")
    values = np.concatenate([split.inputs[:, 0, 0, 0] for split in (dataset.train, dataset.validation)])
    labels = np.concatenate([dataset.train.labels, dataset.validation.labels])
    assert sorted(values) == list(range(30))
    assert np.array_equal(values % 2, labels)
    assert sorted(dataset.test.inputs[:, 0, 0, 0]) == list(range(10))


def test_a_set_that_cannot_be_prepared_says_what_to_run(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise ConnectionError("no network")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", refuse)
    with pytest.raises(FileNotFoundError, match=r"'cifar10' is not prepared in .*ConnectionError") as error:
        prepared.load_prepared(DataConfig(source="cifar10", directory=str(tmp_path)))
    assert "tfds.builder('cifar10', data_dir=" in str(error.value)
    assert "\n" not in str(error.value)
