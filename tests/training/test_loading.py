import json
import shutil
import warnings

import jax
import numpy as np
import pytest

from laya_jax.data import DataConfig, Examples, load
from laya_jax.engine.metrics import measure
from laya_jax.training import (
    BackboneConfig,
    Config,
    ParallelConfig,
    export_model,
    find_runs,
    load_model,
    predict,
    resume,
    split_of,
    start,
)
from laya_jax.training.run_directory import RunDirectory

ONE_DEVICE = ParallelConfig(devices=1)


@pytest.mark.slow
def test_the_result_is_that_of_the_best_parameters_on_every_test_example(finished_run, small_config):
    model, test = load_model(finished_run), load(small_config.data).test
    outputs = predict(model, test, ParallelConfig())
    metrics = measure(outputs.logits, outputs.attention, test.labels)
    result = json.loads((finished_run / "result.json").read_text())["test"]
    assert metrics.accuracy == result["accuracy"]
    assert metrics.loss == pytest.approx(result["loss"], abs=1e-5)
    logits = model.classifier.apply(
        {"params": model.parameters}, model.schema.preprocessing(np.asarray(test.inputs))
    ).logits
    np.testing.assert_allclose(logits, outputs.logits, atol=1e-4)


def test_a_model_that_predicts_again_is_not_compiled_again(finished_run, small_config, caplog):
    model, test = load_model(finished_run), load(small_config.data).test
    first = predict(model, test, ONE_DEVICE)
    again = load_model(finished_run)
    with jax.log_compiles():
        second = predict(again, test, ONE_DEVICE)
    np.testing.assert_array_equal(first.logits, second.logits)
    assert not [record for record in caplog.records if "Compiling" in record.getMessage()]


def test_what_is_left_of_a_directory_half_made_is_no_run(run_copy):
    shutil.copytree(run_copy, run_copy.parent / ".run-draft")
    assert [run.path for run in find_runs(run_copy.parent)] == [run_copy]


@pytest.mark.slow
@pytest.mark.parametrize("exported", [False, True])
def test_a_model_is_not_tested_on_splits_of_other_data(tmp_path, exported):
    inputs = np.random.default_rng(0).random((200, 4)).astype(np.float32)
    write_points(tmp_path / "points.npz", inputs)
    data = DataConfig(source=f"npz:{tmp_path / 'points.npz'}")
    config = Config(data=data, backbone=BackboneConfig(widths=(4,)), epochs=1, batch_size=16)
    start([config], [tmp_path / "run"], ONE_DEVICE)
    model = load_model(tmp_path / "run")
    if exported:
        export_model(model, tmp_path / "model")
        model = load_model(tmp_path / "model")
    assert len(split_of(model, "test").labels) == 20
    write_points(tmp_path / "points.npz", inputs[1:])
    with pytest.raises(ValueError, match="not those that the model was trained on, so their test split may"):
        split_of(model, "test")


def change(path, names, value):
    """Changes one value in a JSON file, as somebody does who deletes the manifest."""
    content = json.loads(path.read_text())
    *sections, name = names.split(".")
    holder = content
    for section in sections:
        holder = holder[section]
    holder.pop(name) if value is KeyError else holder.update({name: value})
    path.write_text(json.dumps(content))
    (path.parent / "manifest.json").unlink()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("config.json head.dim", "8", "head.dim is '8', expected a whole number"),
        ("config.json head.dim", True, "head.dim is True, expected a whole number"),
        ("config.json head.dim", 10**12, "head.dim is 1000000000000, expected at most 16,777,216"),
        (
            "config.json head.dim",
            9,
            r"checkpoints/\d+ does not fit the config: \S* has shape \(8,\), not \(9,\)",
        ),
        ("config.json head.kind", 3, "head.kind is 3, expected one of 'laya', "),
        ("config.json head", [], r"head is \[\], expected an object"),
        ("config.json backbone.widths", [], "backbone.widths is empty, expected at least one"),
        (
            "config.json backbone.widths",
            [10**30],
            r"backbone.widths is \[10+\], expected a list of items, each a",
        ),
        (
            "config.json backbone.widths",
            [8] * 2000,
            "backbone.widths has 2,000 widths, expected at most 1,000",
        ),
        ("config.json optimizer.clip_norm", "no", "optimizer.clip_norm is 'no', expected a number or null"),
        ("config.json another", 1, "another is a field that this version does not know"),
        ("data.json fingerprint", float("inf"), "fingerprint is inf, expected a whole number or null"),
        ("data.json class_names", [], "class_names is empty"),
        ("data.json class_names", KeyError, "class_names is missing"),
        ("data.json class_names", [[]] * 10, r"class_names is \[\[\], .*each a text"),
        (
            "data.json preprocessing.shape",
            [8, 8, 2**40],
            r"preprocessing.shape is \[|the files in .* do not|numbers",
        ),
        ("data.json preprocessing.scale", [0.0], r"preprocessing.* no scale of 0"),
        ("data.json preprocessing.mean", [1, 2], r"preprocessing.mean is \[1.0, 2.0\], expected"),
        ("data.json version", 9, "version is 9, expected at most 2"),
        ("metrics.jsonl validation", {}, "metrics.jsonl, line 1: validation.examples is missing"),
        (
            "metrics.jsonl step",
            [[[]]],
            r"metrics.jsonl, line 1: step is \[\[\[\]\]\], expected a whole number",
        ),
    ],
)
def test_made_up_values_are_told_by_file_and_name(run_copy, name, value, message):
    name, field = name.split()
    path = run_copy / name
    if name.endswith("l"):
        path.write_text(path.read_text().splitlines()[0])
    change(path, field, value)
    path.write_text(path.read_text() + "\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
            load_model(run_copy)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("depth", [10_000, 200_000])
@pytest.mark.parametrize("name", ["config.json", "data.json", "metrics.jsonl", "manifest.json"])
def test_json_that_is_nested_too_deeply_is_told(run_copy, name, depth):
    (run_copy / "manifest.json").unlink()
    (run_copy / name).write_text("[" * depth + "]" * depth + "\n")
    with pytest.raises(ValueError, match=rf"{name}.* (nested too deeply|expected an object)"):
        load_model(run_copy)


def damage(run, step):
    for path in (run / "checkpoints" / str(step) / "state").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:10])


