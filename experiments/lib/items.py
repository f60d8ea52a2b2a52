"""Item-by-item comparison with the paper: each reported value is reproduced, not reproduced or not run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.configs import HEADS, PAPER, config_of
from experiments.configs.artworks import configs_of
from experiments.lib import grids
from experiments.lib.drawings import TITLES, class_profile, mean_profile
from experiments.lib.head_accuracies import accuracies, comparisons, reproduced, verdict
from experiments.lib.paper import FIGURE_1, FIGURE_2, FIGURE_3, PROTOCOL, SEEDS, TABLE_1, TABLE_2
from experiments.lib.records import select
from experiments.lib.statistics import summarize
from experiments.lib.tables import Table
from laya_jax.training import HeadConfig, OptimizerConfig

Records = Sequence[Mapping[str, Any]]
NOT_RUN = "not run"


class Share(NamedTuple):
    """Share of attention stated in the paper's text, and ours.

    Attributes:
      item: Figure, data set and layer that the share belongs to.
      dataset: Name of the data set in ``experiments.configs``.
      paper: Share stated in the paper.
      ours: Our share, averaged over seeds; None if nothing was run.
      seeds: Our share for each seed.
    """

    item: str
    dataset: str
    paper: float
    ours: float | None
    seeds: Sequence[float]

    @property
    def reproduced(self) -> bool:
        """True if the paper's share lies within the range of our seeds."""
        return bool(self.seeds) and min(self.seeds) <= self.paper <= max(self.seeds)

    @property
    def stands(self) -> str:
        """Verdict in words, with the range of our seeds."""
        if not self.seeds:
            return NOT_RUN
        place = "within" if self.reproduced else "outside"
        return f"{place} the range of our seeds, {min(self.seeds):.2f} to {max(self.seeds):.2f}"


def shares(records: Records) -> list[Share]:
    """Lists the shares of attention stated for Figures 1 and 2."""
    return [*_profiles(records), *_classes(records)]


def _profiles(records: Records) -> Iterator[Share]:
    for dataset, told in FIGURE_1.items():
        mine = select(records, dataset, "laya")
        for layer, paper in told.items():
            ours = float(mean_profile(mine)[0][layer - 1]) if mine else None
            seeds = [record["attention"]["mean"][layer - 1] for record in mine]
            yield Share(f"Figure 1, {TITLES[dataset]}, attention to h{layer}", dataset, paper, ours, seeds)


def _classes(records: Records) -> Iterator[Share]:
    for dataset, told in FIGURE_2.items():
        mine = select(records, dataset, "laya")
        for class_name, (layer, paper) in told.items():
            row = mine[0]["class_names"].index(class_name) if mine else 0
            ours = float(class_profile(mine, "all")[row, layer - 1]) if mine else None
            seeds = [float(class_profile([record], "all")[row, layer - 1]) for record in mine]
            item = f"Figure 2, {TITLES[dataset]}, {class_name} to h{layer}"
            yield Share(item, dataset, paper, ours, seeds)


def items(records: Records, grid_records: Records, artworks_records: Mapping[str, Records]) -> Table:
    """Builds the table of all items: the command, the paper's value, ours, and the verdict."""
    table = Table("The paper's items", ("item", "command", "paper", "ours", "verdict"))
    for dataset in PAPER:
        for head in HEADS:
            table.add(
                f"Table 1, {TITLES[dataset]}, {head}",
                f"`python -m experiments.table1 --datasets {dataset} --heads {head}`",
                *accuracy(records, dataset, head),
            )
    for dataset in PAPER:
        table.add(
            f"Table 2, {TITLES[dataset]}",
            f"`python -m experiments.table2 --datasets {dataset}`",
            *_setting(grid_records, dataset),
        )
    for share in shares(records):
        ours = "" if share.ours is None else f"{share.ours:.2f}"
        command = f"`python -m experiments.figures --datasets {share.dataset}`"
        table.add(share.item, command, f"{share.paper:.2f}", ours, share.stands)
    for row in _artworks(artworks_records):
        table.add(*row)
    return table


def accuracy(records: Records, dataset: str, head: str) -> tuple[str, str, str]:
    """Formats the paper's accuracy, ours, and the verdict on their difference."""
    paper = TABLE_1[dataset][head]
    theirs = f"{paper.accuracy:.4f} ± {paper.deviation:.4f}"
    mine = accuracies(records, dataset, head)
    if not mine:
        return theirs, "", NOT_RUN
    (found,) = reproduced(select(records, dataset, head))
    stands = f"{verdict(found.ours, paper.low, paper.high)} the paper's interval"
    if found.gap is not None:
        stands = f"{found.gap.verdict} ({found.gap}); {stands}"
    if len(mine) < SEEDS:
        stands += f"; {len(mine)} of {SEEDS} seeds so far"
    return theirs, str(summarize([*mine.values()])), stands


def _setting(records: Records, dataset: str) -> tuple[str, str, str]:
    theirs = HeadConfig(**TABLE_2[dataset])
    size = len(grids.grid(dataset, "laya"))
    whole = grids.comparable(grids.by_setting(records, dataset, "laya"), size)
    if not whole:
        return grids.shown(theirs), "", NOT_RUN
    order = grids.ranked(whole)
    if theirs in whole:
        stands = "the same setting" if order[0] == theirs else "a different setting"
        stands += f"; the paper's ranks {order.index(theirs) + 1} of {len(whole)}"
    else:
        stands = "best so far; the paper's has not been run yet"
    told = grids.told_apart(whole)
    if told is not None:
        stands += f"; p = {told.p:.2g} for no difference between settings"
    if len(whole) < size:
        stands += f"; {len(whole)} of {size} settings run"
    return grids.shown(theirs), grids.shown(order[0]), stands


