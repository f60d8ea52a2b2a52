import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from small_models import write_vit

from laya_jax.cli import main
from laya_jax.data import load
from laya_jax.training import EXPERIMENTS

SMALL = ["--epochs", "2", "--batch-size", "64", "--backbone.widths", "16", "12", "--head.dim", "8"]
QUICK = [*SMALL, "--devices", "1", "--baseline", "None"]


@pytest.fixture(scope="module")
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


def test_the_first_command_compares_with_the_last_layer_and_tells_where_everything_is(laya, tmp_path):
    status, out, err = laya("train", *SMALL, "--devices", "1")
    assert (status, out) == (0, "")
    assert "training laya, last_layer on digits; backend cpu, 1 device (cpu)" in err
    assert "attention of laya, seed 0, mean over the examples" in err
    assert "how far to believe it" in err
    for name in ("laya-seed0", "last_layer-seed0"):
        assert f"written to runs/digits/{name}" in err
        assert (tmp_path / "runs" / "digits" / name / "result.json").exists()


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


def test_evaluate_gives_what_training_gave(laya, run):
    status, out, err = laya("evaluate", run, "--json")
    assert status == 0
    expected = json.loads((run / "result.json").read_text())
    evaluated = json.loads(out)
    assert evaluated["metrics"]["accuracy"] == expected["test"]["accuracy"]
    assert evaluated["faithfulness"] == pytest.approx(expected["faithfulness"], abs=0.01)
    assert "accuracy" in err
    assert "how far to believe it" in err
    _, out, _ = laya("evaluate", run, "--split", "validation", "--json")
    assert json.loads(out)["metrics"]["accuracy"] == expected["validation"]["accuracy"]


@pytest.mark.parametrize("form", ["csv", "jsonl", "npz"])
def test_predictions_are_written_with_attention_and_how_far_to_believe_it(laya, run, tmp_path, form):
    test = load(EXPERIMENTS["digits"].data).test
    np.savez(tmp_path / "new.npz", inputs=test.inputs[:50])
    status, out, _ = laya("predict", run, "--data", "npz:new.npz", "--out", f"p.{form}", "--json")
    assert status == 0
    assert json.loads(out)["examples"] == 50
    if form == "npz":
        file = np.load(tmp_path / "p.npz")
        classes, probabilities = file["class_names"][file["labels"]], file["probabilities"]
        attention, flips = file["attention"], file["flips"][:, 0]
    else:
        text = (tmp_path / f"p.{form}").read_text()
        rows = (
            list(csv.DictReader(text.splitlines()))
            if form == "csv"
            else list(map(json.loads, text.splitlines()))
        )
        classes = [row["class"] for row in rows]
        probabilities = np.array(
            [[float(row[f"probability of {name}"]) for name in range(10)] for row in rows]
        )
        attention = np.array([[float(row[f"attention to h{layer}"]) for layer in (1, 2)] for row in rows])
        flips = [str(row["changes without top layer"]) == "True" for row in rows]
    assert np.allclose(probabilities.sum(axis=1), 1)
    assert np.allclose(attention.sum(axis=1), 1)
    assert [str(row.argmax()) for row in probabilities] == list(classes)
    assert json.loads(out)["faithfulness"]["flips_without_top_layer"] == pytest.approx(np.mean(flips))


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


def test_tensorboard_is_written_on_request(laya, tmp_path):
    assert laya("train", "digits", "--run-dir", "r", *QUICK, "--tensorboard")[0] == 0
    (file,) = (tmp_path / "r" / "tensorboard").iterdir()
    content = file.read_bytes()
    assert b"validation/accuracy" in content
    assert b"validation/attention/h2" in content


