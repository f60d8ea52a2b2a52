"""Command-line options and error handling shared by the scripts of this folder."""

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from experiments.lib.records import RESULTS
from laya_jax.engine import cores

RUNS = Path("runs") / "experiments"


class Interrupted(Exception):  # noqa: N818  not an error: all runs are saved
    """Stop requested by a signal; running the same command again continues."""

    def __init__(self, signal_number: int) -> None:
        super().__init__("interrupted, saved; the same command goes on")
        self.signal_number = signal_number


class Places(NamedTuple):
    """Output folders, and the number of parallel processes.

    Attributes:
      results: Path of the folder of records, tables and figures.
      runs: Path of the folder of run directories, which may be deleted once their records are written.
      processes: Number of runs trained in parallel.
    """

    results: Path
    runs: Path
    processes: int


def training_options(parser: argparse.ArgumentParser, seeds: int) -> None:
    """Adds the options of scripts that train missing runs."""
    parser.add_argument("--seeds", type=int, default=seeds, help="number of seeds, from 0; 0 trains nothing")
    parser.add_argument("--epochs", type=int, help="maximum number of epochs, overriding the configs")
    place_options(parser)


def place_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options for output folders and the number of parallel processes."""
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of records, tables, figures")
    parser.add_argument("--runs", type=Path, default=RUNS, help="folder of run directories")
    parser.add_argument("--processes", type=int, default=cores(), help="number of runs in parallel")


def places_of(asked: argparse.Namespace) -> Places:
    """Returns the places given on the command line.

    Raises:
      ValueError: The number of processes is less than one, or the number of seeds is negative.
    """
    if asked.processes < 1:
        raise ValueError(f"processes is {asked.processes}, expected at least 1")
    if asked.seeds < 0:
        raise ValueError(f"seeds is {asked.seeds}, expected at least 0")
    return Places(asked.results, asked.runs, asked.processes)


@contextmanager
def errors_in_a_line(program: str) -> Iterator[None]:
    """Exits with a one-line error: status 2 for invalid input, 1 for a failed run, 128 + signal on a stop."""
    # Orbax logs every read.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    try:
        yield
    except Interrupted as interrupted:
        _end(program, interrupted, 128 + interrupted.signal_number)
    except (ValueError, OSError) as error:
        _end(program, error, 2)
    except RuntimeError as error:
        _end(program, error, 1)


def _end(program: str, error: Exception, status: int) -> None:
    print(f"{program}: {error}", file=sys.stderr)
    sys.exit(status)
