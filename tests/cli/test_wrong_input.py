"""What cannot be done is told in a line, with status 2."""

import shutil

import numpy as np
import pytest
from PIL import Image


def wrong_files(folder):
    """Inputs of which none can be used."""
    (folder / "taken").mkdir()
    (folder / "empty").mkdir()
    (folder / "broken.npz").write_bytes(b"PK no archive")
    labels, inputs = np.arange(100) % 2, np.random.default_rng(0).random((100, 4)).astype(np.float32)
    np.savez(folder / "target.npz", inputs=inputs, labels=inputs[:, 0])
    np.savez(folder / "one.npz", inputs=inputs, labels=np.zeros(100, int))
    np.savez(folder / "beyond.npz", inputs=inputs, labels=labels, test_inputs=inputs, test_labels=labels + 1)
    np.savez(folder / "small.npz", inputs=inputs[:3], labels=labels[:3])
    for name in "ab":
        (folder / "mixed" / name).mkdir(parents=True)
        for number, size in enumerate((8, 8, 9)):
            Image.new("RGB", (size, 8)).save(folder / "mixed" / name / f"{number}.png")
    (folder / "texts.csv").write_text("review,stars\nfine,5\n")
    (folder / "taken.csv").mkdir()
    (folder / "dangling.csv").symlink_to("nothing")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "command is 'trian', expected one of 'train'"),
        (["train", "fashion-mnits"], "did you mean 'fashion-mnist'?"),
        (["train", "digits", "--data.source", "cifar"], "data.source is 'cifar' (did you mean 'cifar10'?)"),
        (["train", "digits", "--head.temprature", "1"], "--head.temprature"),
        (["train", "digits", "--head.temprature", "1"], "perhaps you meant --head.temperature"),
        (["train", "digits", "--head.temperature", "0"], "head.temperature is 0.0"),
        (["train", "digits", "--seed", "abc"], "--seed"),
        (
            ["train", "digits", "--batch-size", "100000"],
            "batch_size is 100000, expected at most 1294, the number of training examples",
        ),
        (
            ["train", "digits", "--batch-size", "100"],
            "batch_size is 100, expected a multiple of 8, the number of devices",
        ),
        (["train", "digits", "--require-backend", "tpu"], "require_backend is 'tpu', but JAX found only"),
        (["train", "digits", "--run-dir", "taken"], "run_dir is taken, which already exists"),
        (["train", "digits", "--run-dir", "gs://b/x"], "run_dir is gs://b/x, expected a local path"),
        (["resume", "gs://b/x"], "run is gs://b/x, expected a local path"),
        (
            ["predict", "nowhere", "--data", "digits", "--out", "gs://b/p.csv"],
            "out is gs://b/p.csv, expected a",
        ),
        (
            ["train", "digits", "--backbone.kind", "bilstm"],
            "backbone.kind is 'bilstm', which does not read images",
        ),
        (["train", "--seed", "1", "fashion-mnist"], "experiment is 'fashion-mnist', given after the options"),
        (["train", "digits", "--data.image-size", "8"], "data.image_size is 8, expected None for 'digits'"),
        (["train", "cifar10", "--data.keep", "end"], "data.keep is 'end', expected 'start' for 'cifar10'"),
        (["train", "npz:a.npz", "--data.vocabulary-size", "9"], "data.vocabulary_size is 9, expected 20000"),
        (["train", "digits", "--backbone.pooling", "mean"], "backbone.pooling is 'mean', expected None for"),
        (["train", "npz:none.npz"], "none.npz"),
        (["train", "npz:broken.npz"], "broken.npz cannot be read as .npz"),
        (["train", "npz:target.npz"], "which look like a regression target, expected classes"),
        (["train", "npz:beyond.npz"], "test_labels of beyond.npz hold '2' (row 1), expected one of '0', '1'"),
        (["train", "npz:one.npz"], "one class only"),
        (["train", "npz:small.npz"], "data.source has"),
        (["train", "images:nowhere"], "there is no folder nowhere"),
        (["train", "images:empty"], "empty has no images"),
        (["train", "images:mixed", "--batch-size", "8"], "--data.image-size"),
        (["train", "texts:texts.csv"], "has the columns 'review', 'stars', expected 'text' (set by"),
        (["train", "texts:taken"], "expected '.csv', '.tsv'"),
        (["resume", "nowhere"], "no run in nowhere"),
        (["evaluate", "nowhere"], "no run in nowhere"),
        (["predict", "nowhere", "--data", "digits"], "no run in nowhere"),
        (["predict", "nowhere"], "--data"),
        (["report", "nowhere", "--coordinator", "auto"], "Unrecognized options: --coordinator"),
        (["predict", "nowhere", "--data", "digits", "--processes", "2"], "options: --processes"),
        (["predict", "nowhere", "--data", "digits", "--out", "p.txt"], "suffix of out is '.txt'"),
        (["export", "nowhere", "--out", "x"], "no run in nowhere"),
        # What cannot be written is refused before anything is read.
        (["predict", "nowhere", "--data", "digits", "--out", "taken"], "suffix of out is ''"),
        (
            ["predict", "nowhere", "--data", "digits", "--out", "taken.csv"],
            "out is taken.csv, which already exists",
        ),
        (["predict", "nowhere", "--data", "digits", "--out", "dangling.csv"], "out is dangling.csv, which"),
        (["predict", "nowhere", "--data", "digits", "--out", "no/p.csv"], "there is no folder no"),
        (
            ["predict", "nowhere", "--data", "digits", "--out", "/proc/p.csv"],
            "out is /proc/p.csv, which",
        ),
        (["predict", "nowhere", "--data", "digits", "--out", f"{'n' * 300}.csv"], "File name too long"),
        (["report", "nowhere", "--out", "/proc/r.html"], "out is /proc/r.html, which cannot be written"),
        (["attribute", "nowhere", "--out", "broken.npz/a"], "out is broken.npz/a, which cannot be written"),
        (["export", "nowhere", "--out", "/proc/x"], "out is /proc/x, which cannot be written"),
        (["train", "digits", "--run-dir", "/proc/x/y"], "run_dir is /proc/x/y, which cannot be written"),
    ],
)
def test_wrong_input_gets_one_clear_line_and_status_2(laya, tmp_path, arguments, message):
    wrong_files(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    status, out, err = laya(*arguments)
    assert status == 2
    assert out == ""
    (line,) = [line for line in err.splitlines() if line.startswith("laya: ")]
    assert message in line
    assert "Traceback" not in err
    assert sorted(tmp_path.rglob("*")) == before


def test_another_config_on_resume_is_refused_with_the_difference(laya, run, tmp_path):
    unfinished = shutil.copytree(run, tmp_path / "run")
    status, _, err = laya("resume", unfinished, "--optimizer.learning-rate", "0.5")
    assert status == 2
    assert "optimizer.learning_rate: 0.01 -> 0.5" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["digits", "--freeze"],
            "--freeze is given without --backbone, expected --backbone vit:PATH or bert:PATH",
        ),
        (["digits", "--backbone", "resnet:x"], "backbone is 'resnet:x', expected vit:PATH or bert:PATH"),
        (["digits", "--backbone"], "backbone is '', expected vit:PATH or bert:PATH"),
        (["digits", "--backbone", "vit:nowhere"], "no pretrained model in nowhere: there is no such folder"),
        (["digits", "--backbone", "bert:vit"], "backbone.path is vit, a ViT, expected a BERT"),
        (["texts:t.csv", "--backbone", "vit:vit"], "backbone.kind is 'vit', which does not read tokens"),
        (
            ["digits", "--backbone", "vit:vit", "--head.dim", "50"],
            "head.attention_heads is 24, expected a divisor",
        ),
        (
            ["images:photos", "--backbone", "vit:vit", "--data.image-size", "13"],
            "multiples of the patch size, 4",
        ),
    ],
)
def test_a_wrong_backbone_is_one_line_and_status_2(laya, frozen, tmp_path, words, message):
    (tmp_path / "t.csv").write_text("text,label\n" + "good,1\nbad,0\n" * 20)
    status, out, err = laya("train", *words, "--batch-size", "8", "--devices", "1", "--run-dir", "run")
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) <= 2  # the start line, and the message
    assert not (tmp_path / "run").exists()
