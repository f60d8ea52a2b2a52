"""Comparison of heads on frozen backbones, on real paintings and reviews, with an equal tuning budget.

    python -m experiments.frozen --vit PATH --bert PATH --paintings FOLDER   # computes missing records
    python -m experiments.frozen --seeds 0                                   # the tables of existing records

The backbones are a ViT on paintings of 11 styles (class tokens of 12 blocks) and a BERT on IMDB reviews
(the first 128 tokens, averaged over tokens, 7 hidden states). For every head, the same number of settings is
tried with one random seed; the one with the best validation accuracy is then trained with every seed. Each
run is evaluated at its best epoch on validation. If training labels are few, an epoch is several passes over
the training examples; the validation split is always used in full. Records are written to
``results/frozen/``, tables to ``results/frozen.*``. If the command is killed, running it again continues.
"""

import argparse
import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.configs.frozen import (
    CANDIDATES,
    EPOCHS,
    FEWEST_STEPS,
    LABELS,
    ORACLE,
    RECOMMENDED,
    SHORT,
    SINGLE,
    Setting,
    on_one_layer,
)
from experiments.lib.command import errors_in_a_line
from experiments.lib.frozen_tables import path_of, tables_of
from experiments.lib.in_memory import best_epoch
from experiments.lib.records import RESULTS
from experiments.lib.tables import write_tables
from laya_jax.backbones import Pretrained
from laya_jax.checks import check_count
from laya_jax.cli.process import prepare_jax
from laya_jax.data import DataConfig, Dataset, steps_per_epoch
from laya_jax.engine import make_parallel, measure, to_json
from laya_jax.files import read_json, write_json
from laya_jax.inputs import gather
from laya_jax.training import BackboneConfig, Config, Engine, OptimizerConfig, ParallelConfig

ONE = ParallelConfig(devices=1)
IMAGE_SIZE = 224


class Problem(NamedTuple):
    """Classification problem on the hidden states of a frozen backbone.

    Attributes:
      name: Name of the data set.
      config: Config of a run on the data set.
      dataset: Data set whose inputs are hidden states [N, L, D].
      backbone: Module that passes them on to a head.
      weights: Checksum of the backbone's weights.
    """

    name: str
    config: Config
    dataset: Dataset
    backbone: Pretrained | None
    weights: int | None


def load_problem(name: str, asked: argparse.Namespace) -> Problem:
    """Loads or computes the hidden states of a data set."""
    if name == "paintings":
        data = DataConfig(source=f"images:{asked.paintings}", image_size=IMAGE_SIZE)
        backbone = BackboneConfig(kind="vit", path=str(asked.vit), freeze=True)
    else:
        data = DataConfig(source="imdb_reviews", split="last", max_length=128)
        backbone = BackboneConfig(kind="bert", path=str(asked.bert), freeze=True)
    config = Config(data=data, backbone=backbone, epochs=EPOCHS[name], patience=EPOCHS[name])
    inputs, dataset = gather(config, make_parallel(ONE, batch_size=config.batch_size))
    weights = inputs.record.weights if inputs.record else None
    # Kept in memory, because it is read hundreds of times.
    return Problem(name, config, dataset.with_inputs(np.asarray), inputs.backbone, weights)


def few(dataset: Dataset, labels: str, seed: int) -> Dataset:
    """Draws a number of training examples of each class at random; the other splits stay as they are."""
    if labels == "all":
        return dataset
    order = np.random.default_rng(seed).permutation(len(dataset.train.labels))
    of_class = [order[dataset.train.labels[order] == label] for label in range(len(dataset.class_names))]
    rows = np.sort(np.concatenate([rows[: int(labels)] for rows in of_class]))
    return dataclasses.replace(dataset, train=dataset.train.take(rows))


def of_layer(dataset: Dataset, layer: int | None) -> Dataset:
    """Selects one layer of a data set of hidden states; None keeps all layers."""
    if layer is None:
        return dataset
    one = dataset.with_inputs(lambda states: states[:, layer : layer + 1])
    shape = (1, dataset.preprocessing.shape[1])
    return dataclasses.replace(one, preprocessing=dataclasses.replace(dataset.preprocessing, shape=shape))


