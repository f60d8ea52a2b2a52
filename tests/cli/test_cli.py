"""The commands, from training to predictions."""

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from small_runs import QUICK, SMALL

from laya_jax.cli import main
from laya_jax.cli.arguments import Train
from laya_jax.cli.commands import _variants
from laya_jax.data import load
from laya_jax.training import EXPERIMENTS, Config, LossConfig


@pytest.mark.slow
def test_the_first_command_compares_with_the_last_layer_and_tells_where_everything_is(laya, tmp_path):
    status, out, err = laya("train", *SMALL, "--devices", "1")
    assert status == 0
    assert "training laya, last_layer on digits; backend cpu, 1 device (cpu)" in err
    assert err.count("classes: 0 178, 1 182") == 1
    assert "mean attention of laya, seed 0" in out
    assert "faithfulness:" in out
    for name in ("laya-seed0", "last_layer-seed0"):
        assert f"wrote runs/digits/{name}" in out
        assert (tmp_path / "runs" / "digits" / name / "result.json").exists()


@pytest.mark.slow
def test_json_is_one_object_on_standard_output_and_seeds_get_runs_of_their_own(laya, tmp_path):
    status, out, _ = laya(
        "train", "digits", "--run-dir", "here", "--seeds", 1, 2, "--side-by-side", *QUICK, "--json"
    )
    assert status == 0
    results = json.loads(out)["runs"]
    assert [(result["seed"], result["run"]) for result in results] == [
        (1, "here/laya-seed1"),
        (2, "here/laya-seed2"),
    ]
    status, out, _ = laya("resume", "here", "--json")
    assert status == 0
    assert json.loads(out)["runs"] == results


@pytest.mark.slow
def test_every_field_can_be_set(laya, tmp_path):
    fields = {
        "--head.temperature": 0.5,
        "--head.psi": "mlp",
        "--optimizer.schedule": "cosine",
        "--optimizer.clip-norm": 1.0,
        "--loss.label-smoothing": 0.1,
        "--data.split": "last",
        "--seed": 3,
        "--dtype": "bfloat16",
    }
    arguments = [part for pair in fields.items() for part in pair]
    assert laya("train", "digits", "--run-dir", "r", *QUICK, *arguments, "--head.rms-normalized")[0] == 0
    config = json.loads((tmp_path / "r" / "config.json").read_text())
    assert config["head"]["rms_normalized"] is True
    for name, value in fields.items():
        *sections, field = name.removeprefix("--").replace("-", "_").split(".")
        where = config
        for section in sections:
            where = where[section]
        assert where[field] == value


@pytest.mark.slow
def test_evaluate_gives_what_training_gave(laya, run):
    status, out, err = laya("evaluate", run, "--json")
    assert status == 0
    expected = json.loads((run / "result.json").read_text())
    evaluated = json.loads(out)
    assert evaluated["metrics"]["accuracy"] == expected["test"]["accuracy"]
    assert evaluated["faithfulness"] == pytest.approx(expected["faithfulness"], abs=0.01)
    assert "accuracy" in err
    assert "faithfulness:" in err
    _, out, _ = laya("evaluate", run, "--split", "validation", "--json")
    assert json.loads(out)["metrics"]["accuracy"] == expected["validation"]["accuracy"]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "jsonl", "npz"])
