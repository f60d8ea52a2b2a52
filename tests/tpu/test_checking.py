import dataclasses
import importlib.util
import json
import os
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from laya_jax.data import DataConfig, load
from laya_jax.engine.feed import CHUNK
from laya_jax.engine.parallel import MeshParallel, ParallelConfig
from laya_jax.tpu import lowering as abstract_module
from laya_jax.tpu.checking import CompileReport, DoesNotFitError, _further_passes, compile_check
from laya_jax.tpu.chips import CHIPS, find_topology
from laya_jax.tpu.lowering import abstract_training, lower
from laya_jax.training import EXPERIMENTS, BackboneConfig, Config, Engine, HeadConfig

needs_libtpu = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="libtpu is not installed (extra tpu-check)"
)

MLP = dataclasses.replace(EXPERIMENTS["fashion-mnist"], head=HeadConfig(kind="last_layer"))
BILSTM = Config(
    data=DataConfig(source="imdb_reviews", max_length=32, vocabulary_size=100),
    backbone=BackboneConfig(kind="bilstm", widths=(16,), embedding_dim=16),
    head=HeadConfig(kind="last_layer"),
)


def shapes(tree):
    return [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)]


@pytest.fixture(scope="module")
def mlp_report():
    return compile_check(MLP, "v5e:2x4")


@needs_libtpu
def test_the_operations_of_an_mlp_are_those_counted_by_hand(mlp_report):
    weights = 784 * 512 + 512 * 256 + 256 * 128 + 128 * 10
    # One product forward, two backward; nobody asks for the gradient of the images. 16 of them on a chip.
    assert mlp_report.flops == 2 * 16 * (3 * weights - 784 * 512)


@needs_libtpu
def test_the_bytes_of_an_mlp_are_in_proportion(mlp_report):
    state = 3 * 4 * (784 * 512 + 512 * 256 + 256 * 128 + 128 * 10)
    data = 54_000 * 784
    assert mlp_report.chips == 8
    # Adam reads and writes the state; what else a step does costs less than ten times that.
    assert 2 * state < mlp_report.bytes_moved < 20 * state
    assert state + data < mlp_report.arguments < 1.5 * (state + data)
    assert mlp_report.outputs < 10_000
    assert mlp_report.limit == "memory bandwidth"


@pytest.mark.slow
@needs_libtpu
def test_a_recurrence_is_counted_for_every_word():
    report = compile_check(BILSTM, "v5e:2x4")
    weights = 2 * 32 * (16 + 16) * 4 * 16 + 32 * 2
    # Forward once, backward twice as much, and the gates once more for it.
    assert report.flops == pytest.approx(4 * 2 * 16 * weights, rel=0.02)


def test_what_a_scan_reads_and_writes_after_its_first_pass():
    def cumulative(weight, sequence):
        def step(carry, row):
            return carry + weight * row, (carry, row[0])

        return jax.lax.scan(step, jnp.zeros(3), sequence)

    jaxpr = jax.make_jaxpr(jax.jit(cumulative))(jnp.ones(3), jnp.ones((5, 3))).jaxpr
    assert _further_passes(jaxpr) == 4 * (3 + 3 + 1) * 4


def test_a_report_is_bound_by_the_slower_of_both_peaks():
    report = CompileReport(
        program="a step",
        topology="v5e:2x4",
        chips=8,
        batch_size=128,
        flops=197_000_000,
        bytes_moved=819_000,
        arguments=8_000_000_000,
        outputs=0,
        temporaries=0,
        chip=CHIPS["v5e"],
    )
    assert report.seconds == pytest.approx({"matrix products": 1e-6, "memory bandwidth": 1e-6})
    slower = dataclasses.replace(report, flops=2 * report.flops)
    assert slower.limit == "matrix products"
    assert slower.examples_per_second == pytest.approx(128 / 2e-6)
    assert "50.0% of 16.0 GB" in str(report)
    assert json.loads(json.dumps(slower.to_json()))["limit"] == "matrix products"


@needs_libtpu
def test_a_model_that_is_too_large_for_a_chip():
    wide = dataclasses.replace(MLP, backbone=BackboneConfig(widths=(40_000, 40_000)))
    with pytest.raises(
        DoesNotFitError, match=r"does not fit on v5e:2x4: it needs 24\.\d+G of each chip's 15\.75G$"
    ):
        compile_check(wide, "v5e:2x4")


