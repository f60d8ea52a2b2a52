"""Pilot runs for settings that the paper does not state: short LAYA runs, compared on validation.

    python -m experiments.pilots                       # trains missing runs, then writes the table
    python -m experiments.pilots --seeds 0             # the table of existing records

The settings are ``PILOTS`` in the modules of ``experiments.configs``. Only LAYA is tried, and all heads then
use the settings chosen for it; settings with several seeds are judged by their mean. Records are written to
``results/pilots/``, the table to ``results/pilots.*``.
"""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.configs import MODULES
from experiments.lib.command import errors_in_a_line, place_options, places_of
from experiments.lib.items import schedule_of
from experiments.lib.records import Job, finished
from experiments.lib.runs import train_missing
from experiments.lib.tables import Table, write_tables
from laya_jax.engine import from_json
from laya_jax.training import OptimizerConfig

PILOTED = ("cifar10", "imdb")
"""Data sets with settings that the paper does not state."""


def jobs_of(datasets: Sequence[str]) -> list[Job]:
    """Returns the pilot runs of the given data sets."""
    return [
        Job(f"pilots/{dataset}/{name}", dataset, config)
        for dataset in datasets
        for name, config in MODULES[dataset].PILOTS.items()
    ]


def table_of(records: Sequence[Mapping[str, Any]]) -> Table:
    """Builds a table with one row per run, in the order in which they were tried."""
    table = Table(
        "Pilots of LAYA, best validation accuracy",
        (
            "data set",
            "widths",
            "embedding",
            "words",
            "learning rate",
            "schedule",
            "batch",
            "seed",
            "epochs",
            "validation",
            "seconds per epoch",
        ),
    )
    for record in records:
        config, texts = record["config"], record["dataset"] == "imdb"
        table.add(
            record["dataset"],
            "-".join(map(str, config["backbone"]["widths"])),
            str(config["backbone"]["embedding_dim"]) if texts else "",
            f"{config['data']['keep']} {config['data']['max_length']}" if texts else "",
            f"{config['optimizer']['learning_rate']:g}",
            schedule_of(from_json(OptimizerConfig, config["optimizer"])),
            str(config["batch_size"]),
            str(config["seed"]),
            str(len(record["curve"])),
            f"{record['validation']['accuracy']:.4f}",
            f"{record['seconds'] / len(record['curve']):.0f}",
        )
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains missing runs and writes the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--datasets", nargs="+", choices=PILOTED, default=PILOTED)
    place_options(parser)
    parser.add_argument("--seeds", type=int, choices=(0, 1), default=1, help="0 trains nothing")
    asked = parser.parse_args(arguments)
    with errors_in_a_line("pilots"):
        places = places_of(asked)
        if asked.seeds:
            train_missing(jobs_of(asked.datasets), places)
        table = table_of(finished(jobs_of(PILOTED), places.results))
        write_tables([table], places.results / "pilots")
    print(f"\n{table.as_text()}")


if __name__ == "__main__":
    main()
