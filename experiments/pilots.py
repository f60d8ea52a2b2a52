"""What the paper leaves open, tried out: short LAYA runs, compared on the validation split.

    python -m experiments.pilots                       # trains what is missing, then makes the table
    python -m experiments.pilots --seeds 0             # the table of what there is

The settings are ``PILOTS`` of ``experiments.configs``. LAYA alone is tried, and all heads then have what was
chosen for it; where there are several seeds, by their mean. Every run is written to ``results/pilots/``, the
table to ``results/pilots.*``.
"""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.command import errors_in_a_line, place_options, places_of
from experiments.configs import MODULES
from experiments.records import Job, finished
from experiments.runs import train_missing
from experiments.tables import Table, write_tables
from laya_jax.engine import from_json
from laya_jax.training import OptimizerConfig

PILOTED = ("cifar10", "imdb")
"""Data sets of which the paper leaves something open."""


def jobs_of(datasets: Sequence[str]) -> list[Job]:
    """The runs that were compared."""
    return [
        Job(f"pilots/{dataset}/{name}", dataset, config)
        for dataset in datasets
        for name, config in MODULES[dataset].PILOTS.items()
    ]


def table_of(records: Sequence[Mapping[str, Any]]) -> Table:
    """A row per run, in the order in which they were tried."""
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
            "seconds an epoch",
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


def schedule_of(optimizer: OptimizerConfig) -> str:
    """A schedule in words.

    >>> schedule_of(OptimizerConfig(schedule="cosine", warmup_steps=10))
    'cosine, rises over 10 steps'
    """
    warmup = f", rises over {optimizer.warmup_steps} steps" if optimizer.warmup_steps else ""
    return optimizer.schedule + warmup


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains what is missing, and makes the table."""
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