def train_setting(problem: Problem, labels: str, setting: Setting, seeds: Sequence[int]) -> Iterator[Any]:
    """Trains a setting in memory with each seed; yields the results at the best epoch on validation."""
    engine, passes = None, 1
    for seed in seeds:
        start = time.monotonic()
        if engine is None or labels != "all":
            dataset = of_layer(few(problem.dataset, labels, seed), setting.layer)
            batch_size = min(128, len(dataset.train.labels))
            passes = -(-FEWEST_STEPS // steps_per_epoch(len(dataset.train.labels), batch_size))
            config = dataclasses.replace(
                problem.config,
                head=setting.head,
                optimizer=OptimizerConfig(learning_rate=setting.rate, schedule="cosine"),
                batch_size=batch_size,
                epochs=passes * problem.config.epochs,
            )
            engine = Engine(config, dataset, ONE, pretrained=problem.backbone)
        engine = engine.with_seeds([seed])
        best = best_epoch(engine, problem.config.epochs, passes * engine.steps_per_epoch)
        outputs = engine.outputs(engine.place([best.state]), "test")[0]
        test = measure(outputs.logits, outputs.attention, engine.dataset.test.labels)
        yield {
            "seed": seed,
            "validation": best.accuracy,
            "epoch": best.epoch,
            "test": dataclasses.asdict(test),
            "parameters": sum(leaf.size for leaf in jax.tree.leaves(best.state.parameters)),
            "seconds": round(time.monotonic() - start, 2),
        }


def compare(
    problem: Problem, labels: str, name: str, settings: Sequence[Setting], seeds: int
) -> dict[str, Any]:
    """Tunes a head on validation with one seed, then trains the best setting with every seed."""
    tried = [next(train_setting(problem, labels, setting, [0])) for setting in settings]
    chosen = int(np.argmax([each["validation"] for each in tried]))
    runs = list(train_setting(problem, labels, settings[chosen], range(seeds)))
    return {
        "problem": problem.name,
        "labels": labels,
        "head": name,
        "epochs": problem.config.epochs,
        "weights": problem.weights,
        "tried": [
            {"setting": _json(setting), "validation": each["validation"]}
            for setting, each in zip(settings, tried, strict=True)
        ],
        "setting": _json(settings[chosen]),
        "runs": runs,
    }


def compare_single_layers(problem: Problem, labels: str, seeds: int) -> Iterator[dict[str, Any]]:
    """Compares single-layer heads; yields the records of the best layers on validation and on test."""
    layers = [
        compare(problem, labels, SINGLE, on_one_layer(layer), seeds)
        for layer in range(problem.dataset.preprocessing.shape[0])
    ]
    by_layer = {
        split: [float(np.mean([accuracy_of(run, split) for run in record["runs"]])) for record in layers]
        for split in ("validation", "test")
    }
    for name, split in ((SINGLE, "validation"), (ORACLE, "test")):
        yield {**layers[int(np.argmax(by_layer[split]))], "head": name, "by_layer": by_layer}


def accuracy_of(run: Mapping[str, Any], split: str) -> float:
    """Returns a run's accuracy on the validation or test split."""
    value: float = run["validation"] if split == "validation" else run["test"]["accuracy"]
    return value


def compute_missing(asked: argparse.Namespace, problem: Problem) -> None:
    """Computes missing records."""
    for labels in asked.labels:
        names = CANDIDATES if problem.name == "paintings" and labels == "all" else (*SHORT, RECOMMENDED)
        for name in names:
            path = path_of(asked.results, problem.name, labels, name)
            if not _is_done(path, problem, CANDIDATES[name], asked.seeds):
                _write(path, compare(problem, labels, name, CANDIDATES[name], asked.seeds))
        paths = {name: path_of(asked.results, problem.name, labels, name) for name in (SINGLE, ORACLE)}
        if not all(_is_done(path, problem, on_one_layer(), asked.seeds) for path in paths.values()):
            for record in compare_single_layers(problem, labels, asked.seeds):
                _write(paths[record["head"]], record)


def _is_done(path: Path, problem: Problem, settings: Sequence[Setting], seeds: int) -> bool:
    """Checks if a record has this problem and these settings, on any layer, and at least as many seeds."""
    if not path.exists():
        return False
    record, known = read_json(path), {"weights": problem.weights, "epochs": problem.config.epochs}
    tried = [{**each["setting"], "layer": None} for each in record["tried"]]
    others = [name for name, value in known.items() if record.get(name) != value]
    others += ["settings"] * (tried != [_json(each) for each in settings])
    others += ["seeds"] * (len(record["runs"]) < seeds)
    if others:
        print(f"{path} has other {', '.join(others)}: it is made anew", flush=True)
    return not others


def main(arguments: Sequence[str] | None = None) -> None:
    """Computes missing records and writes the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problems", nargs="+", choices=tuple(EPOCHS), default=tuple(EPOCHS))
    parser.add_argument("--labels", nargs="+", choices=LABELS, default=LABELS)
    parser.add_argument("--seeds", type=int, default=10, help="number of seeds, from 0; 0 trains nothing")
    parser.add_argument("--vit", type=Path, help="path of the folder of a pretrained ViT")
    parser.add_argument("--bert", type=Path, help="path of the folder of a pretrained BERT")
    parser.add_argument("--paintings", type=Path, help="path of the folder of images, by style")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of records and tables")
    asked = parser.parse_args(arguments)
    with errors_in_a_line("frozen"):
        check_count("seeds", asked.seeds, least=0)
        prepare_jax()
        for name in asked.problems if asked.seeds else ():
            _check_given(asked, {"paintings": ("vit", "paintings"), "imdb": ("bert",)}[name])
            compute_missing(asked, load_problem(name, asked))
        tables = tables_of(asked.results)
        write_tables(tables, asked.results / "frozen")
    for table in tables:
        print(f"\n{table.as_text()}")


def _check_given(asked: argparse.Namespace, names: Sequence[str]) -> None:
    for name in names:
        if getattr(asked, name) is None:
            raise ValueError(f"--{name} is not given, expected a path")


def _write(path: Path, record: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, record)
    mean = np.mean([run["test"]["accuracy"] for run in record["runs"]])
    print(f"{path.parent.name}  {record['head'].strip():<40} test accuracy {mean:.4f}", flush=True)


def _json(setting: Setting) -> dict[str, Any]:
    return {"head": to_json(setting.head), "rate": setting.rate, "layer": setting.layer}


if __name__ == "__main__":
    main()
