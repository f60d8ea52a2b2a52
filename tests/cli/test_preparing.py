"""``laya prepare``, and ``laya train`` where the data set is missing."""

import json

import pytest
from file_server import serving
from small_originals import described, originals

from laya_jax.cli import preparing
from laya_jax.data import preparation


@pytest.fixture
def server(monkeypatch):
    """A server of the small originals, which are taken for the real ones; its address is $LAYA_MIRROR."""
    with serving() as server:
        content = originals()
        for files in content.values():
            server.files.update({f"/{name}": file for name, file in files.items()})

        def files(source, mirror=None):
            return described(content[source], mirror or "http://nowhere.invalid")

        monkeypatch.setattr(preparation, "original_files", files)
        monkeypatch.setattr(preparing, "original_files", files)
        monkeypatch.setenv("LAYA_MIRROR", server.url)
        yield server


def test_a_data_set_is_prepared_and_the_second_time_it_is_there(laya, server, tmp_path):
    status, out, err = laya("prepare", "fashion-mnist", "--data.directory", "here", "--json")
    assert status == 0, err
    place = "here/fashion_mnist/3.0.1"
    expected = {
        "name": "fashion-mnist",
        "source": "fashion_mnist",
        "directory": place,
        "examples": {"train": 90, "test": 30},
        "notes": [],
    }
    assert json.loads(out) == {**expected, "prepared": True}
    assert f"fashion_mnist is not in {place}: downloading 1 MB" in err
    assert f"fashion-mnist is now in {place}: train 90, test 30" in err
    asked = len(server.requests)
    status, out, err = laya("prepare", "fashion_mnist", "--data.directory", "here", "--json")
    assert (status, len(server.requests)) == (0, asked)
    assert json.loads(out) == {**expected, "name": "fashion_mnist", "prepared": False}
    assert "already in" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name is missing, expected one of 'fashion-mnist', 'cifar10', 'imdb'"),
        (["fashion-mnits"], "name is 'fashion-mnits' (did you mean 'fashion-mnist'?)"),
        (["imagenet"], "name is 'imagenet', expected one of"),
        (
            ["imdb", "--data.directory", "gs://bucket"],
            "data.directory is gs://bucket, expected a local path",
        ),
        (["imdb", "--data.directory", "file/x"], "file"),
        (["imdb", "--data.dir", "x"], "perhaps you meant --data.directory"),
    ],
)
def test_a_wrong_word_is_one_line_and_status_2(laya, tmp_path, words, message):
    (tmp_path / "file").write_text("in the way")
    status, out, err = laya("prepare", *words)
    assert (status, out) == (2, "")
    assert message in err.splitlines()[-1]
    assert "Traceback" not in err


def test_digits_need_no_preparation(laya):
    status, out, err = laya("prepare", "digits", "--json")
    assert (status, json.loads(out)["prepared"]) == (0, False)
    assert "digits comes with scikit-learn" in err


SMALL = ("--epochs", 1, "--batch-size", 8, "--devices", 1, "--backbone.widths", 8, "--head.dim", 8)


@pytest.mark.slow
def test_train_prepares_what_is_missing(laya, server, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "data"))
    status, _, err = laya("train", "fashion-mnist", "--run-dir", "run", *SMALL)
    assert status == 0, err
    assert "downloading 1 MB" in err
    assert (tmp_path / "data" / "fashion_mnist" / "3.0.1" / "dataset_info.json").exists()
    assert (tmp_path / "run" / "result.json").exists()


def test_train_without_a_network_ends_in_one_line_before_a_run_is_made(laya, server, tmp_path, monkeypatch):
    monkeypatch.delenv("LAYA_MIRROR")
    status, out, err = laya("train", "fashion-mnist", "--data.directory", "data", "--run-dir", "run", *SMALL)
    assert (status, out) == (2, "")
    last = err.splitlines()[-1]
    assert last.startswith("laya: http://nowhere.invalid/train-images-idx3-ubyte.gz cannot be downloaded")
    assert "laya prepare fashion_mnist --mirror URL" in last
    assert not (tmp_path / "run").exists()
    assert len(err.splitlines()) == 3


@pytest.mark.slow
def test_a_run_whose_data_are_gone_says_what_to_prepare(laya, server, tmp_path):
    place = ("--data.directory", "data")
    assert laya("train", "fashion-mnist", *place, "--run-dir", "run", *SMALL)[0] == 0
    (tmp_path / "data").rename(tmp_path / "gone")
    status, out, err = laya("evaluate", "run")
    assert (status, out) == (2, "")
    assert "run: laya prepare fashion_mnist --data.directory data" in err.splitlines()[-1]
