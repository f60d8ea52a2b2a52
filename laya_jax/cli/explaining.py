"""The commands that explain trained models: ``laya attribute`` and ``laya report``."""

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from laya_jax.checks import check_choice, check_count
from laya_jax.cli.arguments import Attribute, Explained, Report, parse
from laya_jax.cli.console import Console
from laya_jax.cli.predictions import check_parent
from laya_jax.data import Examples, read_inputs
from laya_jax.files import write_text
from laya_jax.report import (
    Attributed,
    Explainer,
    attribute,
    findings,
    render,
    stability,
    summary,
    write_figures,
    write_numbers,
    write_samples,
)
from laya_jax.training import DeviceConfig, find_runs, load_model
from laya_jax.training.exported import WEIGHTS
from laya_jax.training.run import check_is_new
from laya_jax.training.trained import split_with_ids


class Measured(NamedTuple):
    """What the commands show.

    Attributes:
      runs: what was measured of each.
      explainer: of the first.
      examples: that it was measured on.
      stability: over the runs; None where there is nothing to compare.
      ids: of the examples.
    """

    runs: list[Attributed]
    explainer: Explainer
    examples: Examples
    stability: dict[str, Any] | None
    ids: list[str]


def attribute_command(arguments: Sequence[str]) -> None:
    """Writes the numbers, what belongs to the samples, and figures."""
    asked = parse(Attribute, arguments, program="laya attribute")
    console, out = Console(as_json=asked.output.json), Path(asked.out)
    check_is_new(out, "out")
    measured = _measure(asked, asked.runs, console)
    out.mkdir(parents=True)
    write_numbers(out / "attribution.json", measured.runs, measured.stability)
    for number, run in enumerate(measured.runs, 1):
        name = "samples" if len(measured.runs) == 1 else f"samples-{number}"
        write_samples(out / name, run, measured.ids, measured.examples.labels)
    write_figures(out, measured.runs)
    _say(console, measured)
    console.say(f"written to {out}: attribution.json, samples as .npz and .csv, figures")
    console.print_json({"out": str(out), **_numbers(measured)})


def report_command(arguments: Sequence[str]) -> None:
    """Writes the report."""
    asked = parse(Report, arguments, program="laya report")
    console, out = Console(as_json=asked.output.json), Path(asked.out)
    check_choice("suffix of out", out.suffix, (".html",))
    check_is_new(out, "out")
    check_parent(out)
    check_count("largest_gallery", asked.largest_gallery)
    measured = _measure(asked, asked.runs, console)
    runs, explainer, examples, stable, _ = measured
    write_text(out, render(runs, explainer, examples, stable, largest_gallery=asked.largest_gallery))
    _say(console, measured)
    console.say(f"written to {out}: open it in a browser")
    console.print_json({"out": str(out), **_numbers(measured)})


def _measure(asked: Explained, runs: Sequence[str], console: Console) -> Measured:
    explainers = _explainers(runs, asked.parallel)
    first = next(iter(explainers.values()))
    seeds = {each.model.config.seed for each in explainers.values()}
    random_labels, outliers = _random_labels(asked, first, seeds), _outliers(asked, first)
    # Runs that tell the same of their data need not all read them.
    unlike = {each.model.fingerprint: each.model for each in explainers.values()}
    (examples, ids), *_ = (split_with_ids(model, asked.split) for model in unlike.values())
    console.start(f"explaining {', '.join(map(str, explainers))}", asked.parallel.devices)
    measured = []
    for path, explainer in explainers.items():
        found = attribute(explainer, examples, outliers=outliers, random_labels=random_labels)
        found.numbers.update(run=str(path), data=f"{first.model.config.data.source}, {asked.split} split")
        measured.append(found)
    return Measured(measured, first, examples, stability(measured), ids)


def _explainers(runs: Sequence[str], parallel: DeviceConfig) -> dict[Path, Explainer]:
    """An explainer for each run; those that weigh layers come first, for the first is shown in detail."""
    if not runs:
        raise ValueError("runs is empty, expected the directory of a run, or several")
    paths = [path for run in runs for path in _paths(Path(run))]
    found = {path: Explainer(load_model(path), parallel) for path in paths}
    data = found[paths[0]].model.config.data
    for path, explainer in found.items():
        if explainer.model.config.data != data:
            raise ValueError(
                f"run is {path}, which reads other data than {paths[0]}; expected runs on the same data"
            )
    return dict(sorted(found.items(), key=lambda item: not item[1].weighs))


def _random_labels(asked: Explained, first: Explainer, seeds: Collection[int]) -> Explainer | None:
    if asked.random_labels is None:
        return None
    if (Path(asked.random_labels) / WEIGHTS).exists():
        raise ValueError(
            f"random_labels is {asked.random_labels}, an exported model, expected a run, of which the latest "
            "parameters can be taken"
        )
    other = Explainer(load_model(asked.random_labels, latest=True), asked.parallel)
    shapes = [each.model.schema.preprocessing.shape for each in (first, other)]
    backbones = [each.model.config.backbone for each in (first, other)]
    if not other.weighs or shapes[0] != shapes[1] or backbones[0] != backbones[1]:
        raise ValueError(
            f"random_labels is {asked.random_labels}, expected a run of a head that weighs the layers of the "
            f"same backbone, {backbones[0].kind}, on inputs of shape {shapes[0]}"
        )
    if other.model.config.seed not in seeds:
        raise ValueError(
            f"random_labels is {asked.random_labels}, of seed {other.model.config.seed}, expected a seed of "
            f"the runs, {', '.join(map(str, sorted(seeds)))}: other seeds give other attentions anyway"
        )
    return other


def _outliers(asked: Explained, first: Explainer) -> Examples | None:
    if asked.outliers is None:
        return None
    given = read_inputs(asked.outliers, first.model.schema, first.model.config.data)
    return Examples(given.inputs, np.zeros(len(given.inputs), np.int32))


def _paths(path: Path) -> Iterator[Path]:
    if (path / WEIGHTS).exists():
        yield path
    else:
        yield from (run.path for run in find_runs(path))


def _numbers(measured: Measured) -> dict[str, Any]:
    return {"runs": [run.numbers for run in measured.runs], "stability": measured.stability}


def _say(console: Console, measured: Measured) -> None:
    first = measured.runs[0].numbers
    console.findings(findings(first, measured.stability))
    console.say(summary(first, measured.stability))


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "attribute": attribute_command,
    "report": report_command,
}
