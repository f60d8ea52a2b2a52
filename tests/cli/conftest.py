import numpy as np
import pytest
from PIL import Image
from small_models import write_vit
from small_runs import QUICK

from laya_jax.cli import main


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A run on the digits; not to be changed."""
    path = tmp_path_factory.mktemp("runs") / "digits"
    assert main(["train", "digits", "--run-dir", str(path), *QUICK]) == 0
    return path


@pytest.fixture
def laya(capfd, monkeypatch, tmp_path):
    """Runs the command line in an empty folder; gives exit status, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def laya(*arguments):
        capfd.readouterr()
        status = main(list(map(str, arguments)))
        return status, *capfd.readouterr()

    return laya


@pytest.fixture
def frozen(tmp_path, monkeypatch):
    """The words that train a head on a small frozen ViT and images of two colours."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_vit(tmp_path / "vit")
    for label, name in enumerate(("blue", "red")):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for number in range(20):
            pixels = np.full((12, 12, 3), 5 * number, np.uint8)
            pixels[..., 2 - 2 * label] += 100
            Image.fromarray(pixels).save(folder / f"{number}.png")
    quick = ["--batch-size", "8", "--epochs", "2", "--devices", "1"]
    return ["images:photos", "--backbone", "vit:vit", "--freeze", "--data.image-size", "12", *quick]
