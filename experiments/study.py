"""What scripts that measure trained runs share: a JSON for each data set, made once, and one table of all."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.command import Places, errors_in_a_line, places_of, training_options
from experiments.configs import MODULES
from experiments.records import Job, check_config
from experiments.runs import train_missing
from experiments.tables import Table, write_tables
from laya_jax.training.config import to_json
from laya_jax.training.run import write_json


class Study(NamedTuple):
    """What a script measures of trained runs.

    Attributes:
      name: of the script, of its folder in the results, and of its table.
      description: the script's.
      datasets: that are measured unless others are asked for.
      seeds: as many runs of each.
      jobs_of: the runs that are measured, of a data set, seeds and epochs.
      measure: what is found in them, with "runs" one by one; it may train others to compare with.
      table_of: the table of what was found.
    """

    name: str
    description: str
    datasets: Sequence[str]
    seeds: int
    jobs_of: Callable[[str, int, int | None], list[Job]]
    measure: Callable[[Sequence[Job], Places], dict[str, Any]]
    table_of: Callable[[Sequence[Mapping[str, Any]]], Table]

    def main(self, arguments: Sequence[str] | None) -> None:
        """Measures what is missing, and makes the table."""
        parser = argparse.ArgumentParser(
            description=self.description, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        parser.add_argument("--datasets", nargs="+", choices=MODULES, default=self.datasets)
        training_options(parser, seeds=self.seeds)
        asked = parser.parse_args(arguments)
        with errors_in_a_line(self.name):
            places = places_of(asked)
            for dataset in asked.datasets if asked.seeds else ():
                self._measure_missing(self.jobs_of(dataset, asked.seeds, asked.epochs), places)
            paths = [self._path(dataset, places) for dataset in MODULES]
            table = self.table_of([json.loads(path.read_text()) for path in paths if path.exists()])
            write_tables([table], places.results / self.name)
        print(f"\n{table.as_text()}")

    def _path(self, dataset: str, places: Places) -> Path:
        return places.results / self.name / f"{dataset}.json"

    def _measure_missing(self, jobs: Sequence[Job], places: Places) -> None:
        path, config = self._path(jobs[0].dataset, places), jobs[0].config
        if path.exists():
            found = json.loads(path.read_text())
            check_config(path, found, config)
            if len(found["runs"]) >= len(jobs):
                return
        train_missing(jobs, places, again=True)
        found = {"dataset": jobs[0].dataset, "config": to_json(config), **self.measure(jobs, places)}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, found)
