from dataclasses import replace

import pytest

from experiments.configs import config_of
from experiments.lib.in_memory import best_epoch
from laya_jax.data import load
from laya_jax.training import Engine, ParallelConfig, start


@pytest.mark.slow
def test_the_best_epoch_is_that_of_a_run_on_disk(tmp_path):
    config, one = replace(config_of("digits", "laya"), epochs=3, patience=3), ParallelConfig(devices=1)
    (result,) = start([config], [tmp_path / "run"], one)
    engine = Engine(config, load(config.data), one)
    best = best_epoch(engine, config.epochs, engine.steps_per_epoch)
    assert (best.epoch, best.accuracy) == (result["best_epoch"], result["validation"]["accuracy"])
    assert int(best.state.step) == best.epoch * engine.steps_per_epoch
