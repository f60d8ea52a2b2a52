"""Runs whose head is solved in closed form: like all runs, from start to prediction."""

import dataclasses
import json
import re
import warnings

import jax
import numpy as np
import pytest

from laya_jax.engine import HeadConfig
from laya_jax.training import (
    Config,
    Listener,
    ParallelConfig,
    export_model,
    import_model,
    load_model,
    predict,
    resume,
    split_of,
    start,
)

ONE_DEVICE = ParallelConfig(devices=1)
STORES = "the model stores the hidden states of"


def kernel_config(config, **head):
    return dataclasses.replace(config, head=HeadConfig(kind="kernel", **head))


@pytest.fixture
def told():
    """Lets models say that they store examples."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", STORES)
        yield


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["gated", "additive", "linear"])
def test_a_kernel_head_is_solved_saved_exported_and_predicts_alike(frozen_vit, tmp_path, told, kernel):
    config = kernel_config(frozen_vit, kernel=kernel)
    (result,) = start([config], [tmp_path / "run"], ONE_DEVICE)
    model = load_model(tmp_path / "run")
    examples = split_of(model, "train").labels.size
    assert model.config.head.landmarks == (None if kernel == "linear" else examples)
    assert result["epochs"] == 1
    assert bool(result["warnings"]) == (kernel != "linear")
    outputs = predict(model, split_of(model, "test"), explain=True)
    labels = split_of(model, "test").labels
    assert np.mean(outputs.logits.argmax(axis=1) == labels) == result["test"]["accuracy"]
    np.testing.assert_allclose(outputs.attention.sum(axis=1), 1, rtol=1e-5)
    export_model(model, tmp_path / "model")
    again = predict(import_model(tmp_path / "model"), split_of(model, "test"))
    np.testing.assert_array_equal(again.logits, outputs.logits)
    (line,) = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    losses = {trial["penalty"]: trial["loss"] for trial in line["details"]["trials"]}
    assert losses[line["details"]["penalty"]] == min(losses.values())
    assert line["validation"]["loss"] == pytest.approx(min(losses.values()), rel=1e-3)


class Killer(Listener):
    """Ends a run as it starts."""

    def started(self, run):
        raise KeyboardInterrupt


@pytest.mark.slow
def test_a_run_that_was_killed_is_solved_again_to_the_same_bits(frozen_vit, tmp_path, told):
    config = kernel_config(frozen_vit, kernel="gated")
    configs = [config, dataclasses.replace(config, seed=1)]
    with pytest.raises(KeyboardInterrupt):
        start(configs, [tmp_path / "a", tmp_path / "b"], ONE_DEVICE, Killer())
    for name in "ab":
        resume(tmp_path / name, ONE_DEVICE)
    first, second = (load_model(tmp_path / name).parameters["head"] for name in "ab")
    jax.tree.map(np.testing.assert_array_equal, first, second)


class Notes(Listener):
    """Remembers what it is told of."""

    def __init__(self):
        self.told = []

    def noted(self, note):
        self.told.append(note)


@pytest.mark.slow
def test_an_unspecified_kernel_is_chosen_once_for_all_seeds_and_reported(frozen_vit, tmp_path, told):
    configs = [dataclasses.replace(kernel_config(frozen_vit), seed=seed) for seed in (0, 1)]
    notes = Notes()
    start(configs, [tmp_path / "a", tmp_path / "b"], ONE_DEVICE, notes)
    (note,) = notes.told
    found = re.match(
        r"the kernel is (\w+), the simplest within one standard error \((.*)\) of the best", note
    )
    scores = {name: float(score) for name, score in re.findall(r"(\w+) ([01]\.\d{4})", note)}
    assert list(scores) == ["linear", "additive", "gated"]
    near = [name for name, score in scores.items() if score >= max(scores.values()) - float(found[2]) - 1e-4]
    assert found[1] == near[0]
    assert load_model(tmp_path / "b").config.head.kernel == found[1]
    assert note in json.loads((tmp_path / "b" / "data.json").read_text())["notes"]


@pytest.mark.slow
def test_landmarks_bound_what_is_stored_and_their_error_is_told(frozen_vit, tmp_path):
    config = kernel_config(frozen_vit, kernel="gated", landmarks=5)
    start([config], [tmp_path / "run"], ONE_DEVICE)
    with pytest.warns(UserWarning, match="stores the hidden states of 5 training examples"):
        model = load_model(tmp_path / "run")
    assert model.parameters["head"]["points_0"].shape[0] == 5
    (line,) = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    assert 0 < line["details"]["approximation"]["residual"] < 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"backbone": Config().backbone},
            "head.kind is 'kernel', which is solved in closed form, expected",
        ),
        ({"dtype": "bfloat16"}, "dtype is 'bfloat16', expected float32 for a kernel head"),
    ],
)
def test_what_cannot_be_solved_is_refused(frozen_vit, changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        dataclasses.replace(kernel_config(frozen_vit), **changes)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ({"landmarks": 0}, "head.landmarks is 0, expected at least 1"),
        ({"kernel": "cubic"}, "head.kernel is 'cubic', expected one of 'gated', 'additive', 'linear'"),
    ],
)
def test_wrong_settings_of_a_kernel_head_are_named(head, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        HeadConfig(kind="kernel", **head)
