"""Records of runs: one JSON file per run, from which every table and figure is built."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from laya_jax.attribution import profiles
from laya_jax.data import Dataset, kind_of
from laya_jax.engine import ParallelConfig, differences, from_json, to_json
from laya_jax.files import read_json, write_text
from laya_jax.training import ENVIRONMENT, Config, RunDirectory, load_model, predict

RESULTS = Path(__file__).parents[1] / "results"
MOST_SEEDS = 20
"""Maximum number of seeds whose records are read."""


class Job(NamedTuple):
    """Run that a table or figure needs.

    Attributes:
      name: Name of the record and of the run directory, a relative path without suffix.
      dataset: Name of the data set in ``experiments.configs``.
      config: Config to train.
    """

    name: str
    dataset: str
    config: Config

    def record(self, results: Path) -> dict[str, Any] | None:
        """Reads the record of the run, or returns None if it has not finished.

        Raises:
          ValueError: The record has a different config.
        """
        path = results / f"{self.name}.json"
        if not path.exists():
            return None
        record: dict[str, Any] = json.loads(path.read_text())
        check_config(path, record, self.config)
        return record


def check_config(path: Path, record: Mapping[str, Any], config: Config) -> None:
    """Checks that a record read from a path has the given config, ignoring paths of data and weights.

    Raises:
      ValueError: The record has a different config.
    """
    changes = differences(*map(_without_paths, (from_json(Config, record["config"]), config)))
    if changes:
        raise ValueError(f"{path} is of another config: {'; '.join(changes)}; move it away to train anew")


def _without_paths(config: Config) -> Config:
    kind, path = kind_of(config.data.source), config.backbone.path
    source = config.data.source if kind in ("digits", "tfds") else f"{kind}:anywhere"
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, source=source, directory=None),
        backbone=dataclasses.replace(config.backbone, path=path and "anywhere"),
    )


def write_record(job: Job, run: RunDirectory, dataset: Dataset, results: Path) -> None:
    """Writes the record of a finished run.

    Raises:
      ValueError: The run has not finished.
    """
    model = load_model(run.path)
    outputs = predict(model, dataset.test, ParallelConfig(devices=1))
    result = run.result()
    if result is None:
        raise ValueError(f"run is {run.path}, which has not finished")
    labels, predicted = dataset.test.labels, np.argmax(outputs.logits, axis=1)
    attention = None
    if outputs.attention is not None:
        attention = attention_statistics(outputs.attention, labels, predicted, len(dataset.class_names))
    record = {
        "dataset": job.dataset,
        "head": job.config.head.kind,
        "seed": job.config.seed,
        "config": to_json(job.config),
        "environment": read_json(run.path / ENVIRONMENT),
        "fingerprint": run.fingerprint(),
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(model.parameters)),
        "class_names": dataset.class_names,
        "curve": list(run.lines()),
        "attention": attention,
        **{
            name: result[name]
            for name in ("best_epoch", "validation", "test", "faithfulness", "warnings", "seconds")
        },
    }
    path = results / f"{job.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(record) + "\n")


def attention_statistics(
    attention: NDArray, labels: NDArray, predicted: NDArray, num_classes: int
) -> dict[str, Any]:
    """Computes mean and deviation of attention [L], and class profiles of all, correct and wrong examples.

    >>> statistics = attention_statistics(np.array([[0.2, 0.8]]), np.array([1]), np.array([0]), 2)
    >>> statistics["wrong"]["by_class"]
    [None, [0.2, 0.8]]
    """
    found = profiles(attention, labels, predicted, num_classes)
    return {
        "mean": found.mean.tolist(),
        "standard_deviation": found.deviation.tolist(),
        **{group: getattr(found, group).to_json() for group in ("all", "correct", "wrong")},
    }


def select(records: Sequence[Mapping[str, Any]], dataset: str, head: str) -> list[Mapping[str, Any]]:
    """Selects the records of a data set and a head."""
    return [record for record in records if (record["dataset"], record["head"]) == (dataset, head)]


def fastest_epoch(records: Sequence[Mapping[str, Any]]) -> float:
    """Returns the seconds of the fastest epoch of all runs, the time least affected by other processes.

    >>> fastest_epoch([{"curve": [{"seconds": 9.0}, {"seconds": 3.0}]}, {"curve": [{"seconds": 4.0}]}])
    3.0
    """
    return float(min(line["seconds"] for record in records for line in record["curve"]))


def finished(jobs: Sequence[Job], results: Path) -> list[dict[str, Any]]:
    """Reads the records of all finished jobs."""
    records = (job.record(results) for job in jobs)
    return [record for record in records if record is not None]