@pytest.mark.parametrize("lost", ["damaged", "gone"])
def test_a_model_tells_that_its_best_checkpoint_was_lost(run_copy, tmp_path, lost):
    run = RunDirectory.open(run_copy)
    assert load_model(run_copy).warnings == ()
    scores = run.scores()
    best = max(scores, key=lambda step: (scores[step], -step))
    if lost == "gone":
        shutil.rmtree(run_copy / "checkpoints" / str(best))
    else:
        damage(run_copy, best)
    with pytest.warns(UserWarning, match="best|using the previous one"):
        model = load_model(run_copy)
    assert any(f"{best}" in warning and "using" in warning for warning in model.warnings)
    export_model(model, tmp_path / "model")
    with pytest.warns(UserWarning, match="best|using the previous one"):
        exported = load_model(tmp_path / "model")
    assert exported.warnings == model.warnings


@pytest.mark.slow
@pytest.mark.parametrize(("split", "told"), [("shuffled", True), ("last", False)])
def test_splits_of_an_earlier_version_that_can_no_longer_be_had_are_told(tmp_path, split, told):
    inputs = np.random.default_rng(0).random((200, 4)).astype(np.float32)
    write_points(tmp_path / "points.npz", inputs)
    data = DataConfig(source=f"npz:{tmp_path / 'points.npz'}", split=split)
    config = Config(data=data, backbone=BackboneConfig(widths=(4,)), epochs=1, batch_size=16)
    start([config], [tmp_path / "run"], ONE_DEVICE)
    path = tmp_path / "run" / "data.json"
    fingerprint = json.loads(path.read_text())["fingerprint"]
    change(path, "version", KeyError)
    with pytest.warns(UserWarning, match=r"no manifest\.json"):
        model = load_model(tmp_path / "run")
    split_of(model, "test")  # which a source that sets all splits apart gives as before
    path.write_text(path.read_text().replace(str(fingerprint), str(fingerprint + 1)))
    with pytest.warns(UserWarning, match=r"no manifest\.json"):
        model = load_model(tmp_path / "run")
    predict(model, Examples(inputs, np.zeros(200, np.int32)), ONE_DEVICE)
    earlier = (
        "was trained by an earlier version, whose shuffled splits were not stratified by class; train it "
        "again to evaluate it on its splits; predict, and evaluate with --data, still work"
    )
    with pytest.raises(ValueError, match=earlier if told else "are not those that the model was trained on"):
        split_of(model, "test")
    (tmp_path / "run" / "result.json").unlink()
    with (
        pytest.warns(UserWarning, match=r"no manifest\.json"),
        pytest.raises(ValueError, match=earlier if told else r"are not those that the run"),
    ):
        resume(tmp_path / "run", ONE_DEVICE)


def test_an_exported_model_is_not_trained_on(finished_run, tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(finished_run, runs / "run")
    export_model(load_model(finished_run), runs / "model")
    assert [run.path.name for run in find_runs(str(runs))] == ["run"]
    with pytest.raises(ValueError, match="model, an exported model, expected a run"):
        find_runs(runs / "model")
    with pytest.raises(ValueError, match=r"latest is True, expected False for .*model, an exported model"):
        load_model(runs / "model", latest=True)
    assert resume(str(runs / "run"), ONE_DEVICE)["seed"] == 0


def test_a_run_without_a_checkpoint_cannot_predict(run_copy):
    import shutil

    shutil.rmtree(run_copy / "checkpoints")
    with pytest.raises(FileNotFoundError, match="no intact checkpoint yet"):
        load_model(run_copy)


@pytest.mark.parametrize("devices", [3, 7])
def test_any_number_of_devices_predicts_the_same(finished_run, small_config, devices):
    model, test = load_model(finished_run), load(small_config.data).test
    one, several = (predict(model, test, ParallelConfig(devices=number)).logits for number in (1, devices))
    np.testing.assert_allclose(one, several, atol=1e-5)


def write_points(path, inputs):
    np.savez(path, inputs=inputs, labels=np.arange(len(inputs)) % 2)
