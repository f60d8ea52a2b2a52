"""How far LAYA's attention can be believed: every measurement, on the runs of Table 1.

    python -m experiments.faithfulness                          # measures the five LAYA runs of each data set
    python -m experiments.faithfulness --datasets fashion-mnist
    python -m experiments.faithfulness --seeds 0                # the table of what there is

The numbers are those of ``laya attribute``, with inputs of another kind, and for comparison with the first
run as it is on shuffled labels, after its last epoch. They are written to ``results/faithfulness/``, the
table to ``results/faithfulness.*``. Runs of Table 1 whose directories are gone are trained again: the same
runs, as long as neither this code nor a library has changed since, and else others of the same configs and
seeds; the table says how many are the same.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments import table1
from experiments.command import Places
from experiments.configs import PAPER
from experiments.faithfulness_tables import tables_of
from experiments.records import Job
from experiments.runs import train_missing
from experiments.study import Study
from laya_jax.data import DataConfig, Examples, load
from laya_jax.report import Explainer, attribute, stability
from laya_jax.training import ParallelConfig, load_model

RANDOM_LABELS_EPOCHS = 10
"""Long enough to learn some of the shuffled labels by heart."""


def outliers_of(dataset: str, examples: Examples) -> Examples | None:
    """Inputs of another kind in the form of this data set's; None where there are none.

    Fashion-MNIST gets the middle of CIFAR-10's images in grey, CIFAR-10 gets Fashion-MNIST's with a margin,
    IMDB its own reviews with the words in random order.
    """
    if dataset == "fashion-mnist":
        images = _images("cifar10")[:, 2:30, 2:30].mean(axis=3, keepdims=True)
        return Examples(images.round().astype(np.uint8), np.zeros(len(images), np.int32))
    if dataset == "cifar10":
        images = np.pad(_images("fashion_mnist"), ((0, 0), (2, 2), (2, 2), (0, 0)))
        return Examples(np.repeat(images, 3, axis=3), np.zeros(len(images), np.int32))
    if dataset == "imdb":
        return Examples(shuffled_words(np.asarray(examples.inputs), seed=0), examples.labels)
    return None


def shuffled_words(tokens: NDArray, seed: int) -> NDArray:
    """Texts [N, T] with the words of each in random order, and the padding where it was.

    >>> shuffled_words(np.array([[5, 6, 0]]), seed=0)[0, 2]
    np.int64(0)
    """
    keys = np.random.default_rng(seed).random(tokens.shape)
    here = tokens != 0
    # Padding keeps its place: words are drawn for the places of words only.
    order = np.argsort(np.where(here, keys, 2.0), axis=1)
    places = np.argsort(~here, axis=1, kind="stable")
    shuffled = np.zeros_like(tokens)
    np.put_along_axis(shuffled, places, np.take_along_axis(tokens, order, axis=1), axis=1)
    return shuffled


def jobs_of(dataset: str, seeds: int, epochs: int | None) -> list[Job]:
    """The LAYA runs of Table 1."""
    return table1.jobs_of([dataset], ["laya"], seeds, epochs)


def random_labels_job(job: Job) -> Job:
    """The run of a job on shuffled labels."""
    length = min(RANDOM_LABELS_EPOCHS, job.config.epochs)
    config = dataclasses.replace(
        job.config,
        data=dataclasses.replace(job.config.data, label_noise=1.0),
        epochs=length,
        patience=length,
    )
    return Job(f"faithfulness/{job.dataset}-random-labels", job.dataset, config)


def measure(jobs: Sequence[Job], places: Places) -> dict[str, Any]:
    """Everything that ``laya attribute`` measures of the LAYA runs of a data set."""
    random, dataset = random_labels_job(jobs[0]), jobs[0].dataset
    train_missing([random], places, again=True)
    one = ParallelConfig(devices=1)
    other = Explainer(load_model(places.runs / random.name, latest=True), one)
    examples = load(jobs[0].config.data).test
    outliers, runs = outliers_of(dataset, examples), []
    for job in jobs:
        explainer = Explainer(load_model(places.runs / job.name), one)
        runs.append(attribute(explainer, examples, outliers=outliers, random_labels=other))
        print(f"measured {job.name}", flush=True)
    record = random.record(places.results) or {}
    published = [(job.record(places.results) or {})["test"]["accuracy"] for job in jobs]
    measured = [run.numbers["metrics"]["accuracy"] for run in runs]
    return {
        "runs": [run.numbers for run in runs],
        "same_runs": [bool(np.isclose(*pair, atol=1e-6)) for pair in zip(published, measured, strict=True)],
        "stability": stability(runs),
        "random_labels": record["curve"][-1]["train"],
    }


def _images(source: str) -> NDArray:
    return np.asarray(load(DataConfig(source=source)).test.inputs)


STUDY = Study(
    "faithfulness",
    __doc__,
    datasets=PAPER,
    seeds=5,
    jobs_of=jobs_of,
    measure=measure,
    needs=("random_labels", "same_runs"),
    tables_of=tables_of,
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures what is missing, and makes the table."""
    STUDY.main(arguments)


if __name__ == "__main__":
    main()