def test_predictions_are_written_with_attention_and_how_far_to_believe_it(laya, run, tmp_path, form):
    test = load(EXPERIMENTS["digits"].data).test
    np.savez(tmp_path / "new.npz", inputs=test.inputs[:60], test_inputs=test.inputs[:50])
    status, out, err = laya("predict", run, "--data", "npz:new.npz", "--out", f"p.{form}", "--json")
    assert status == 0
    assert "predicted 50 examples of npz:new.npz, test_inputs" in err
    assert json.loads(out)["examples"] == 50
    if form == "npz":
        with np.load(tmp_path / "p.npz") as file:
            classes, probabilities = file["class_names"][file["predicted"]], file["probabilities"]
            attention, flips = file["attention"], file["flips"][:, 0]
    else:
        text = (tmp_path / f"p.{form}").read_text()
        rows = (
            list(csv.DictReader(text.splitlines()))
            if form == "csv"
            else list(map(json.loads, text.splitlines()))
        )
        classes = [row["predicted"] for row in rows]
        probabilities = np.array(
            [[float(row[f"probability of {name}"]) for name in range(10)] for row in rows]
        )
        attention = np.array([[float(row[f"attention to h{layer}"]) for layer in (1, 2)] for row in rows])
        flips = [str(row["changes without top layer"]) == "True" for row in rows]
    assert np.allclose(probabilities.sum(axis=1), 1)
    assert np.allclose(attention.sum(axis=1), 1)
    assert [str(row.argmax()) for row in probabilities] == list(classes)
    assert json.loads(out)["faithfulness"]["flips_without_top_layer"] == pytest.approx(np.mean(flips))


@pytest.mark.slow
def test_an_exported_model_predicts_and_evaluates_as_its_run(laya, run):
    assert laya("export", run, "--out", "model")[0] == 0
    for command in (["evaluate", "--json"], ["predict", "--data", "digits", "--json"]):
        of_run, of_model = (
            json.loads(laya(command[0], path, *command[1:], *more)[1])
            for path, more in (
                (run, ["--out", "a.csv"] if command[0] == "predict" else []),
                ("model", ["--out", "b.csv"] if command[0] == "predict" else []),
            )
        )
        assert of_run["faithfulness"] == of_model["faithfulness"]


@pytest.mark.slow
def test_tensorboard_is_written_on_request(laya, tmp_path):
    assert laya("train", "digits", "--run-dir", "r", *QUICK, "--log", "tensorboard")[0] == 0
    (file,) = (tmp_path / "r" / "tensorboard").iterdir()
    content = file.read_bytes()
    assert b"validation/accuracy" in content
    assert b"validation/attention/h2" in content


