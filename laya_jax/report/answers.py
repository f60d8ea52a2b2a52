"""Answer of a report in plain sentences: the layers that the head reads, and whether they can be trusted."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from scipy.stats import binomtest

from laya_jax.report.verdicts import Numbers, Verdict, judged, percent, top_layer
from laya_jax.report.wording import in_words, most_read

Attribution = Literal["contributions", "attention"]

PROFILES: dict[Attribution, str] = {"contributions": "contribution_profiles", "attention": "profiles"}
"""Key of the depth profile of each attribution in the measured numbers."""

UNIFORM = 0.98
"""Effective depth, relative to the number of layers, from which a profile counts as uniform."""

OVER_SEEDS: dict[Verdict, str] = {
    "supports": "Another seed reads about the same layers",
    "mixed": "Another seed reads some of the same layers",
    "against": "Another seed reads other layers, so this profile describes one training and not the data",
    "unknown": "Uniform profiles overlap whatever was learned",
}


class Claim(NamedTuple):
    """Verdict on an attribution, and a sentence with the numbers behind it."""

    verdict: Verdict
    sentence: str


class Reading(NamedTuple):
    """Depth profile of an attribution, and whether it may be read.

    Attributes:
      name: Attribution: contributions or attention.
      mean: Mean fraction of each layer, [L].
      deviation: Standard deviation of each layer over the examples, [L].
      uniform: True if all layers have about the same fraction.
      faithful: Verdict on whether the layers that it names are those that the predictions need.
      stable: Verdict on whether other seeds have the same profile.
    """

    name: Attribution
    mean: Sequence[float]
    deviation: Sequence[float]
    uniform: bool
    faithful: Claim
    stable: Claim

    @property
    def meaningful(self) -> bool:
        """True unless the profile is uniform, or agrees between seeds only as by chance."""
        return not self.uniform and self.stable.verdict != "against"

    @property
    def reads(self) -> str:
        """Sentence on the layers that the head reads most."""
        number = len(self.mean)
        if number == 1:
            return "The head reads a single layer."
        if self.uniform:
            subject = {"contributions": "contributions are", "attention": "attention is"}[self.name]
            return f"The head singles out no layer: its {subject} uniform over the {number} layers."
        most = most_read(self.mean)
        share = percent(sum(self.mean[layer - 1] for layer in most))
        return f"The head reads {in_words(most)} of {number} most: {share} of its {self.name}."


class Answer(NamedTuple):
    """Answer of a report.

    Attributes:
      accuracy: Sentence on the accuracy.
      contributions: Depth profile of the contributions; None for a head without attention over layers.
      attention: Depth profile of attention; None for a head without attention over layers.
      unreadable: Sentence that replaces the profiles for a head without attention over layers.
    """

    accuracy: str
    contributions: Reading | None
    attention: Reading | None
    unreadable: str


def answer(numbers: Numbers, stability: Numbers | None = None) -> Answer:
    """Answers from the numbers of ``attribute`` and ``stability``."""
    metrics = numbers["metrics"]
    low, high = interval(metrics["accuracy"], metrics["examples"])
    right = f"{100 * metrics['accuracy']:.1f}% of {metrics['examples']:,} examples are classified correctly"
    accuracy = f"{right} (95% interval: {100 * low:.1f} to {100 * high:.1f}%)."
    if numbers["faithfulness"] is None:
        kind = numbers["head"]
        missing = f"A head of kind {kind!r} has no attention over layers, so there is none to assess."
        return Answer(accuracy, None, None, missing)
    return Answer(
        accuracy,
        _reading("contributions", numbers, stability),
        _reading("attention", numbers, stability),
        "",
    )


def summary(numbers: Numbers, stability: Numbers | None = None) -> str:
    """Summarises the measurements in a few sentences.

    >>> metrics = {"accuracy": 0.9, "examples": 1000}
    >>> summary({"metrics": metrics, "faithfulness": None, "head": "concat"})[:49]
    '90.0% of 1,000 examples are classified correctly '
    """
    found = answer(numbers, stability)
    if found.contributions is None:
        return f"{found.accuracy} {found.unreadable}"
    read = found.contributions
    return " ".join((found.accuracy, read.reads, read.faithful.sentence, read.stable.sentence))


def interval(accuracy: float, examples: int) -> tuple[float, float]:
    """Computes Wilson's 95 % confidence interval of an accuracy.

    >>> low, high = interval(0.9, 100)
    >>> round(low, 3), round(high, 3)
    (0.826, 0.945)
    """
    found = binomtest(round(accuracy * examples), examples).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def _reading(name: Attribution, numbers: Numbers, stability: Numbers | None) -> Reading:
    profile, measured = numbers[PROFILES[name]], numbers["faithfulness"]
    layers, across = len(profile["mean"]), stability
    if name == "contributions":
        measured, across = measured["contributions"], stability and stability["contributions"]
    uniform = layers > 1 and profile["effective_depth"] >= UNIFORM * layers
    return Reading(
        name,
        profile["mean"],
        profile["deviation"],
        uniform,
        _faithful(name, measured),
        _stable(across, uniform),
    )


def _faithful(name: Attribution, measured: Numbers) -> Claim:
    top, others = measured["flips_without_top_layer"], measured["flips_without_another_layer"]
    verdict: Verdict = "against"
    if top > others:
        verdict = "supports" if top > 2 * others and top > 0.05 else "mixed"
    how = {"supports": "faithful", "mixed": "only weakly faithful", "against": "not faithful"}[verdict]
    subject, most = {
        "contributions": ("contributions are", "that contributes most"),
        "attention": ("attention is", "with the most attention"),
    }[name]
    shown = (
        f"{percent(top)} of predictions change without the layer {most}, {percent(others)} without another"
    )
    return Claim(verdict, f"Within this model, {subject} {how}: {shown}.")


def _stable(across: Numbers | None, uniform: bool) -> Claim:
    """Judges how far the overlap of the seeds' profiles exceeds chance, relative to a perfect overlap."""
    if across is None:
        return Claim("unknown", "Whether another seed would read the same layers was not measured.")
    overlap, chance = across["overlap"]["between"], across["overlap"]["chance"]
    beyond = None if uniform or chance > 1 - 1e-6 else (overlap - chance) / (1 - chance)
    verdict = judged(beyond, 0.6, 0.2)
    shown = (
        f"the profiles of {across['runs']} seeds overlap by {percent(overlap)} ({percent(chance)} by chance)"
    )
    if (same := top_layer(across["between"])) != "undefined":
        shown += (
            f", the top layer of an example is the same for {same} ({top_layer(across['chance'])} by chance)"
        )
    return Claim(verdict, f"{OVER_SEEDS[verdict]}: {shown}.")