@pytest.mark.parametrize("topology", ["h100", "v5e", "v5e:", "v5e:2x2x1", "v4:2x4", "v9:2x4", "v5e:axb"])
def test_an_unknown_topology(topology):
    with pytest.raises(ValueError, match=f"topology is '{topology}', expected a form like 'v4:2x2x1'"):
        find_topology(topology)


@needs_libtpu
def test_a_topology_that_is_not_built():
    with pytest.raises(ValueError, match="topology is 'v5e:3x5', which libtpu rejects: "):
        find_topology("v5e:3x5")


@needs_libtpu
@pytest.mark.parametrize(
    ("topology", "chips"),
    [("v4:2x2x1", 4), ("v5e:1x1", 1), ("v5e:16x16", 256), ("v5p:2x2x2", 8), ("v6e:2x4", 8)],
)
def test_a_topology_has_one_device_per_chip(topology, chips):
    assert len(find_topology(topology)[1]) == chips


@needs_libtpu
def test_a_batch_that_does_not_divide_by_the_chips():
    with pytest.raises(
        ValueError, match="batch_size is 100, expected a multiple of 8, the number of chips of"
    ):
        compile_check(dataclasses.replace(MLP, batch_size=100), "v5e:2x4")


def test_a_batch_larger_than_the_data_set():
    with pytest.raises(ValueError, match="batch_size is 60000, expected at most 54000, the number of"):
        abstract_training(dataclasses.replace(MLP, batch_size=60_000))


def test_without_libtpu_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"libtpu is missing.*pip install 'laya-jax\[tpu-check\]'"):
        find_topology("v5e:2x4")


@pytest.mark.slow
@needs_libtpu
def test_two_processes_at_once_stay_quiet_and_leave_nothing_in_the_cache(tmp_path):
    program = (
        "from laya_jax.training import EXPERIMENTS\n"
        "from laya_jax.tpu.checking import compile_check\n"
        "print(compile_check(EXPERIMENTS['digits'], 'v5e:2x2').chips)"
    )
    environment = {
        name: value for name, value in os.environ.items() if not re.match("TPU_|ALLOW_MULTIPLE_LIBTPU", name)
    } | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    outcomes = [(*process.communicate(), process.returncode) for process in processes]
    assert outcomes == [("4\n", "", 0)] * 2
    # A program in it could not be read back, and JAX would warn of that.
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_lowers_for_a_gpu(name):
    exported = lower(EXPERIMENTS[name])
    assert exported.platforms == ("cuda",)
    assert exported.nr_devices == 1


@pytest.mark.slow
def test_a_gpu_gets_grouped_convolutions_and_a_cpu_shifts():
    def groups(platform):
        return set(
            re.findall(r"feature_group_count = (\d+)", lower(EXPERIMENTS["cifar10"], platform).mlir_module())
        )

    assert groups("cuda") >= {"3", "64", "128"}
    assert not groups("cpu")


def test_an_unknown_platform():
    with pytest.raises(ValueError, match="platform is 'gpu', expected one of 'cpu', 'cuda'"):
        lower(EXPERIMENTS["digits"], "gpu")


def test_the_shapes_are_those_of_a_real_run():
    config = EXPERIMENTS["digits"]
    dataset = load(config.data)
    training = abstract_training(config)
    engine = Engine(config, dataset, ParallelConfig(devices=1))
    assert shapes(training.state) == shapes(engine.initial())
    assert shapes(training.examples) == shapes(engine._feed("train").data)


@pytest.mark.parametrize(
    ("name", "shape", "dtype"),
    [
        ("fashion-mnist", (54_000, 784), jnp.uint8),
        ("cifar10", (45_000, 3072), jnp.uint8),
        ("imdb", (22_500, 256), jnp.int32),
    ],
)
def test_the_shapes_of_data_sets_that_are_not_there(name, shape, dtype):
    inputs = abstract_training(EXPERIMENTS[name]).examples.inputs
    assert (inputs.shape, inputs.dtype) == (shape, dtype)


def test_data_that_do_not_fit_come_with_the_batches(monkeypatch):
    training, parallel = abstract_training(EXPERIMENTS["digits"]), MeshParallel(jax.devices())
    assert training.arguments(parallel)[2].shape == (CHUNK, 128)
    monkeypatch.setattr(abstract_module, "LARGEST_RESIDENT", 1000)
    _, data, batches, _ = training.arguments(parallel)
    assert data is None
    assert batches.inputs.shape == (CHUNK, 128, 64)
    assert batches.inputs.sharding == parallel.divided(1)
