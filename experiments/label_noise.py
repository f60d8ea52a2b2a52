"""Detection of wrong labels: some training labels are shuffled, and all examples are ranked by suspicion.

    python -m experiments.label_noise                          # trains and ranks Fashion-MNIST, three seeds
    python -m experiments.label_noise --seeds 0                # the table of existing measurements

Each score of ``laya_jax.attribution.label_suspicion`` ranks the training examples of a LAYA run with early
stopping. Measurements are written to ``results/label_noise/``, the table to ``results/label_noise.*``.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.configs import config_of
from experiments.lib.command import Places
from experiments.lib.records import Job
from experiments.lib.statistics import summarize
from experiments.lib.study import Study
from experiments.lib.tables import Table
from laya_jax.attribution import by_name, detection, label_suspicion, precision_at
from laya_jax.data import load
from laya_jax.report import Explainer
from laya_jax.training import ParallelConfig, load_model

NOISE = 0.1


def jobs_of(dataset: str, seeds: int, epochs: int | None) -> list[Job]:
    """Returns the LAYA runs on noisy labels, one per seed."""
    jobs = []
    for seed in range(seeds):
        config = dataclasses.replace(config_of(dataset, "laya"), seed=seed)
        config = dataclasses.replace(config, data=dataclasses.replace(config.data, label_noise=NOISE))
        if epochs is not None:
            config = dataclasses.replace(config, epochs=epochs)
        jobs.append(Job(f"label_noise/{dataset}-seed{seed}", dataset, config))
    return jobs


def measure(jobs: Sequence[Job], places: Places) -> dict[str, Any]:
    """Measures AUROC and precision of each score in detecting wrong labels."""
    data = jobs[0].config.data
    noisy = load(data).train
    wrong = noisy.labels != load(dataclasses.replace(data, label_noise=0.0)).train.labels
    runs = []
    for job in jobs:
        explained = Explainer(load_model(places.runs / job.name), ParallelConfig(devices=1))(noisy)
        scores = label_suspicion(explained.logits, noisy.labels, explained.explanation)
        found = {
            name: {
                "auroc": detection(values, wrong).auroc,
                "precision": precision_at(values, wrong, int(wrong.sum())),
            }
            for name, values in by_name(scores).items()
        }
        record = job.record(places.results)
        assert record is not None
        runs.append({"seed": job.config.seed, "test_accuracy": record["test"]["accuracy"], "scores": found})
    return {"examples": len(wrong), "wrong": int(wrong.sum()), "runs": runs}


def tables_of(measured: Sequence[Mapping[str, Any]]) -> list[Table]:
    """Builds a table with one row per data set and score: its detection of wrong labels."""
    table = Table(
        f"Wrong labels found, {NOISE:.0%} of the training labels shuffled, epochs chosen on validation with "
        "right labels; mean ± deviation over seeds",
        (
            "data set",
            "wrong labels",
            "score",
            "AUROC",
            "precision among as many as are wrong",
            "test accuracy",
        ),
    )
    for found in measured:
        accuracy = summarize([run["test_accuracy"] for run in found["runs"]])
        for score in found["runs"][0]["scores"]:
            columns = [
                summarize([run["scores"][score][name] for run in found["runs"]])
                for name in ("auroc", "precision")
            ]
            table.add(
                found["dataset"],
                f"{found['wrong']:,} of {found['examples']:,}",
                score.replace("_", " "),
                *map(str, columns),
                str(accuracy),
            )
    return [table]


STUDY = Study(
    "label_noise",
    __doc__,
    datasets=["fashion-mnist"],
    seeds=3,
    jobs_of=jobs_of,
    measure=measure,
    needs=(),
    tables_of=tables_of,
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Takes missing measurements and writes the table."""
    STUDY.main(arguments)


if __name__ == "__main__":
    main()
