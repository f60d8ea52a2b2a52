"""Shared structure of scripts that measure trained runs: one JSON file per data set, and tables of all."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.configs import MODULES
from experiments.lib.command import Places, errors_in_a_line, places_of, training_options
from experiments.lib.records import Job, check_config
from experiments.lib.runs import train_missing
from experiments.lib.tables import Table, write_tables
from laya_jax.engine import to_json
from laya_jax.files import write_json


class Study(NamedTuple):
    """Measurements that a script takes of trained runs.

    Attributes:
      name: Name of the script, of its folder in the results, and of its tables.
      description: Description of the script, shown by --help.
      datasets: Names of the data sets measured by default.
      seeds: Default number of runs per data set.
      jobs_of: Function from a data set, a number of seeds and a number of epochs to the runs to measure.
      measure: Function that measures the runs. Its result has a list "runs" with one entry per run. It may
        train other runs for comparison.
      needs: Names of other required measurements; if one is missing, all are taken again.
      tables_of: Function that builds the tables from the measurements of all data sets.
    """

    name: str
    description: str
    datasets: Sequence[str]
    seeds: int
    jobs_of: Callable[[str, int, int | None], list[Job]]
    measure: Callable[[Sequence[Job], Places], dict[str, Any]]
    needs: Sequence[str]
    tables_of: Callable[[Sequence[Mapping[str, Any]]], list[Table]]

    def main(self, arguments: Sequence[str] | None) -> None:
        """Takes missing measurements and writes the tables."""
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
            tables = self.tables(places.results, asked.epochs)
            write_tables(tables, places.results / self.name)
        for table in tables:
            print(f"\n{table.as_text()}")

    def tables(self, results: Path, epochs: int | None = None) -> list[Table]:
        """Builds the tables from existing measurements.

        Raises:
          ValueError: A measurement was taken with a different config.
        """
        found = (self._found(self.jobs_of(dataset, 1, epochs)[0], results) for dataset in MODULES)
        return self.tables_of([each for each in found if each is not None])

    def _path(self, dataset: str, results: Path) -> Path:
        return results / self.name / f"{dataset}.json"

    def _found(self, first: Job, results: Path) -> dict[str, Any] | None:
        """Reads the measurements of the runs whose first one is given; None if there are none."""
        path = self._path(first.dataset, results)
        if not path.exists():
            return None
        found: dict[str, Any] = json.loads(path.read_text())
        check_config(path, found, first.config)
        return found

    def _measure_missing(self, jobs: Sequence[Job], places: Places) -> None:
        found = self._found(jobs[0], places.results)
        if found is not None and len(found["runs"]) >= len(jobs) and found.keys() >= {*self.needs}:
            return
        train_missing(jobs, places, again=True)
        config = to_json(jobs[0].config)
        found = {"dataset": jobs[0].dataset, "config": config, **self.measure(jobs, places)}
        path = self._path(jobs[0].dataset, places.results)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, found)
