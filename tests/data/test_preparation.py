"""Named data sets, prepared from small originals that a real server on localhost has."""

import gzip
import json
import os
import resource
import shutil
import signal
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow_datasets as tfds
from file_server import serving
from small_originals import CLASSES, IMDB, archive, described, originals, run_laya
from tensorflow_datasets.image_classification import cifar, mnist

from laya_jax.data import DataConfig, load, preparation, prepare
from laya_jax.data.originals import original_files, read_originals
from laya_jax.data.prepared import find_builder
from laya_jax.training import EXPERIMENTS


@pytest.fixture
def server(monkeypatch):
    """A server that has the small originals, which are taken for the real ones."""
    tfds.disable_progress_bar()
    with serving() as server:
        content = originals()
        for files in content.values():
            server.files.update({f"/{name}": file for name, file in files.items()})
        monkeypatch.setattr(
            preparation,
            "original_files",
            lambda source, mirror=None: described(content[source], server.url),
        )
        yield server


def put_originals(folder, source):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in originals()[source].items():
        (folder / name).write_bytes(content)
    return folder


def rows(source, directory, split):
    return list(find_builder(source, directory).as_data_source(split=split))


@pytest.mark.parametrize("source", ["fashion_mnist", "cifar10", "imdb_reviews"])
def test_a_data_set_is_prepared_once_and_loaded(server, tmp_path, source, capfd):
    heard = []
    made = prepare(source, tmp_path, moved=lambda *moved: heard.append(moved))
    assert str(made) == find_builder(source, tmp_path).data_dir
    assert not [path for path in made.parent.iterdir() if path != made]
    asked = len(server.requests)
    assert asked == len(originals()[source])
    assert prepare(source, tmp_path) == made
    assert len(server.requests) == asked
    assert heard[-1][:2] == (f"writing {source}", "examples")
    assert heard[-1][2] == heard[-1][3]
    assert capfd.readouterr().out == ""
    dataset = load(DataConfig(source=source, directory=str(tmp_path), split="last"))
    sizes = {"fashion_mnist": (81, 9, 30), "cifar10": (45, 5, 10), "imdb_reviews": (20, 2, 2)}[source]
    assert tuple(len(split.labels) for split in (dataset.train, dataset.validation, dataset.test)) == sizes


def oracle(source, folder, monkeypatch):
    """Examples as tensorflow-datasets' own generators make them, with Python's files for TensorFlow's."""
    builder = tfds.builder(source, data_dir=str(folder))
    files = SimpleNamespace(io=SimpleNamespace(gfile=SimpleNamespace(GFile=open)))
    monkeypatch.setattr(mnist, "tf", files)
    monkeypatch.setattr(cifar, "tf", files)
    if source == "cifar10":
        shutil.unpack_archive(folder / "cifar-10-binary.tar.gz", folder, filter="data")
        manager = SimpleNamespace(download_and_extract=lambda url: folder)
        return {str(split): list(rows) for split, rows in builder._split_generators(manager).items()}
    made = {}
    for split, prefix, number in (("train", "train", 90), ("test", "t10k", 30)):
        paths = []
        for name in ("images-idx3", "labels-idx1"):
            path = folder / f"{prefix}-{name}"
            path.write_bytes(gzip.decompress((folder / f"{path.name}-ubyte.gz").read_bytes()))
            paths.append(path)
        made[split] = list(builder._generate_examples(number, *paths))
    return made


@pytest.mark.parametrize("source", ["fashion_mnist", "cifar10"])
def test_images_keys_and_labels_are_those_of_tensorflow_datasets(tmp_path, monkeypatch, source):
    folder = put_originals(tmp_path / "originals", source)
    builder = find_builder(source, tmp_path)
    splits = read_originals(builder, folder)
    expected = oracle(source, folder, monkeypatch)
    assert list(splits) == list(expected)
    for name, split in splits.items():
        made = list(split.examples)
        assert split.number == len(made) == len(expected[name])
        for (key, example), (true_key, true) in zip(made, expected[name], strict=True):
            assert key == true_key
            assert example.keys() == true.keys()
            assert example["label"] == true["label"]
            assert example.get("id") == true.get("id")
            assert np.array_equal(np.asarray(example["image"]), true["image"].squeeze())
    if source == "cifar10":
        assert tuple(builder.info.features["label"].names) == CLASSES