def _artworks(by_recipe: Mapping[str, Records]) -> Iterator[tuple[str, ...]]:
    """Yields the rows of Figures 3 and 4, one per training recipe."""
    for name in configs_of():
        records = by_recipe.get(name, ())
        ours, stands = "", NOT_RUN
        if records:
            mean, _ = mean_profile(records)
            top = np.argsort(-mean)[:5]
            ours = "most on " + ", ".join(f"h{layer + 1} {_ranged(records, layer)}" for layer in sorted(top))
            stands = f"not comparable: different paintings and a different ViT; {len(records)} seeds"
        yield f"Figures 3 and 4, artworks, {name}", "`python -m experiments.artworks`", FIGURE_3, ours, stands


def _ranged(records: Records, layer: int) -> str:
    seeds = [record["attention"]["mean"][layer] for record in records]
    return f"{np.mean(seeds):.2f} ({min(seeds):.2f} to {max(seeds):.2f})"


def protocol() -> Table:
    """Builds the table of training settings shared by all heads, next to those stated in the paper."""
    table = Table("How all heads are trained", ("", "paper", *(TITLES[dataset] for dataset in PAPER)))
    configs = [config_of(dataset, "laya") for dataset in PAPER]
    baselines = [config_of(dataset, "concat").head.dim for dataset in PAPER]
    ours = {
        "epochs": [f"at most {config.epochs}" for config in configs],
        "patience, epochs": [config.patience for config in configs],
        "learning rate": [f"{config.optimizer.learning_rate:g}" for config in configs],
        "learning rate schedule": [schedule_of(config.optimizer) for config in configs],
        "batch size": [config.batch_size for config in configs],
        "widths": ["-".join(map(str, config.backbone.widths)) for config in configs],
        "words read of a review": ["", "", f"{configs[2].data.keep} {configs[2].data.max_length}"],
        "embedding": ["", "", configs[2].backbone.embedding_dim],
        "d* of concat and scalar_mix": baselines,
    }
    for name, values in ours.items():
        table.add(name, PROTOCOL[name], *map(str, values))
    return table


def schedule_of(optimizer: OptimizerConfig) -> str:
    """Describes a learning-rate schedule in words.

    >>> schedule_of(OptimizerConfig(schedule="cosine", warmup_steps=10))
    'cosine, 10 warm-up steps'
    """
    warmup = f", {optimizer.warmup_steps} warm-up steps" if optimizer.warmup_steps else ""
    return optimizer.schedule + warmup


def summary(records: Records, grid_records: Records) -> str:
    """Summarizes as a Markdown list which results were reproduced, not reproduced or not run."""
    lines = [*_accuracies(records), *_lead(records), *_shares(records), *_not_run(records, grid_records)]
    return "\n".join(f"- {line}" for line in lines)


def _accuracies(records: Records) -> Iterator[str]:
    gaps = [each.gap for each in reproduced(records) if each.gap is not None]
    count = {name: sum(gap.verdict == name for gap in gaps) for name in ("higher", "lower")}
    yield (
        f"**Table 1, accuracies:** of the {len(gaps)} that were run, {count['higher']} are higher than the "
        f"paper's and {count['lower']} lower, by Welch's 95 % intervals; for the other "
        f"{len(gaps) - sum(count.values())}, the difference is not significant."
    )


def _lead(records: Records) -> Iterator[str]:
    best = {}
    for dataset in PAPER:
        means = {head: list(accuracies(records, dataset, head).values()) for head in HEADS}
        if all(means.values()):
            best[dataset] = max(means, key=lambda head: np.mean(means[head]))
    highest = ", ".join(f"{head} on {TITLES[dataset]}" for dataset, head in best.items())
    compared = [each for each in comparisons(records) if each.dataset in PAPER]
    shown = [each for each in compared if each.p < 0.05]
    differ = "".join(f" {each.verdict} than {each.head} on {TITLES[each.dataset]}," for each in shown)
    yield (
        f"**Table 1, LAYA ahead on every data set:** {'' if set(best.values()) == {'laya'} else 'not '}"
        f"reproduced; the highest mean is that of {highest}. By paired tests, corrected for multiple "
        f"comparisons, LAYA is{differ} and the other {len(compared) - len(shown)} differences are not "
        "significant."
    )


def _shares(records: Records) -> Iterator[str]:
    for within, word in ((True, "within"), (False, "outside")):
        found = [each for each in shares(records) if each.seeds and each.reproduced == within]
        if found:
            told = "; ".join(f"{each.item} ({each.paper:.2f}, ours {each.ours:.2f})" for each in found)
            yield f"**Figures 1 and 2, attention stated in the text, {word} our seeds' range:** {told}."


def _not_run(records: Records, grid_records: Records) -> Iterator[str]:
    missing = [
        f"Table 1, {TITLES[dataset]}, {head}"
        for dataset in PAPER
        for head in HEADS
        if not select(records, dataset, head)
    ]
    for dataset in PAPER:
        size = len(grids.grid(dataset, "laya"))
        done = len(grids.by_setting(grid_records, dataset, "laya"))
        if done < size:
            missing.append(f"Table 2, {TITLES[dataset]} ({done} of {size} settings of LAYA)")
    if missing:
        yield f"**Not run, or only in part:** {'; '.join(missing)}."
