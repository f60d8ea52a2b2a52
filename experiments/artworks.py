"""Figures 3 and 4: LAYA's attention to the blocks of a frozen ViT on paintings, overall and by style.

    python -m experiments.artworks --vit PATH --paintings FOLDER    # trains missing runs, then draws
    python -m experiments.artworks --seeds 0                        # draws existing records

There are two training recipes: the paper's (Adam with learning rate 3e-5, at most 15 epochs, patience 3, the
paper's head) and the one recommended here for frozen backbones (``laya train images:FOLDER --backbone
vit:PATH --freeze``). The paper uses paintings of 21 styles and a ViT-B/16, our records 11 styles and a
ViT-S/14, so the numbers are not comparable. To use your own paintings or ViT, also set --results. Records are
written to ``results/artworks/``, figures to ``results/figures/``, and the table to ``results/artworks.*``.
"""

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.configs.artworks import PAINTINGS, VIT, configs_of
from experiments.lib.command import errors_in_a_line, places_of, training_options
from experiments.lib.drawings import GROUPS, belief, class_profile, figure_1, figure_2, save
from experiments.lib.records import MOST_SEEDS, Job, finished
from experiments.lib.runs import train_missing
from experiments.lib.statistics import summarize
from experiments.lib.tables import Table, write_tables
from laya_jax.attribution import STYLE
from laya_jax.data import Schema
from laya_jax.inputs import FrozenInputs, fingerprint, load_for, pretrained_of
from laya_jax.training import Config

Records = Sequence[Mapping[str, Any]]


def jobs_of(name: str, config: Config, seeds: int) -> list[Job]:
    """Returns the runs of one training recipe, one per seed."""
    plain = name.replace("'", "").replace(" ", "-")
    return [
        Job(f"artworks/{plain}-seed{seed}", "paintings", dataclasses.replace(config, seed=seed))
        for seed in range(seeds)
    ]


def records_of(configs: Mapping[str, Config], results: Path) -> dict[str, Records]:
    """Returns the records of finished runs by training recipe; recipes without any are left out."""
    by_way = {name: finished(jobs_of(name, config, MOST_SEEDS), results) for name, config in configs.items()}
    return {name: records for name, records in by_way.items() if records}


def check_same(by_way: Mapping[str, Records], config: Config, results: Path) -> None:
    """Checks that all finished runs were trained on the config's paintings and ViT.

    Raises:
      FileNotFoundError: The paintings or the ViT do not exist.
      ValueError: A run was trained on other paintings or another ViT.
    """
    pretrained, dataset = pretrained_of(config), load_for(config, decode=False)
    assert pretrained is not None
    known = fingerprint(FrozenInputs(Schema.of(dataset), pretrained).identify(dataset))
    for records in by_way.values():
        if any(record.get("fingerprint") != known for record in records):
            raise ValueError(
                f"the records in {results} are of other paintings, or another ViT, than {config.data.source} "
                f"and {config.backbone.path}; give another --results"
            )


def draw(by_way: Mapping[str, Records], folder: Any) -> None:
    """Draws Figure 3, the attention profiles side by side, and Figure 4, the heatmaps of each recipe."""
    import matplotlib as mpl

    mpl.use("Agg")
    with mpl.rc_context(STYLE):
        save(figure_1(by_way), folder / "figure3")
        for name, records in by_way.items():
            groups = {title: class_profile(records, group) for group, title in GROUPS.items()}
            styles = [style.replace("_", " ") for style in records[0]["class_names"]]
            title = f"Paintings, {name}, mean over {len(records)} seeds\n{belief(records)}"
            plain = name.replace("'", "").replace(" ", "-")
            save(figure_2(groups, styles, title), folder / f"figure4-{plain}")


def table_of(by_way: Mapping[str, Records]) -> Table:
    """Builds the table, with one row per training recipe."""
    columns = ("training", "seeds", "accuracy", "macro-F1", "effective depth", "seconds per run")
    backbone = Path(next(iter(by_way.values()))[0]["config"]["backbone"]["path"]).name
    table = Table(f"Paintings, LAYA on the frozen {backbone}", columns)
    for name, records in by_way.items():
        numbers = [
            summarize([record["test"][key] for record in records])
            for key in ("accuracy", "macro_f1", "effective_depth")
        ]
        seconds = summarize([record["seconds"] for record in records]).mean
        table.add(name, str(len(records)), *map(str, numbers), f"{seconds:.0f}")
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains missing runs, draws the figures and writes the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    training_options(parser, seeds=5)
    parser.add_argument("--vit", default=VIT, help="path of the folder of a pretrained ViT")
    parser.add_argument("--paintings", default=PAINTINGS, help="path of the folder of images, by style")
    asked = parser.parse_args(arguments)
    with errors_in_a_line("artworks"):
        places = places_of(asked)
        configs = configs_of(asked.vit, asked.paintings)
        if asked.epochs is not None:
            configs = {
                name: dataclasses.replace(config, epochs=asked.epochs) for name, config in configs.items()
            }
        jobs = {name: jobs_of(name, config, asked.seeds) for name, config in configs.items()}
        if asked.seeds:
            check_same(records_of(configs, places.results), configs["recommended"], places.results)
        train_missing([job for mine in jobs.values() for job in mine], places)
        by_way = records_of(configs, places.results)
        if not by_way:
            raise ValueError(f"no records in {places.results}")
        draw(by_way, places.results / "figures")
        table = table_of(by_way)
        write_tables([table], places.results / "artworks")
    print(f"\n{table.as_text()}")


if __name__ == "__main__":
    main()
