"""Faithfulness of LAYA's attention: every measurement, on the LAYA runs of Table 1.

    python -m experiments.faithfulness                          # the five LAYA runs of each data set
    python -m experiments.faithfulness --datasets fashion-mnist
    python -m experiments.faithfulness --seeds 0                # the tables of existing measurements

The measurements are those of ``laya attribute``, including out-of-distribution inputs and a comparison with
the first run retrained on shuffled labels, taken after its last epoch. They are written to
``results/faithfulness/``, the tables to ``results/faithfulness.*``. Runs of Table 1 whose directories have
been deleted are trained again with the same configs and seeds. The retrained runs are identical to the
original ones unless this code or a library has changed since; the table reports how many are identical.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.configs import PAPER
from experiments.lib import head_accuracies
from experiments.lib.command import Places
from experiments.lib.faithfulness_tables import tables_of
from experiments.lib.records import Job
from experiments.lib.runs import train_missing
from experiments.lib.study import Study
from laya_jax.data import DataConfig, Examples, load
from laya_jax.report import Explainer, attribute, stability
from laya_jax.training import ParallelConfig, load_model

RANDOM_LABELS_EPOCHS = 10
"""Number of epochs on shuffled labels; enough to memorize some of them."""


def outliers_of(dataset: str, examples: Examples) -> Examples | None:
    """Returns out-of-distribution inputs in the format of a data set, or None if it has none.

    For Fashion-MNIST these are centre crops of CIFAR-10 in greyscale; for CIFAR-10, padded images of
    Fashion-MNIST; for IMDB, its own reviews with the words in random order.
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
    """Shuffles the words of each text in [N, T] and leaves padding in place.

    >>> shuffled_words(np.array([[5, 6, 0]]), seed=0)[0, 2]
    np.int64(0)
    """
    keys = np.random.default_rng(seed).random(tokens.shape)
    here = tokens != 0
    # Padding stays in place: only the positions of words are permuted.
    order = np.argsort(np.where(here, keys, 2.0), axis=1)
    places = np.argsort(~here, axis=1, kind="stable")
    shuffled = np.zeros_like(tokens)
    np.put_along_axis(shuffled, places, np.take_along_axis(tokens, order, axis=1), axis=1)
    return shuffled


def jobs_of(dataset: str, seeds: int, epochs: int | None) -> list[Job]:
    """Returns the LAYA runs of Table 1."""
    return head_accuracies.jobs_of([dataset], ["laya"], seeds, epochs)


def random_labels_job(job: Job) -> Job:
    """Returns the same job with shuffled training labels."""
    length = min(RANDOM_LABELS_EPOCHS, job.config.epochs)
    config = dataclasses.replace(
        job.config,
        data=dataclasses.replace(job.config.data, label_noise=1.0),
        epochs=length,
        patience=length,
    )
    return Job(f"faithfulness/{job.dataset}-random-labels", job.dataset, config)


def measure(jobs: Sequence[Job], places: Places) -> dict[str, Any]:
    """Takes every measurement of ``laya attribute`` on the LAYA runs of a data set."""
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
    """Takes missing measurements and writes the tables."""
    STUDY.main(arguments)


if __name__ == "__main__":
    main()
