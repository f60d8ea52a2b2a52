import dataclasses
import json
import re

import jax
import numpy as np
import pytest
from real_processes import train_in_two_processes_and_one

from laya_jax.data import DataConfig, load
from laya_jax.engine.engine import Engine
from laya_jax.engine.parallel import make_parallel
from laya_jax.training import ParallelConfig

ONE_DEVICE = ParallelConfig(devices=1)


def epoch(config, dataset, parallel, seeds=(), **options):
    """Losses of an epoch, [seed, step], and outputs on the test split."""
    engine = Engine(config, dataset, parallel, seeds, **options)
    chunks = list(engine.train(engine.place(engine.initial()), 0, engine.steps_per_epoch))
    losses = np.concatenate([metrics.loss for _, metrics in chunks], axis=1)
    return losses, engine.outputs(chunks[-1][0], "test", explain=True)


@pytest.fixture(scope="module")
def one_device(small_config):
    return epoch(small_config, load(small_config.data), ONE_DEVICE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parallel", "options"),
    [
        (ParallelConfig(), {}),
        (ParallelConfig(parallel="pmap"), {}),
        (ONE_DEVICE, {"largest_resident": 0}),
        (ParallelConfig(parallel="pmap"), {"largest_resident": 0}),
    ],
    ids=["jit", "pmap", "streamed", "pmap, streamed"],
)
def test_all_ways_to_compute_agree_over_an_epoch(small_config, one_device, parallel, options):
    assert len(make_parallel(parallel, batch_size=64).devices) in (1, 8)
    losses, outputs = epoch(small_config, load(small_config.data), parallel, **options)
    np.testing.assert_allclose(losses, one_device[0], atol=1e-5)
    np.testing.assert_allclose(outputs[0].logits, one_device[1][0].logits, atol=1e-4)
    np.testing.assert_allclose(outputs[0].attention, one_device[1][0].attention, atol=1e-5)
    assert (outputs[0].flips == one_device[1][0].flips).mean() > 0.99


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parallel", "batch_size"),
    [
        (ParallelConfig(), 104),
        (ParallelConfig(parallel="pmap"), 104),
        (ParallelConfig(devices=1, microbatches=3), 102),
    ],
    ids=["jit", "pmap", "parts"],
)
def test_a_data_set_smaller_than_a_batch_is_taken_whole_on_any_devices(
    tiny_config, blobs, parallel, batch_size
):
    config = dataclasses.replace(tiny_config, batch_size=384, data=DataConfig(source="npz:blobs.npz"))
    if len(jax.devices()) > 1 or parallel.devices == 1:
        assert Engine(config, blobs, parallel).batch_size == batch_size
    losses, outputs = epoch(config, blobs, parallel)
    expected, expected_outputs = epoch(config, blobs, ONE_DEVICE)
    assert losses.shape == (1, 1)
    np.testing.assert_allclose(losses, expected, atol=1e-5)
    np.testing.assert_allclose(outputs[0].logits, expected_outputs[0].logits, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("parallel", [ONE_DEVICE, ParallelConfig(parallel="pmap")], ids=["one", "pmap"])
def test_seeds_side_by_side_are_those_one_by_one(small_config, one_device, parallel):
    dataset = load(small_config.data)
    losses, outputs = epoch(small_config, dataset, parallel, seeds=(7, 0))
    np.testing.assert_allclose(losses[1], one_device[0][0], atol=1e-5)
    np.testing.assert_allclose(outputs[1].logits, one_device[1][0].logits, atol=1e-4)
    alone, _ = epoch(dataclasses.replace(small_config, seed=7), dataset, ONE_DEVICE)
    np.testing.assert_allclose(losses[0], alone[0], atol=1e-5)


def test_a_batch_is_divided_over_all_devices(tiny_config, blobs):
    engine = Engine(tiny_config, blobs, ParallelConfig())
    ((batches, count),) = engine._feed("train").chunks(np.zeros((3, 16), np.int32))
    assert count == 3
    assert len(batches.sharding.device_set) == 8
    assert batches.addressable_shards[0].data.shape == (50, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: make_parallel(ParallelConfig(), batch_size=100),
            "batch_size is 100, expected a multiple of 8, the number of devices",
        ),
        (
            lambda: make_parallel(ParallelConfig(devices=9), batch_size=9),
            "devices is 9, expected at most 8, the number available",
        ),
        (
            lambda: make_parallel(ParallelConfig(require_backend="gpu"), batch_size=8),
            "require_backend is 'gpu'",
        ),
        (lambda: ParallelConfig(parallel="tmap"), "parallel is 'tmap'"),
        (lambda: ParallelConfig(coordinator="localhost:1"), "processes is None, expected a number"),
        (lambda: ParallelConfig(process=1), "process is 1, expected None"),
    ],
)
def test_impossible_settings_are_rejected(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path):
    options = [
        "--epochs",
        "2",
        "--baseline",
        "None",
        "--json",
        "--backbone.widths",
        "16",
        "12",
        "--head.dim",
        "8",
    ]
    outputs = train_in_two_processes_and_one(tmp_path, ["digits", *options])
    assert outputs[1][0] == ""
    assert re.search(r"backend cpu, 2 devices", outputs[0][1])
    one, two = (
        [json.loads(line) for line in (tmp_path / run / "metrics.jsonl").read_text().splitlines()]
        for run in ("one", "two")
    )
    assert len(one) == len(two) == 2
    for alone, together in zip(one, two, strict=True):
        assert together["train"]["loss"] == pytest.approx(alone["train"]["loss"], abs=1e-5)
        assert together["validation"]["accuracy"] == alone["validation"]["accuracy"]
    assert json.loads(outputs[0][0])["runs"][0]["test"]["accuracy"] == pytest.approx(
        json.loads(outputs[2][0])["runs"][0]["test"]["accuracy"], abs=0.01
    )
    assert jax.process_count() == 1
