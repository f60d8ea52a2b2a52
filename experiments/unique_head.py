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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from experiments.configs.unique_head import EPOCHS, TRAINED, Trained
from experiments.lib.command import RUNS, errors_in_a_line
from experiments.lib.in_memory import best_epoch
from experiments.lib.records import RESULTS
from experiments.lib.tables import write_tables
from experiments.lib.unique_head_tables import tables_of
from laya_jax.attribution import of_class, stability
from laya_jax.backbones import Pretrained
from laya_jax.checks import check_count
from laya_jax.cli.process import prepare_jax
from laya_jax.data import DataConfig, Dataset, Examples, Preprocessing
from laya_jax.engine import Engine, make_parallel, measure
from laya_jax.files import read_json, write_json, writing
from laya_jax.heads import HeadOutput
from laya_jax.inputs import Unstack, gather
from laya_jax.kernels import (
    Standardization,
    fit_kernel_head,
    predict_in_blocks,
    standardization_of,
    standardized,
)
from laya_jax.training import BackboneConfig, Config, LossConfig, OptimizerConfig, ParallelConfig

PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0)
"""Penalties that every head chooses from."""

POOLINGS = ("cls", "cls+mean")
LABELS = ("10", "50", "all")
"""Numbers of labelled training examples per class; validation is always used in full."""

IMAGE_SIZE = 224


class Split(NamedTuple):
    """Hidden states and labels of one part of the examples.

    Attributes:
      states: Hidden states, L arrays [N, D].
      labels: Labels, [N].
    """

    states: tuple[NDArray, ...]
    labels: NDArray

    def layer(self, index: int) -> "Split":
        """Selects one layer."""
        return Split((self.states[index],), self.labels)

    def few(self, labels: str) -> "Split":
        """Keeps the first examples of each class, which are in no order; "all" keeps all."""
        if labels == "all":
            return self
        rows = [np.flatnonzero(self.labels == label)[: int(labels)] for label in np.unique(self.labels)]
        kept = np.sort(np.concatenate(rows))
        return Split(tuple(state[kept] for state in self.states), self.labels[kept])

    def permuted(self) -> "Split":
        """Returns the examples in another order, which gives other rounding errors and nothing else."""
        order = np.random.default_rng(0).permutation(len(self.labels))
        return Split(tuple(state[order] for state in self.states), self.labels[order])

    def examples(self, standardize: Standardization) -> Examples:
        """Returns the examples with standardised states [N, L, D], each feature of variance 1 in training."""
        states = np.stack(standardized(standardize, self.states), axis=1)
        return Examples(states * np.float32(np.sqrt(states.shape[2])), self.labels)


class Result(NamedTuple):
    """Head fitted to one draw of the training examples.

    Attributes:
      setting: Chosen setting, as JSON.
      validation: Accuracy on validation.
      output: Output for the test examples.
    """

    setting: dict[str, Any]
    validation: float
    output: HeadOutput


Fit = Callable[[Split, Split, Split], Result]


def closed_form(kernel: str) -> Fit:
    """Returns the fit of a kernel head on all layers."""

    def fit(train: Split, validation: Split, test: Split) -> Result:
        found = fit_kernel_head(
            train.states, train.labels, kernel=kernel, penalties=PENALTIES, validation=validation
        )
        setting = {"penalty": found.best.penalty, "temperature": found.best.temperature}
        return Result(setting, found.best.score, predict_in_blocks(found.head, test.states))

    return fit


def single_layer(layers: Callable[[int], Sequence[int]]) -> Fit:
    """Returns the fit of a linear head on one layer, the best on validation of some."""

    def fit(train: Split, validation: Split, test: Split) -> Result:
        found = {}
        for index in layers(len(train.states)):
            parts = train.layer(index), validation.layer(index)
            found[index] = fit_kernel_head(
                parts[0].states, parts[0].labels, kernel="linear", penalties=PENALTIES, validation=parts[1]
            )
        best = min(found, key=lambda index: found[index].best.loss)
        output = predict_in_blocks(found[best].head, test.layer(best).states)
        setting = {"layer": best, "penalty": found[best].best.penalty}
        return Result(setting, found[best].best.score, output)

    return fit


def trained(settings: Sequence[Trained]) -> Fit:
    """Returns the fit of a head by gradients, on the standardised states that the kernel heads read, too."""

    def fit(train: Split, validation: Split, test: Split) -> Result:
        standardize = standardization_of(train.states)
        examples = [part.examples(standardize) for part in (train, validation, test)]
        names = tuple(map(str, range(int(train.labels.max()) + 1)))
        dataset = Dataset(*examples, names, Preprocessing("hidden_states", examples[0].inputs.shape[1:]))
        found = [_train(dataset, setting) for setting in settings]
        chosen = max(range(len(settings)), key=lambda index: found[index][0])
        return Result({"setting": chosen}, *found[chosen])

    return fit


def _train(dataset: Dataset, setting: Trained) -> tuple[float, HeadOutput]:
    """Trains one setting; returns its validation accuracy at the best epoch, and its test outputs."""
    config = Config(
        head=setting.head,
        optimizer=OptimizerConfig(learning_rate=setting.rate, schedule="cosine"),
        loss=LossConfig(label_smoothing=setting.smoothing),
        backbone=BackboneConfig(kind="vit", path="cached", freeze=True),
        batch_size=min(128, len(dataset.train.labels)),
        epochs=EPOCHS,
    )
    engine = Engine(config, dataset, ParallelConfig(devices=1), pretrained=Pretrained(Unstack(), {}))
    best = best_epoch(engine, EPOCHS, engine.steps_per_epoch)
    states = tuple(np.moveaxis(dataset.test.inputs, 1, 0))
    output = jax.jit(engine.classifier.head.apply)({"params": best.state.parameters["head"]}, states)
    return best.accuracy, jax.device_get(output)


HEADS: Mapping[str, Fit] = {
    "last layer": single_layer(lambda layers: [layers - 1]),
    "best single layer": single_layer(range),
    "linear": closed_form("linear"),
    "additive": closed_form("additive"),
    "gated": closed_form("gated"),
    **{name: trained(settings) for name, settings in TRAINED.items()},
}
"""Fit of each head."""


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