@pytest.mark.slow
def test_images_of_ones_own_train_in_one_flag_and_predict(laya, tmp_path):
    generator = np.random.default_rng(0)
    for name, level in (("dark", 60), ("light", 190)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(40):
            pixels = np.clip(generator.normal(level, 30, (12, 12, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    status, out, err = laya(
        *("train", "images:photos", "--run-dir", "r", "--epochs", 8, "--batch-size", 16, "--devices", 1),
        *("--backbone.widths", 8, 8, "--head.dim", 8, "--optimizer.learning-rate", 0.03, "--json"),
    )
    assert status == 0, err
    assert json.loads(out)["runs"][0]["test"]["accuracy"] == 1
    status, out, _ = laya("evaluate", "r", "--data", "images:photos", "--json")
    assert json.loads(out)["metrics"]["examples"] == 80
    assert laya("predict", "r", "--data", "images:photos/dark", "--out", "p.csv")[0] == 0
    rows = list(csv.DictReader((tmp_path / "p.csv").read_text().splitlines()))
    assert {row["predicted"] for row in rows} == {"dark"}
    assert "label" not in rows[0]  # a folder without folders of classes


@pytest.mark.slow
def test_texts_of_ones_own_train_in_one_flag_and_predict(laya, tmp_path):
    with (tmp_path / "reviews.csv").open("w", newline="") as file:
        rows = [(f"a {word} film, number {n}", word) for n in range(40) for word in ("good", "bad")]
        csv.writer(file).writerows([("text", "label"), *rows])
    options = ("--data.max-length", 8, "--backbone.widths", 8, "--backbone.embedding-dim", 8, "--devices", 1)
    status, out, err = laya(
        *("train", "texts:reviews.csv", "--run-dir", "r", "--epochs", 10, "--batch-size", 8, *options),
        *("--optimizer.learning-rate", 0.01, "--json"),
    )
    assert status == 0, err
    assert json.loads(out)["runs"][0]["test"]["accuracy"] == 1
    assert (tmp_path / "r" / "vocabulary.txt").read_text().startswith("# words by unicode\na\nfilm\n")
    (tmp_path / "new.jsonl").write_text('{"text": "GOOD?"}\n{"text": "so bad"}\n')
    assert laya("predict", "r", "--data", "texts:new.jsonl", "--out", "p.jsonl")[0] == 0
    classes = [json.loads(line)["predicted"] for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert classes == ["good", "bad"]
    (tmp_path / "new.csv").write_text("text;label\nगाना;good\ngood;fine\n")
    unknown = "labels of new.csv hold 'fine' (line 3), expected one of 'bad', 'good'"
    status, _, err = laya("evaluate", "r", "--data", "texts:new.csv")
    assert (status, unknown in err) == (2, True)
    status, _, err = laya("predict", "r", "--data", "texts:new.csv", "--out", "p.csv")
    assert status == 0
    assert f"note: {unknown}" in err
    assert "note: 1 of 2 texts consist mostly of unknown words" in err


def test_help_is_there_without_a_command_and_for_each(laya):
    assert laya()[0] == 0
    assert laya("--help")[0] == 0
    for command in ("train", "resume", "evaluate", "predict", "export"):
        with pytest.raises(SystemExit) as stopped:
            main([command, "--help"])
        assert not stopped.value.code


@pytest.mark.slow
def test_a_head_on_a_frozen_backbone_from_training_to_its_report(laya, frozen, tmp_path):
    status, out, err = laya("train", *frozen, "--run-dir", "run", "--json")
    assert status == 0, err
    assert "hidden states of 32 examples are cached" in err
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["backbone"]["freeze"] is True
    assert config["head"]["attention_heads"] == 24
    accuracy = json.loads(out)["runs"][0]["test"]["accuracy"]
    status, out, err = laya("evaluate", "run", "--devices", "1", "--json")
    assert (status, json.loads(out)["metrics"]["accuracy"]) == (0, accuracy)
    status, _, err = laya("predict", "run", "--data", "images:photos", "--devices", "1")
    assert (status, err) == (0, "hidden states of 40 examples are cached\n")
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == 41
    status, _, err = laya("report", "run", "--out", "report.html", "--devices", "1")
    assert status == 0, err
    assert "vit vit, frozen" in (tmp_path / "report.html").read_text()
    for name in ("vit", "photos"):
        (tmp_path / name).rename(tmp_path / f"moved-{name}")
    status, _, err = laya("evaluate", "run", "--devices", "1")
    assert (status, err.count("\n")) == (2, 1)
    places = ["--backbone.path", "moved-vit", "--data.source", "images:moved-photos"]
    status, out, err = laya("resume", "run", *places, "--json")
    assert (status, json.loads(out)["runs"][0]["test"]["accuracy"]) == (0, accuracy), err
    status, out, err = laya("evaluate", "run", "--devices", "1", "--json")
    assert (status, json.loads(out)["metrics"]["accuracy"]) == (0, accuracy), err
    # An export needs the pretrained model no longer.
    assert laya("export", "run", "--out", "exported")[0] == 0
    shutil.rmtree(tmp_path / "moved-vit")
    status, out, err = laya("evaluate", "exported", "--devices", "1", "--json")
    assert (status, json.loads(out)["metrics"]["accuracy"]) == (0, accuracy), err


def test_a_baseline_is_not_asked_for_what_only_laya_can_do():
    config = Config(loss=LossConfig(attention_entropy=0.1))
    laya, baseline = _variants(Train(experiment="digits", config=config, baseline="last_layer"))
    assert laya == config
    assert (baseline.head.kind, baseline.loss) == ("last_layer", LossConfig())