def test_images_of_ones_own_train_in_one_flag_and_predict(laya, tmp_path):
    generator = np.random.default_rng(0)
    for name, level in (("dark", 60), ("light", 190)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(40):
            pixels = np.clip(generator.normal(level, 30, (12, 12, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    status, out, err = laya(
        *("train", "images:photos", "--run-dir", "r", "--epochs", 8, "--batch-size", 16, "--devices", 1),
        *("--backbone.widths", 8, 8, "--head.dim", 8, "--optimizer.learning-rate", 0.01, "--json"),
    )
    assert status == 0, err
    assert json.loads(out)["runs"][0]["test"]["accuracy"] == 1
    status, out, _ = laya("evaluate", "r", "--data", "images:photos", "--json")
    assert json.loads(out)["metrics"]["examples"] == 80
    assert laya("predict", "r", "--data", "images:photos/dark", "--out", "p.csv")[0] == 0
    rows = list(csv.DictReader((tmp_path / "p.csv").read_text().splitlines()))
    assert {row["class"] for row in rows} == {"dark"}


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
    assert (tmp_path / "r" / "vocabulary.txt").read_text().startswith("a\nfilm\nnumber\n")
    (tmp_path / "new.jsonl").write_text('{"text": "GOOD?"}\n{"text": "so bad"}\n')
    assert laya("predict", "r", "--data", "texts:new.jsonl", "--out", "p.jsonl")[0] == 0
    classes = [json.loads(line)["class"] for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert classes == ["good", "bad"]


def wrong_files(folder):
    """Inputs of which none can be used."""
    (folder / "taken").mkdir()
    (folder / "empty").mkdir()
    (folder / "broken.npz").write_bytes(b"PK no archive")
    labels, inputs = np.arange(100) % 2, np.random.default_rng(0).random((100, 4)).astype(np.float32)
    np.savez(folder / "negative.npz", inputs=inputs, labels=labels - 1)
    np.savez(folder / "one.npz", inputs=inputs, labels=np.zeros(100, int))
    np.savez(folder / "beyond.npz", inputs=inputs, labels=labels, test_inputs=inputs, test_labels=labels + 1)
    np.savez(folder / "small.npz", inputs=inputs[:3], labels=labels[:3])
    for name in "ab":
        (folder / "mixed" / name).mkdir(parents=True)
        for number, size in enumerate((8, 8, 9)):
            Image.new("RGB", (size, 8)).save(folder / "mixed" / name / f"{number}.png")
    (folder / "texts.csv").write_text("review,stars\nfine,5\n")


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
            "batch_size is 100000, expected at most the 1294 examples",
        ),
        (
            ["train", "digits", "--batch-size", "100"],
            "batch_size is 100, expected a multiple of the 8 devices",
        ),
        (["train", "digits", "--require-backend", "tpu"], "require_backend is 'tpu', but JAX found only"),
        (["train", "digits", "--run-dir", "taken"], "run_dir is taken, which exists already"),
        (
            ["train", "digits", "--backbone.kind", "bilstm"],
            "backbone.kind is 'bilstm', which does not read images",
        ),
        (["train", "npz:none.npz"], "none.npz"),
        (["train", "npz:broken.npz"], "broken.npz cannot be read as .npz"),
        (["train", "npz:negative.npz"], "hold -1, expected whole numbers from 0 on"),
        (["train", "npz:beyond.npz"], "hold 2, expected less than the number of classes, 2"),
        (["train", "npz:one.npz"], "one class only"),
        (["train", "npz:small.npz"], "data.source has"),
        (["train", "images:nowhere"], "there is no folder nowhere"),
        (["train", "images:empty"], "empty has no images"),
        (["train", "images:mixed", "--batch-size", "8"], "--data.image-size"),
        (["train", "texts:texts.csv"], "expected text and label"),
        (["train", "texts:taken"], "expected '.csv' or '.jsonl'"),
        (["resume", "nowhere"], "no run in nowhere"),
        (["evaluate", "nowhere"], "no run in nowhere"),
        (["predict", "nowhere", "--data", "digits"], "no run in nowhere"),
        (["predict", "nowhere"], "--data"),
        (["predict", "nowhere", "--data", "digits", "--out", "p.txt"], "suffix of out is '.txt'"),
        (["export", "nowhere", "--out", "x"], "no run in nowhere"),
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


def test_help_is_there_without_a_command_and_for_each(laya):
    assert laya()[0] == 0
    assert laya("--help")[0] == 0
    for command in ("train", "resume", "evaluate", "predict", "export"):
        with pytest.raises(SystemExit) as stopped:
            main([command, "--help"])
        assert not stopped.value.code


def test_attribution_and_report_of_several_runs(laya, run, tmp_path):
    second = tmp_path / "second"
    assert main(["train", "digits", "--run-dir", str(second), "--seed", "1", *QUICK]) == 0
    status, out, err = laya("attribute", run, second, "--out", "numbers", "--devices", 1, "--json")
    assert status == 0
    printed, written = json.loads(out), json.loads((tmp_path / "numbers" / "attribution.json").read_text())
    assert printed == {"out": "numbers", **written}
    assert [each["run"] for each in written["runs"]] == [str(run), str(second)]
    assert written["stability"]["runs"] == 2
    assert "Another seed uses" in err
    names = {path.name for path in (tmp_path / "numbers").iterdir()}
    assert {"samples-1.npz", "samples-2.csv", "profile.png", "stability.pdf"} <= names
    status, _, err = laya("report", run, "--outliers", "digits", "--out", "r.html", "--devices", 1)
    assert status == 0
    assert "Whether another seed would use the same layers was not measured" in err
    assert "Telling inputs of another kind" in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["report", "nowhere"], "no run in nowhere: it has no config.json"),
        (["report", "RUN", "--out", "report.pdf"], "suffix of out is '.pdf', expected one of '.html'"),
        (["report", "RUN", "--out", "no/report.html"], "out is no/report.html, but there is no folder no"),
        (["attribute", "RUN", "--out", "RUN"], "which exists already"),
        (
            ["report", "RUN", "--outliers", "fashion"],
            "data.source is 'fashion' (did you mean 'fashion_mnist'?)",
        ),
        (["report", "RUN", "--random-labels", "nowhere"], "no run in nowhere"),
        (["report", "RUN", "--largest-gallery", "0"], "largest_gallery is 0, expected at least 1"),
        (["attribute"], "runs is empty, expected the directory of a run"),
    ],
)
def test_what_cannot_be_explained_is_told_in_a_line(laya, run, arguments, message):
    status, out, err = laya(*[str(run) if word == "RUN" else word for word in arguments])
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_runs_on_other_data_are_not_compared(laya, run, tmp_path):
    np.savez(tmp_path / "d.npz", inputs=np.random.default_rng(0).random((80, 5)), labels=np.arange(80) % 2)
    assert laya("train", "npz:d.npz", "--run-dir", "other", *QUICK)[0] == 0
    status, _, err = laya("report", run, "other")
    assert status == 2
    assert "run is other, which reads other data than" in err
    status, _, err = laya("report", run, "--random-labels", "other")
    assert status == 2
    assert "expected a run of a head that weighs the layers of the same backbone, mlp, on inputs" in err


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


def test_a_head_on_a_frozen_backbone_from_training_to_its_report(laya, frozen, tmp_path):
    status, out, err = laya("train", *frozen, "--run-dir", "run", "--json")
    assert status == 0, err
    assert "hidden states of 32 examples are in the cache" in err
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["backbone"]["freeze"] is True
    assert config["head"]["attention_heads"] == 24
    accuracy = json.loads(out)["runs"][0]["test"]["accuracy"]
    status, out, err = laya("evaluate", "run", "--devices", "1", "--json")
    assert (status, json.loads(out)["metrics"]["accuracy"]) == (0, accuracy)
    assert laya("predict", "run", "--data", "images:photos", "--devices", "1")[0] == 0
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == 41
    status, _, err = laya("report", "run", "--out", "report.html", "--devices", "1")
    assert status == 0, err
    assert "vit vit, frozen" in (tmp_path / "report.html").read_text()
    # An export needs the pretrained model no longer.
    assert laya("export", "run", "--out", "exported")[0] == 0
    shutil.rmtree(tmp_path / "vit")
    status, out, err = laya("evaluate", "exported", "--devices", "1", "--json")
    assert (status, json.loads(out)["metrics"]["accuracy"]) == (0, accuracy), err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["digits", "--freeze"],
            "freeze is given without --backbone, expected vit:PATH or bert:PATH with it",
        ),
        (["digits", "--backbone", "resnet:x"], "backbone is 'resnet:x', expected vit:PATH or bert:PATH"),
        (["digits", "--backbone"], "backbone is '', expected vit:PATH or bert:PATH"),
        (["digits", "--backbone", "vit:nowhere"], "no pretrained model in nowhere: it has no config.json"),
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
