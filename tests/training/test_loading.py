import json
import shutil

import jax
import numpy as np
import pytest

from laya_jax.data import DataConfig, load
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

ONE_DEVICE = ParallelConfig(devices=1)


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
    with pytest.raises(ValueError, match="are not those that the model was trained on: its test split may"):
        split_of(model, "test")


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
