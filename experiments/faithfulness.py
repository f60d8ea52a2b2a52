"""How far LAYA's attention can be believed: every measurement, on the runs of Table 1.

    python -m experiments.faithfulness                          # measures the five LAYA runs of each data set
    python -m experiments.faithfulness --datasets fashion-mnist
    python -m experiments.faithfulness --seeds 0                # the table of what there is

The numbers are those of ``laya attribute``, with inputs of another kind, and for comparison with the first
run as it is on shuffled labels, after its last epoch. They are written to ``results/faithfulness/``, the
table to ``results/faithfulness.*``. Runs of Table 1 whose directories are gone are trained again: the same
runs, as long as neither this code nor a library has changed since, and else others of the same configs and
seeds.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments import table1
from experiments.command import Places
from experiments.configs import PAPER
from experiments.records import Job
from experiments.runs import train_missing
from experiments.study import Study
from experiments.tables import Table
from laya_jax.data import DataConfig, Examples, load
from laya_jax.report import Explainer, attribute, stability
from laya_jax.training import ParallelConfig, load_model

RANDOM_LABELS_EPOCHS = 10
"""Long enough to learn some of the shuffled labels by heart."""

Value = Callable[[Mapping[str, Any]], float | None]

ROWS: Mapping[str, Value] = {
    "test accuracy": lambda of: of["metrics"]["accuracy"],
    "effective depth": lambda of: of["metrics"]["effective_depth"],
    "mutual information of sample and layer, bits": lambda of: of["profiles"]["mutual_information"],
    "completeness gap": lambda of: _faith(of)["completeness_gap"],
    "predictions that change without the top layer": lambda of: _faith(of)["flips_without_top_layer"],
    "predictions that change without another layer": lambda of: _faith(of)["flips_without_another_layer"],
    "comprehensiveness, 0 random, 1 best": lambda of: _faith(of)["curves"]["comprehensiveness_score"],
    "sufficiency, 0 random, 1 best": lambda of: _faith(of)["curves"]["sufficiency_score"],
    "top layer argues against the prediction": lambda of: _faith(of)["opposing_top_layer"],
    **{
        f"Spearman with leaving out: {name.replace('_', ' ')}{', centred' * centred}": (
            lambda of, name=name, centred=centred: _faith(of)["agreement"][name][
                "masked_centred" if centred else "masked"
            ]["spearman"]
        )
        for name in ("attention", "attention_norm", "contribution", "shapley")
        for centred in (False, True)
    },
    **{
        f"accuracy with {shown} attention": (
            lambda of, name=name: _faith(of)["replaced_attention"][name]["accuracy"]
        )
        for name, shown in (
            ("uniform", "uniform"),
            ("mean", "the mean"),
            ("class_mean", "its class's mean"),
            ("permuted", "another sample's"),
            ("top_layer", "all on the top layer:"),
        )
    },
    **{
        f"correlation once random: {part}{', same seed' * (part == 'labels')}": (
            lambda of, part=part: _faith(of)["randomization"].get(part, {}).get("centred_correlation")
        )
        for part in ("scorer", "adapters", "backbone from h1", "labels")
    },
    "same top layer under input noise": lambda of: _faith(of)["input_noise"]["same_top_layer"],
    "attention moved by rescaling": lambda of: (_faith(of)["rescaling"] or {}).get("attention_change"),
    "decisions kept by rescaling": lambda of: (_faith(of)["rescaling"] or {}).get("same_decisions"),
    **{
        f"AUROC for {kind}: {name.replace('_', ' ')}": (
            lambda of, kind=kind, name=name: ((of[kind] or {}).get(name) or {}).get("auroc")
        )
        for kind in ("mistakes", "outliers")
        for name in (
            "max_softmax",
            "energy",
            "attention_entropy",
            "profile_distance",
            "contribution_conflict",
        )
    },
}
"""What is shown of each run, by what it is called in the table."""

STABILITY = {
    "seeds: same top layer": "same_top_layer",
    "seeds: centred correlation": "centred_correlation",
    "seeds: divergence, bits": "divergence",
}


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
    return {
        "runs": [run.numbers for run in runs],
        "stability": stability(runs),
        "random_labels": record["curve"][-1]["train"],
    }


def table_of(measured: Sequence[Mapping[str, Any]]) -> Table:
    """A row per measurement, a column per data set: the mean over the runs, and the least and the most."""
    table = Table(
        "Faithfulness of LAYA's attention, mean over seeds, Table 1's configs (least to most)",
        ("measured", *(found["dataset"] for found in measured)),
    )
    for name, value in ROWS.items():
        table.add(name, *(_spread([value(run) for run in found["runs"]]) for found in measured))
    for name, field in STABILITY.items():
        table.add(name, *(_beside_chance(found["stability"], field) for found in measured))
    learnt = (
        f"{found['random_labels']['accuracy']:.3f}" if "random_labels" in found else "" for found in measured
    )
    table.add("accuracy of the run on shuffled labels on what it trained on", *learnt)
    return table


def _faith(numbers: Mapping[str, Any]) -> Mapping[str, Any]:
    faithfulness: Mapping[str, Any] = numbers["faithfulness"]
    return faithfulness


def _spread(values: Sequence[float | None]) -> str:
    """Mean, least and most of those that are defined.

    >>> _spread([0.5, None, 0.25]), _spread([None])
    ('0.375 (0.250 to 0.500), 2 of 3 runs', '')
    """
    known = [value for value in values if value is not None]
    if not known:
        return ""
    form = (lambda value: f"{value:.0e}") if max(map(abs, known)) < 1e-4 else (lambda value: f"{value:.3f}")
    text = f"{form(float(np.mean(known)))} ({form(min(known))} to {form(max(known))})"
    return text if len(known) == len(values) else f"{text}, {len(known)} of {len(values)} runs"


def _beside_chance(found: Mapping[str, Any] | None, field: str) -> str:
    if found is None or found["between"][field] is None:
        return ""
    chance = found["chance"][field]
    return f"{found['between'][field]:.3f}" + ("" if chance is None else f" ({chance:.3f} by chance)")


def _images(source: str) -> NDArray:
    return np.asarray(load(DataConfig(source=source)).test.inputs)


STUDY = Study(
    "faithfulness", __doc__, datasets=PAPER, seeds=5, jobs_of=jobs_of, measure=measure, table_of=table_of
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures what is missing, and makes the table."""
    STUDY.main(arguments)


if __name__ == "__main__":
    main()
