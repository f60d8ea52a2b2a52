"""What the scripts of this folder have in common on the command line."""

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from experiments.records import RESULTS
from laya_jax.engine import cores

RUNS = Path("runs") / "experiments"


class Interrupted(Exception):  # noqa: N818  no error: all runs are saved
    """A signal asked to stop; the same command goes on."""

    def __init__(self, signal_number: int) -> None:
        super().__init__("interrupted, saved; the same command goes on")
        self.signal_number = signal_number


class Places(NamedTuple):
    """Where everything is.

    Attributes:
      results: records, tables and figures.
      runs: run directories, which may be deleted once their records are there.
      processes: runs that are trained side by side.
    """

    results: Path
    runs: Path
    processes: int


def training_options(parser: argparse.ArgumentParser, seeds: int) -> None:
    """Adds the options of scripts that train what is missing."""
    parser.add_argument("--seeds", type=int, default=seeds, help="how many, from 0 on; 0 trains nothing")
    parser.add_argument("--epochs", type=int, help="at most, instead of what the configs say")
    place_options(parser)


def place_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say where everything is."""
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of records, tables and figures")
    parser.add_argument("--runs", type=Path, default=RUNS, help="folder of the run directories")
    parser.add_argument("--processes", type=int, default=cores(), help="runs that are trained side by side")


def places_of(asked: argparse.Namespace) -> Places:
    """Where what was asked for is.

    Raises:
      ValueError: no process, or fewer seeds than none.
    """
    if asked.processes < 1:
        raise ValueError(f"processes is {asked.processes}, expected at least 1")
    if asked.seeds < 0:
        raise ValueError(f"seeds is {asked.seeds}, expected at least 0")
    return Places(asked.results, asked.runs, asked.processes)


@contextmanager
def errors_in_a_line(program: str) -> Iterator[None]:
    """Ends the process with a line: status 2 for wrong input, 1 if a run failed, 128 + signal if stopped."""
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
