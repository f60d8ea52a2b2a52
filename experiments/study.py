"""What scripts that measure trained runs share: a JSON for each data set, made once, and tables of all."""

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
from laya_jax.engine import to_json
from laya_jax.files import write_json


class Study(NamedTuple):
    """What a script measures of trained runs.

    Attributes:
      name: of the script, of its folder in the results, and of its tables.
      description: the script's.
      datasets: that are measured unless others are asked for.
      seeds: as many runs of each, unless another number is asked for.
      jobs_of: the runs that are measured, of a data set, seeds and epochs.
      measure: what is found in them, with "runs" one by one; it may train others to compare with.
      needs: what else is found, without which it is measured again.
      tables_of: the tables of what was found.
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
        """Measures what is missing, and makes the tables."""
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
        """The tables of what was measured.

        Raises:
          ValueError: something was measured of another config.
        """
        found = (self._found(self.jobs_of(dataset, 1, epochs)[0], results) for dataset in MODULES)
        return self.tables_of([each for each in found if each is not None])

    def _path(self, dataset: str, results: Path) -> Path:
        return results / self.name / f"{dataset}.json"

    def _found(self, first: Job, results: Path) -> dict[str, Any] | None:
        """What was measured of these runs, of which this is the first; None if nothing was."""
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