def test_texts_are_those_of_the_archive_by_their_path(server, tmp_path):
    splits = read_originals(
        find_builder("imdb_reviews", tmp_path), put_originals(tmp_path / "originals", "imdb_reviews")
    )
    made = {name: dict(split.examples) for name, split in splits.items()}
    assert {name: len(examples) for name, examples in made.items()} == {
        name: split.number for name, split in splits.items()
    }
    assert {path: row["text"] for examples in made.values() for path, row in examples.items()} == {
        path: text.strip() for path, text in IMDB.items() if path.endswith(".txt")
    }
    assert {path for path, row in made["train"].items() if row["label"] == "neg"} == {
        path for path in IMDB if path.startswith("aclImdb/train/neg/")
    }
    prepare("imdb_reviews", tmp_path)
    assert [row["label"] for row in rows("imdb_reviews", tmp_path, "unsupervised")] == [-1]
    assert {row["text"] for row in rows("imdb_reviews", tmp_path, "test")} == {b"A fine film.", b"No."}
    assert (tmp_path / "imdb_reviews" / ".config" / "metadata.json").exists()


def test_the_originals_are_those_that_tensorflow_datasets_knows():
    fashion, cifar10, imdb = map(original_files, ("fashion_mnist", "cifar10", "imdb_reviews"))
    assert {file.name for file in fashion} == set(originals()["fashion_mnist"])
    assert [file.name for file in (*cifar10, *imdb)] == ["cifar-10-binary.tar.gz", "aclImdb_v1.tar.gz"]
    assert imdb[0].sha256 == "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe"
    assert original_files("imdb_reviews", "http://here/data/")[0].url == "http://here/data/aclImdb_v1.tar.gz"


def test_originals_put_there_by_hand_need_no_network(server, tmp_path):
    put_originals(tmp_path / "downloads" / "laya" / "fashion_mnist", "fashion_mnist")
    prepare("fashion_mnist", tmp_path)
    assert server.requests == []


def test_no_network_is_told_with_what_to_do(server, tmp_path):
    server.files.clear()
    with pytest.raises(ConnectionError) as error:
        prepare("fashion_mnist", tmp_path)
    message = str(error.value)
    assert "laya prepare fashion_mnist --mirror URL" in message
    assert f"put into {tmp_path / 'downloads' / 'laya' / 'fashion_mnist'}: train-images" in message
    assert all(name in message for name in originals()["fashion_mnist"])
    assert "\n" not in message


def test_an_archive_that_is_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("laya_jax.data.originals.LARGEST", 1_000_000)
    (tmp_path / "aclImdb_v1.tar.gz").write_bytes(archive({"aclImdb/train/neg/0_1.txt": bytes(2_000_000)}))
    with pytest.raises(ValueError, match="unpacks to more than 1,000,000 bytes"):
        read_originals(find_builder("imdb_reviews", tmp_path), tmp_path)


@pytest.mark.parametrize("content", [b"", b"no archive", archive({"else": b"1"}), archive(IMDB)[:-300]])
def test_archives_of_another_kind_are_one_line(tmp_path, content):
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(content)
    with pytest.raises(ValueError, match=r"cifar10 in .* cannot be read|no array"):
        read_originals(find_builder("cifar10", tmp_path), tmp_path)


def test_a_disk_without_room_is_told_before_anything_is_downloaded(server, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=20_000))
    with pytest.raises(OSError, match="preparing cifar10 needs 0 MB, but 0 MB are free"):
        prepare("cifar10", tmp_path)
    assert server.requests == []


