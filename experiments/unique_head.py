"""Accuracy and stability of heads solved in closed form and of trained heads, on paintings and a frozen ViT.

    python -m experiments.unique_head --vit PATH --paintings FOLDER   # computes missing records
    python -m experiments.unique_head --splits 0                      # builds tables from existing records

Training and validation examples are resampled ten times, with the same number of each class; the test split
is fixed. For each draw, every head chooses among five settings: heads solved in closed form by their log loss
on validation, heads trained by gradient descent by their validation accuracy. All read the same standardised
states. Stability compares what the heads of two draws attribute to the layers on the same test examples: the
shares of the layers (attention), and their contributions to the class with the highest mean logit. It also
compares two solutions for the first draw, one of them with the examples in a different order. Records are
written to ``results/unique_head/`` and tables to ``results/unique_head.*``. If the command is killed, run it
again to continue.
"""

import argparse
import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.lib.command import RUNS, errors_in_a_line
from experiments.lib.records import RESULTS
from experiments.lib.tables import write_tables
from experiments.lib.unique_head_tables import tables_of
from experiments.lib.unique_heads import HEADS, PENALTIES, Fit, Split
from laya_jax.attribution import of_class, stability
from laya_jax.checks import check_count
from laya_jax.cli.process import prepare_jax
from laya_jax.data import DataConfig, Dataset
from laya_jax.engine import make_parallel, measure
from laya_jax.files import read_json, write_json, writing
from laya_jax.heads import HeadOutput
from laya_jax.inputs import gather
from laya_jax.training import BackboneConfig, Config, ParallelConfig

POOLINGS = ("cls", "cls+mean")
LABELS = ("10", "50", "all")
"""Numbers of labelled training examples per class; validation is always used in full."""

IMAGE_SIZE = 224


def load(asked: argparse.Namespace) -> tuple[Dataset, int | None]:
    """Loads or computes the hidden states [N, L, 2 D] of cls+mean, and the checksum of the weights."""
    config = Config(
        data=DataConfig(source=f"images:{asked.paintings}", image_size=IMAGE_SIZE),
        backbone=BackboneConfig(kind="vit", path=str(asked.vit), pooling="cls+mean", freeze=True),
    )
    one = make_parallel(ParallelConfig(devices=1), batch_size=config.batch_size)
    inputs, dataset = gather(config, one)
    return dataset.with_inputs(np.asarray), inputs.record.weights if inputs.record else None


def draw(dataset: Dataset, seed: int) -> tuple[Split, Split]:
    """Draws training and validation examples anew, class by class, of the same sizes as the given ones."""
    states = np.concatenate([dataset.train.inputs, dataset.validation.inputs])
    labels = np.concatenate([dataset.train.labels, dataset.validation.labels])
    order = np.random.default_rng(seed).permutation(len(labels))
    train, validation = [], []
    for label, number in enumerate(np.bincount(dataset.train.labels, minlength=len(dataset.class_names))):
        of_label = order[labels[order] == label]
        train.append(of_label[:number])
        validation.append(of_label[number:])
    return tuple(_split(states, labels, np.concatenate(rows)) for rows in (train, validation))


def compute_missing(asked: argparse.Namespace) -> None:
    """Fits all heads to all draws, and writes a record of each head."""
    both, weights = load(asked)
    for pooling in asked.poolings:
        width = both.train.inputs.shape[2] // (1 if pooling == "cls+mean" else 2)
        dataset = both.with_inputs(lambda states, width=width: states[..., :width])
        for labels in asked.labels:
            known = {"pooling": pooling, "labels": labels, "weights": weights, "penalties": list(PENALTIES)}
            _compute_case(asked, dataset, known)


def _compute_case(asked: argparse.Namespace, dataset: Dataset, known: Mapping[str, Any]) -> None:
    """Fits all heads for one pooling and number of labels."""
    folder = Path("unique_head") / f"{_plain(known['pooling'])}-{known['labels']}"
    test = _split(dataset.test.inputs, dataset.test.labels, np.arange(len(dataset.test.labels)))
    for seed in range(asked.splits):
        draws: list[Split] = []
        for name in asked.heads:
            for again in (False, True) if seed == 0 else (False,):
                path = asked.runs / folder / _run_name(name, seed, again)
                if not _is_done(path, known):
                    draws = draws or [*draw(dataset, seed)]
                    train = draws[0].few(known["labels"])
                    parts = (train.permuted() if again else train, draws[1], test)
                    _write(path, {**known, "head": name, "seed": seed}, HEADS[name], parts)
    for name in asked.heads:
        paths = [asked.runs / folder / _run_name(name, seed) for seed in range(asked.splits)]
        again = asked.runs / folder / _run_name(name, 0, again=True)
        target = asked.results / folder / f"{_plain(name)}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        write_json(target, summary(paths, again, {**known, "head": name}))


