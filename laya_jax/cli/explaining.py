"""Commands that explain trained models: ``laya attribute`` and ``laya report``."""

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from laya_jax.checks import check_count
from laya_jax.cli.arguments import Attribute, Explained, Report
from laya_jax.cli.console import Console
from laya_jax.cli.outputs import check_new_directory, check_new_file
from laya_jax.cli.parsing import parse
from laya_jax.cli.results import show_findings
from laya_jax.cli.starting import started
from laya_jax.data import Examples, read_inputs
from laya_jax.files import new_directory, writing
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
from laya_jax.training import WEIGHTS, find_runs, load_model, read_split


class Measured(NamedTuple):
    """Measurements that the commands show.

    Attributes:
      runs: Measurements of each run.
      explainer: Explainer of the first run.
      examples: Examples that were measured.
      ids: Names of the examples in their source.
      stability: Stability over the runs; None if there is nothing to compare.
    """

    runs: list[Attributed]
    explainer: Explainer
    examples: Examples
    ids: Sequence[str]
    stability: dict[str, object] | None


def attribute_command(arguments: Sequence[str]) -> None:
    """Writes numbers, per-sample values and figures."""
    asked = parse(Attribute, arguments, program="laya attribute")
    out = Path(asked.out)
    with started(asked.output, asked.parallel) as console:
        check_new_directory(out)
        measured = _measure(asked, asked.runs, console)
        console.work("writing numbers and figures")
        with new_directory(out) as draft:
            write_numbers(draft / "attribution.json", measured.runs, measured.stability)
            for number, run in enumerate(measured.runs, 1):
                name = "samples" if len(measured.runs) == 1 else f"samples-{number}"
                write_samples(draft / name, run, measured.ids, measured.examples.labels)
            write_figures(draft, measured.runs)
        _show(console, measured)
        console.tell(f"wrote {out}: attribution.json, samples as .npz and .csv, and figures")
        console.print_json({"out": str(out), **_numbers(measured)})


def report_command(arguments: Sequence[str]) -> None:
    """Writes the report."""
    asked = parse(Report, arguments, program="laya report")
    out = Path(asked.out)
    with started(asked.output, asked.parallel) as console:
        check_new_file(out, (".html",))
        check_count("largest_gallery", asked.largest_gallery)
        measured = _measure(asked, asked.runs, console)
        console.work("writing the report")
        page = render(
            measured.runs,
            measured.explainer,
            measured.examples,
            measured.stability,
            largest_gallery=asked.largest_gallery,
        )
        with writing(out, new=True, errors="backslashreplace") as file:
            file.write(page)
        _show(console, measured)
        console.tell(f"wrote {out}: open it in a browser")
        console.print_json({"out": str(out), **_numbers(measured)})


def _measure(asked: Explained, runs: Sequence[str], console: Console) -> Measured:
    explainers = _explainers(asked, runs, console)
    first = next(iter(explainers.values()))
    seeds = {each.model.config.seed for each in explainers.values()}
    random_labels, outliers = _random_labels(asked, first, seeds), _outliers(asked, first, console)
    # Runs with the same data fingerprint share one reading of the data.
    unlike = {each.model.fingerprint: each.model for each in explainers.values()}
    given, *_ = (read_split(model, asked.split) for model in unlike.values())
    console.notes(given.notes)
    console.start(f"explaining {', '.join(map(str, explainers))}", asked.parallel.devices)
    measured, examples = [], Examples(given.inputs, given.labels)
    for path, explainer in explainers.items():
        found = attribute(explainer, examples, outliers=outliers, random_labels=random_labels)
        found.numbers.update(run=str(path), data=given.named(first.model.config.data.source))
        measured.append(found)
    return Measured(measured, first, examples, given.ids, stability(measured))


def _explainers(asked: Explained, runs: Sequence[str], console: Console) -> dict[Path, Explainer]:
    """Makes an explainer for each run; the first, which is shown in detail, weighs layers if any does."""
    if not runs:
        raise ValueError("runs is empty, expected the path of at least one run")
    paths = [path for run in runs for path in _paths(Path(run))]
    found = {path: Explainer(load_model(path), asked.parallel, console) for path in paths}
    data = found[paths[0]].model.config.data
    for path, explainer in found.items():
        if explainer.model.config.data != data:
            raise ValueError(
                f"run is {path}, whose data differ from those of {paths[0]}; expected runs on the same data"
            )
    return dict(sorted(found.items(), key=lambda item: not item[1].weighs))


def _random_labels(asked: Explained, first: Explainer, seeds: Collection[int]) -> Explainer | None:
    if asked.random_labels is None:
        return None
    if (Path(asked.random_labels) / WEIGHTS).exists():
        raise ValueError(
            f"random_labels is {asked.random_labels}, an exported model, expected a run, which also has its "
            "latest parameters"
        )
    other = Explainer(load_model(asked.random_labels, latest=True), asked.parallel, first.listener)
    shapes = [each.model.schema.preprocessing.shape for each in (first, other)]
    backbones = [each.model.config.backbone for each in (first, other)]
    if not other.weighs or shapes[0] != shapes[1] or backbones[0] != backbones[1]:
        raise ValueError(
            f"random_labels is {asked.random_labels}, expected a run of a head that weighs the layers of the "
            f"same backbone, {backbones[0].kind}, on inputs of shape {shapes[0]}"
        )
    if other.model.config.seed not in seeds:
        raise ValueError(
            f"random_labels is {asked.random_labels}, with seed {other.model.config.seed}, expected a seed "
            f"of the runs, {', '.join(map(str, sorted(seeds)))}: attention differs between seeds anyway"
        )
    return other


def _outliers(asked: Explained, first: Explainer, console: Console) -> Examples | None:
    if asked.outliers is None:
        return None
    given = read_inputs(asked.outliers, first.model.schema, first.model.config.data)
    console.notes(given.notes)
    return Examples(given.inputs, np.zeros(len(given.inputs), np.int32))


def _paths(path: Path) -> Iterator[Path]:
    if (path / WEIGHTS).exists():
        yield path
    else:
        yield from (run.path for run in find_runs(path))


def _numbers(measured: Measured) -> dict[str, object]:
    return {"runs": [run.numbers for run in measured.runs], "stability": measured.stability}


def _show(console: Console, measured: Measured) -> None:
    numbers = measured.runs[0].numbers
    show_findings(console, findings(numbers, measured.stability), summary(numbers, measured.stability))


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "attribute": attribute_command,
    "report": report_command,
}
