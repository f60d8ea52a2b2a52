"""Answer of a report in plain sentences: which layers the head reads, and whether that can be trusted."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from laya_jax.report.verdicts import Numbers, Verdict, judged, percent, top_layer
from laya_jax.report.wording import in_words, most_read

Attribution = Literal["contributions", "attention"]

PROFILES: dict[Attribution, str] = {"contributions": "contribution_profiles", "attention": "profiles"}
"""Key of the depth profile of each attribution in the measured numbers."""

UNIFORM = 0.98
"""Effective depth, relative to the number of layers, from which a profile counts as uniform."""

FAITHFUL: dict[Verdict, str] = {
    "supports": "faithful",
    "mixed": "only weakly faithful",
    "against": "not faithful",
}

OVER_SEEDS: dict[Verdict, str] = {
    "supports": "Another seed reads nearly the same layers",
    "mixed": "Another seed reads some of the same layers",
    "against": "Another seed reads different layers, so this profile describes one run, not the data",
    "unknown": "Uniform profiles overlap whatever was learned",
}

ON_EXAMPLES: dict[Verdict, str] = {
    "supports": "On individual examples, seeds agree",
    "mixed": "On individual examples, seeds agree partly",
    "against": "On individual examples, seeds agree little more than by chance",
    "unknown": "The profile is the same for all examples",
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
      faithful: Verdict on whether the predictions need the layers that the profile singles out.
      stable: Verdict on whether other seeds have the same profile.
      specific: Verdict on whether other seeds agree on individual examples, beyond the mean profile.
    """

    name: Attribution
    mean: Sequence[float]
    deviation: Sequence[float]
    uniform: bool
    faithful: Claim
    stable: Claim
    specific: Claim

    @property
    def caution(self) -> str:
        """Reason not to read the profile, if it is uniform or seeds hardly agree on it."""
        if self.uniform:
            return "This profile does not distinguish layers."
        unstable = "Seeds agree on this profile little more than by chance."
        return unstable if self.stable.verdict == "against" else ""

    @property
    def measured(self) -> tuple[str, ...]:
        """Sentences on the measured faithfulness and stability."""
        sentences = (self.faithful.sentence, self.stable.sentence)
        return sentences if self.specific.verdict == "unknown" else (*sentences, self.specific.sentence)

    @property
    def reads(self) -> str:
        """Sentence on the layers that the head mainly reads."""
        layers = len(self.mean)
        if layers == 1:
            return "The head reads a single layer."
        if self.uniform:
            subject = {"contributions": "contributions are", "attention": "attention is"}[self.name]
            spread = f"its {subject} nearly uniform over the {layers} layers"
            return f"On average, the head singles out no layer: {spread}."
        most = most_read(self.mean)
        share = percent(sum(self.mean[layer - 1] for layer in most))
        return f"The head mainly reads {in_words(most)} of {layers}: {share} of its {self.name}."


SOLVED = Claim(
    "unknown",
    "The head is solved in closed form, so no seed is involved, and solving again gives the same result. "
    "Whether it depends on the choice of training examples was not measured.",
)


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
    return " ".join((found.accuracy, read.reads, *read.measured))


def interval(accuracy: float, examples: int) -> tuple[float, float]:
    """Computes Wilson's 95 % confidence interval of an accuracy.

    >>> low, high = interval(0.9, 100)
    >>> round(low, 3), round(high, 3)
    (0.826, 0.945)
    """
    from scipy.stats import binomtest  # loaded late: it takes half a second, and every command imports this

    found = binomtest(round(accuracy * examples), examples).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def _reading(name: Attribution, numbers: Numbers, stability: Numbers | None) -> Reading:
    profile, measured = numbers[PROFILES[name]], numbers["faithfulness"]
    layers, across = len(profile["mean"]), stability
    curves = measured["curves"]
    score = (curves[name] if name == "contributions" else curves)["comprehensiveness_score"]
    if name == "contributions":
        measured, across = measured["contributions"], stability and stability["contributions"]
    uniform = layers > 1 and profile["effective_depth"] >= UNIFORM * layers
    return Reading(
        name,
        profile["mean"],
        profile["deviation"],
        uniform,
        _faithful(name, measured, score),
        SOLVED if numbers["solved"] else _stable(across, uniform),
        SOLVED if numbers["solved"] else _specific(across),
    )


def _faithful(name: Attribution, measured: Numbers, score: float | None) -> Claim:
    """Judges by the predictions that change without the top layer and by the score of the curve, both."""
    top, others = measured["flips_without_top_layer"], measured["flips_without_another_layer"]
    verdict: Verdict = "mixed"
    if top <= others or (score is not None and score <= 0.1):
        verdict = "against"
    elif top > 2 * others and top > 0.05 and (score is None or score >= 0.5):
        verdict = "supports"
    subject, most, their = {
        "contributions": ("contributions are", "that contributes most", "their"),
        "attention": ("attention is", "with the most attention", "its"),
    }[name]
    shown = f"{percent(top)} of predictions change without the layer {most}, "
    shown += f"{percent(others)} without another"
    if score is not None:
        shown += f"; {their} comprehensiveness is {score:.2f} (random order: 0, best order: 1)"
    return Claim(verdict, f"Within this model, {subject} {FAITHFUL[verdict]}: {shown}.")


def _stable(across: Numbers | None, uniform: bool) -> Claim:
    """Judges how far the overlap of the seeds' profiles exceeds chance, relative to a perfect overlap."""
    if across is None:
        return Claim("unknown", "Whether another seed would read the same layers was not measured.")
    overlap, chance = across["overlap"]["between"], across["overlap"]["chance"]
    beyond = None if uniform or chance > 1 - 1e-6 else (overlap - chance) / (1 - chance)
    verdict = judged(beyond, 0.6, 0.2)
    shown = f"profiles of {across['runs']} seeds overlap by {percent(overlap)} ({percent(chance)} by chance)"
    return Claim(verdict, f"{OVER_SEEDS[verdict]}: {shown}.")


def _specific(across: Numbers | None) -> Claim:
    """Judges the correlation over seeds after subtracting each layer's mean."""
    if across is None:
        return Claim("unknown", "Whether seeds agree on single examples was not measured.")
    correlation = across["between"]["centred_correlation"]
    verdict = judged(correlation, 0.6, 0.2)
    same, chance = top_layer(across["between"]), top_layer(across["chance"])
    if correlation is None:
        return Claim(verdict, f"{ON_EXAMPLES[verdict]}.")
    shown = f"the top layer is the same for {same} ({chance} by chance); the correlation is {correlation:.2f}"
    return Claim(verdict, f"{ON_EXAMPLES[verdict]}: {shown}.")