def summary(paths: Sequence[Path], again: Path, known: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the record of a head from the results of its draws, and of another solution of the first."""
    runs = [read_json(path.with_suffix(".json")) for path in paths]
    outputs = [_output(path) for path in paths]
    second = _output(again)
    record = {**known, "runs": runs, "draws": None, "solutions": None}
    if outputs[0].attention is None or outputs[0].attention.shape[1] == 1:
        return record
    predicted = np.argmax(np.mean([output.logits for output in outputs], axis=0), axis=1)
    for name, compared in (("draws", outputs), ("solutions", [outputs[0], second])):
        values = {
            "attention": [output.attention for output in compared],
            "contributions": [of_class(output.contributions, predicted) for output in compared],
        }
        if len(compared) > 1:
            record[name] = {key: _nested(stability(each)) for key, each in values.items()}
    return record


def _output(path: Path) -> HeadOutput:
    with np.load(path.with_suffix(".npz")) as file:
        return HeadOutput(**{name: file.get(name) for name in HeadOutput._fields})


def _write(path: Path, known: Mapping[str, Any], fit: Fit, parts: tuple[Split, Split, Split]) -> None:
    start, labels = time.monotonic(), parts[2].labels
    found = fit(*parts)
    seconds = round(time.monotonic() - start, 2)
    test = measure(found.output.logits, found.output.attention, labels)
    record = {
        **known,
        "setting": found.setting,
        "validation": found.validation,
        "test": dataclasses.asdict(test),
        "correct": "".join(map(str, np.int32(np.argmax(found.output.logits, axis=1) == labels))),
        "seconds": seconds,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {name: array for name, array in found.output._asdict().items() if array is not None}
    with writing(path.with_suffix(".npz"), binary=True) as file:
        np.savez(file, **arrays)
    write_json(path.with_suffix(".json"), record)
    print(
        f"{path.parent.name:<14}{path.name:<28} test accuracy {test.accuracy:.4f}  {seconds:.1f} s",
        flush=True,
    )


def _run_name(name: str, seed: int, again: bool = False) -> str:
    return f"{_plain(name)}-{seed}{'-again' if again else ''}"


def _is_done(path: Path, known: Mapping[str, Any]) -> bool:
    if not path.with_suffix(".json").exists():
        return False
    record = read_json(path.with_suffix(".json"))
    return all(record.get(name) == value for name, value in known.items())


def _split(states: NDArray, labels: NDArray, rows: NDArray) -> Split:
    layers = range(states.shape[1])
    return Split(tuple(np.ascontiguousarray(states[rows, layer]) for layer in layers), labels[rows])


def _nested(value: Any) -> Any:
    """Converts named tuples in named tuples to dictionaries."""
    if not hasattr(value, "_asdict"):
        return value
    return {name: _nested(each) for name, each in value._asdict().items()}


def _plain(name: str) -> str:
    return name.replace(",", "").replace(" ", "-").replace("+", "-")


def main(arguments: Sequence[str] | None = None) -> None:
    """Computes missing records and writes the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--poolings", nargs="+", choices=POOLINGS, default=POOLINGS)
    parser.add_argument("--labels", nargs="+", choices=LABELS, default=LABELS)
    parser.add_argument("--heads", nargs="+", choices=tuple(HEADS), default=tuple(HEADS))
    parser.add_argument("--splits", type=int, default=10, help="number of draws, from 0; 0 computes nothing")
    parser.add_argument("--vit", type=Path, help="path of the folder of a pretrained ViT")
    parser.add_argument("--paintings", type=Path, help="path of the folder of images, by style")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of records and tables")
    parser.add_argument("--runs", type=Path, default=RUNS, help="folder of outputs, which may be deleted")
    asked = parser.parse_args(arguments)
    with errors_in_a_line("unique_head"):
        check_count("splits", asked.splits, least=0)
        prepare_jax()
        if asked.splits:
            for name in ("vit", "paintings"):
                if getattr(asked, name) is None:
                    raise ValueError(f"--{name} is not given, expected a path")
            compute_missing(asked)
        tables = tables_of(asked.results)
        write_tables(tables, asked.results / "unique_head")
    for table in tables:
        print(f"\n{table.as_text()}")


if __name__ == "__main__":
    main()
