import json
from pathlib import Path

import pytest

from experiments.benchmarks import timing
from experiments.benchmarks.problems import PROBLEMS
from experiments.benchmarks.training import step_flops

RESULTS = sorted(Path(timing.RESULTS).glob("benchmark_*.json"))


def test_alternatives_are_compared_in_pairs_with_the_first():
    calls = []
    rows = timing.compare({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=3)
    assert calls == [*"aabb", *"ababab"]
    assert rows["a"]["ratio"] == 1
    assert rows["b"]["lowest_ratio"] <= rows["b"]["ratio"] <= rows["b"]["highest_ratio"]


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_committed_results_say_what_they_were_measured_on(path):
    result = json.loads(path.read_text())
    assert {"platform", "processors", "python", "jax"} == result["machine"].keys()
    assert all(row["milliseconds"] > 0 for rows in result["tables"].values() for row in rows.values())
    assert (Path(timing.__file__).parent / f"{path.stem.removeprefix('benchmark_')}.py").exists()


@pytest.mark.slow
def test_the_networks_of_the_training_benchmark_are_built():
    operations = {name: step_flops(problem) for name, problem in PROBLEMS.items()}
    assert operations["mlp"] < operations["separable_cnn"] < operations["bilstm"]