def test_a_disk_that_fills_up_while_records_are_written_leaves_nothing(server, tmp_path):
    put_originals(tmp_path / "downloads" / "laya" / "cifar10", "cifar10")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(OSError, match=r"File too large"):
            prepare("cifar10", tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((tmp_path / "cifar10").iterdir()) == []
    prepare("cifar10", tmp_path)
    assert len(rows("cifar10", tmp_path, "train")) == 50


def test_a_directory_without_its_description_is_not_touched(server, tmp_path):
    (tmp_path / "cifar10" / "3.0.2").mkdir(parents=True)
    with pytest.raises(FileExistsError, match=r"3\.0\.2 is incomplete; delete it"):
        prepare("cifar10", tmp_path)
    assert server.requests == []


def test_the_second_of_two_processes_waits_for_the_first(server, tmp_path):
    begun, waits, heard = threading.Event(), threading.Event(), []

    def first(*moved):
        begun.set()
        assert waits.wait(60)

    def second(what, *moved):
        heard.append(what)
        waits.set()

    thread = threading.Thread(target=prepare, args=("imdb_reviews", tmp_path), kwargs={"moved": first})
    thread.start()
    assert begun.wait(60)
    prepare("imdb_reviews", tmp_path, moved=second)
    thread.join()
    assert heard == ["waiting for another process to prepare imdb_reviews"]
    assert len(server.requests) == 1


DIES = """
import os, signal
from laya_jax.cli.console import Console

def moved(self, what, *moved):
    if {when}:
        os.kill(os.getpid(), signal.SIGKILL)

Console.preparing = moved
"""


@pytest.mark.slow
def test_killed_while_downloading_it_goes_on(server, tmp_path):
    arguments = ("prepare", "cifar10", "--data.directory", tmp_path)
    killed = run_laya(server, "cifar10", *arguments, before=DIES.format(when="'downloading' in what"))
    assert killed.returncode == -signal.SIGKILL
    (part,) = (tmp_path / "downloads" / "laya" / "cifar10").iterdir()
    assert part.name == "cifar-10-binary.tar.gz.part"
    assert not (tmp_path / "cifar10").exists()
    prepare("cifar10", tmp_path)
    assert len(rows("cifar10", tmp_path, "test")) == 10


@pytest.mark.slow
def test_killed_while_records_are_written_nothing_is_there_and_the_next_one_tidies_up(server, tmp_path):
    arguments = ("prepare", "cifar10", "--data.directory", tmp_path)
    killed = run_laya(server, "cifar10", *arguments, before=DIES.format(when="'writing' in what"))
    assert killed.returncode == -signal.SIGKILL
    (draft,) = (tmp_path / "cifar10").iterdir()
    assert draft.name.startswith(".")
    assert not find_builder("cifar10", tmp_path).is_prepared()
    prepare("cifar10", tmp_path)
    assert [path.name for path in (tmp_path / "cifar10").iterdir()] == ["3.0.2"]


@pytest.mark.slow
def test_neither_tensorflow_nor_torch_is_imported_even_if_they_are_there(server, tmp_path):
    for name in ("tensorflow", "torch"):
        (tmp_path / "bait" / name).mkdir(parents=True)
        (tmp_path / "bait" / name / "__init__.py").write_text(f"raise SystemExit('{name} is imported')")
    paths = [str(tmp_path / "bait"), os.environ.get("PYTHONPATH", "")]
    arguments = ("prepare", "cifar10", "--data.directory", tmp_path, "--json")
    ended = run_laya(server, "cifar10", *arguments, PYTHONPATH=os.pathsep.join(paths))
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["examples"] == {"train": 50, "test": 10}
    assert ended.stderr.splitlines()[-1].startswith("cifar10 is now in")


def test_the_paths_name_the_environments_directory_and_none_that_is_no_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert find_builder("cifar10").data_dir == str(tmp_path / "cifar10" / "3.0.2")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert find_builder("cifar10", "~/x").data_dir == str(tmp_path / "home" / "x" / "cifar10" / "3.0.2")
    monkeypatch.setenv("TFDS_DATA_DIR", "")
    assert find_builder("cifar10").data_dir.startswith(str(tmp_path / "home" / "tensorflow_datasets"))
    with pytest.raises(ValueError, match=r"data\.directory is gs://bucket, expected a local path"):
        find_builder("cifar10", "gs://bucket")
    with pytest.raises(ValueError, match=r"is ~nobody-here/x, but there is no home directory"):
        find_builder("cifar10", "~nobody-here/x")


def test_every_experiment_that_needs_it_can_be_prepared():
    sources = {config.data.source for config in EXPERIMENTS.values()} - {"digits"}
    assert all(original_files(source) for source in sources)
