"""Small pretrained models on disk, shared by the tests of their readers."""

import shutil
from pathlib import Path

import pytest
from small_models import write_bert, write_vit


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    return write_vit(tmp_path_factory.mktemp("models") / "vit")


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return write_bert(tmp_path_factory.mktemp("models") / "bert")


@pytest.fixture
def folder(bert, tmp_path):
    """A BERT of one's own."""
    return Path(shutil.copytree(bert, tmp_path / "bert"))
