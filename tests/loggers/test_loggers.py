"""Trackers, offline: what they are told, and that a resumed run continues where it was."""

import json
import sys
import time
import warnings
from inspect import signature

import pytest
from mlflow import MlflowClient

from laya_jax.engine import flat, to_json
from laya_jax.loggers import LOGGERS
from laya_jax.training import (
    Listener,
    Listeners,
    ParallelConfig,
    RunDirectory,
    load_model,
    resume,
    start,
)

ONE_DEVICE = ParallelConfig(devices=1)


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """Keeps what the trackers write in a folder of the test, without a network."""
    for name, value in {"MODE": "offline", "DIR": str(tmp_path), "SILENT": "true"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of the trackers themselves
        yield tmp_path


class Killer(Listener):
    """Ends training after an epoch, as an error in the network would."""

    def epoch(self, run, line):
        raise KeyboardInterrupt


def tracked_runs():
    """All runs that MLflow knows in the default experiment."""
    client = MlflowClient()
    (experiment,) = client.search_experiments(filter_string="name = 'laya_jax'")
    return list(client.search_runs(experiment.experiment_id))


def train_in_two_parts(tmp_path, config, name):
    """Trains with a tracker, stops after the first epoch, and resumes with a new tracker."""
    with pytest.raises(KeyboardInterrupt):
        start([config], [tmp_path / "run"], ONE_DEVICE, Listeners([LOGGERS[name](), Killer()]))
    if name == "mlflow":
        assert [each.info.status for each in tracked_runs()] == ["KILLED"]
    time.sleep(1)  # W&B names its folders by the second
    result = resume(tmp_path / "run", ONE_DEVICE, LOGGERS[name]())
    return RunDirectory.open(tmp_path / "run"), result


@pytest.mark.slow
def test_mlflow_receives_settings_metrics_and_result_of_a_run(offline, small_config):
    run, result = train_in_two_parts(offline, small_config, "mlflow")
    (tracked,) = tracked_runs()
    assert tracked.info.status == "FINISHED"
    assert tracked.info.run_name == "run"
    assert tracked.data.params == {name: str(value) for name, value in flat(to_json(small_config))}
    history = MlflowClient().get_metric_history(tracked.info.run_id, "validation/accuracy")
    lines = list(run.lines())
    assert {each.step: each.value for each in history} == {
        line["step"]: line["validation"]["accuracy"] for line in lines
    }
    assert tracked.data.metrics["test/accuracy"] == result["test"]["accuracy"]
    assert tracked.data.metrics["validation/attention/h2"] == lines[-1]["validation"]["attention"][1]


@pytest.mark.slow
def test_wandb_receives_settings_metrics_and_result_of_a_run(offline, small_config):
    run, _ = train_in_two_parts(offline, small_config, "wandb")
    known = json.loads((run.path / "trackers.json").read_text())["wandb"]
    parts = sorted((offline / "wandb").glob(f"offline-run-*-{known}/run-{known}.wandb"))
    assert len(parts) >= 1
    content = b"".join(part.read_bytes() for part in parts)
    for told in (b"validation/accuracy", b"validation/attention/h2", b"test/accuracy", b"learning_rate"):
        assert told in content


@pytest.mark.slow
def test_tracked_runs_still_load(offline, small_config):
    run, _ = train_in_two_parts(offline, small_config, "mlflow")
    assert load_model(run.path).config == small_config


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_missing_tracker_names_its_extra(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    needed = rf"--log {name} needs it: pip install 'laya-jax\[{name}\]'"
    with pytest.raises(ModuleNotFoundError, match=needed):
        LOGGERS[name]()


def test_listeners_forward_every_event():
    events = [name for name in vars(Listener) if not name.startswith("_")]

    class Recorder(Listener):
        def __getattribute__(self, name):
            if name not in events:
                return super().__getattribute__(name)
            return lambda *arguments: heard.append((self, name, arguments))

    first, second = Recorder(), Recorder()
    for name in events:
        heard: list = []
        number = len(signature(getattr(Listener, name)).parameters) - 1
        getattr(Listeners([first, second]), name)(*range(number))
        assert heard == [(each, name, tuple(range(number))) for each in (first, second)]
