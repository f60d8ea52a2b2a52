"""Stability of attention and contributions across runs that differ only in their seed."""

from collections.abc import Sequence

from numpy.typing import NDArray

from laya_jax import attribution
from laya_jax.attribution import contribution_shares
from laya_jax.report.measuring import Attributed
from laya_jax.report.plain import plain
from laya_jax.typing import JsonObject


def stability(runs: Sequence[Attributed]) -> JsonObject | None:
    """Measures the similarity of attention and contributions across ``other_seeds(runs)``.

    Returns:
      Similarity of attention by example and of its mean, and under "contributions" the same of the shares of
      the contributions; None without runs to compare.
    """
    explanations = [run.explained.weighed() for run in other_seeds(runs)]
    if not explanations:
        return None
    attention = _stability([each.attention for each in explanations])
    return {**attention, "contributions": _stability([contribution_shares(each) for each in explanations])}


def _stability(values: Sequence[NDArray]) -> JsonObject:
    overlap = attribution.profile_overlap([each.mean(axis=0) for each in values])
    return plain({**attribution.stability(values)._asdict(), "overlap": overlap})


def other_seeds(runs: Sequence[Attributed]) -> list[Attributed]:
    """Returns the first run and those that differ from it, and from each other, only in their seed.

    The list is empty if there is only the first run, or if its head has no attention over layers.
    """
    if runs[0].explained.explanation is None:
        return []
    unseeded = {**runs[0].numbers["config"], "seed": None}
    by_seed: dict[int, Attributed] = {}
    for run in runs:
        if {**run.numbers["config"], "seed": None} == unseeded:
            by_seed.setdefault(run.numbers["seed"], run)
    return list(by_seed.values()) if len(by_seed) > 1 else []
