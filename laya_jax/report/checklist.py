"""Checklist of all measurements, each with a reference value and a verdict on whether to trust attention."""

from collections.abc import Iterator
from typing import NamedTuple

from laya_jax.report.verdicts import Numbers, Verdict, judged, number, percent, top_layer


class Finding(NamedTuple):
    """A measurement and its interpretation.

    Attributes:
      name: Name of the measurement.
      value: Measured number, as text.
      reference: Reference value to compare the number with, as text.
      verdict: Verdict on the faithfulness of the attention.
      meaning: Sentence that explains the number to a layperson; empty if the previous finding explains it.
    """

    name: str
    value: str
    reference: str
    verdict: Verdict
    meaning: str


def findings(numbers: Numbers, stability: Numbers | None = None) -> list[Finding]:
    """Interprets the numbers of ``attribute`` and ``stability``; empty for a head without attention."""
    measured = numbers["faithfulness"]
    if measured is None:
        return []
    found = [
        *_left_out(measured),
        *_scores(measured["curves"]),
        *_contributions(measured),
        *_agreements(measured["agreement"], measured["shapley_error"]),
        *_conditioning(measured["replaced_attention"]),
        *_randomizations(measured["randomization"]),
        _under_noise(measured["input_noise"]),
        *_over_seeds(stability),
        *_rescaled(measured["rescaling"]),
    ]
    if numbers["mistakes"]["attention_entropy"]["auroc"] is not None:
        found.append(_mistakes(numbers["mistakes"]))
    return found


LEFT_OUT = {
    "contributions": (
        "that contributes most",
        "The layer with the largest share of the contributions is masked, and the others are renormalised. "
        "If the shares show what the head uses, this changes more predictions than masking another layer.",
    ),
    "attention": ("with the most attention", "The same test for attention."),
}
"""Top layer of each attribution in words, and the meaning of leaving it out."""


def _left_out(measured: Numbers) -> Iterator[Finding]:
    for name, (which, meaning) in LEFT_OUT.items():
        given = measured["contributions"] if name == "contributions" else measured
        top, others = given["flips_without_top_layer"], given["flips_without_another_layer"]
        yield Finding(
            f"Predictions that change without the layer {which}",
            percent(top),
            f"{percent(others)} without another layer",
            judged(top - others, 0.05, 0.0),
            meaning,
        )


def _scores(curves: Numbers) -> Iterator[Finding]:
    for name, what in (("comprehensiveness", "without"), ("sufficiency", "with only")):
        score = curves[f"{name}_score"]
        yield Finding(
            name.capitalize(),
            number(score),
            "0 for a random order, 1 for the best sets of layers",
            judged(score, 0.5, 0.1),
            f"How the probability of the prediction changes {what} the k layers with the most attention, "
            f"averaged over k; the unscaled average is {number(curves[name])}.",
        )


def _contributions(measured: Numbers) -> Iterator[Finding]:
    yield Finding(
        "Top layer opposes the prediction",
        percent(measured["opposing_top_layer"]),
        "0%",
        judged(-measured["opposing_top_layer"], -0.05, -0.25),
        "How often the layer with the most attention adds more to the second most likely class than to the "
        "predicted one. Attention says how much weight a layer has, not which class it favours.",
    )
    yield Finding(
        "Completeness gap",
        f"{measured['completeness_gap']:.1e}",
        "0",
        judged(-measured["completeness_gap"], -1e-4, -1e-2),
        "How far the sum of bias and contributions is from the logits, relative to the largest logit. If the "
        "contributions are correct, this is rounding error only.",
    )


AGREEMENT = (
    "Spearman's correlation, per sample, with the drop in the predicted class's log-probability when one "
    "layer is masked. The second number shows whether differences between samples are also ranked well."
)

SEEDS = (
    "Two runs that differ only in their seed may use different layers and predict equally well. If they do, "
    "attention describes this model, not the data."
)

NAMES = {
    "attention": "attention",
    "attention_norm": "attention times norm",
    "contribution": "contributions",
    "shapley": "Shapley values",
}


def _agreements(agreement: Numbers, shapley_error: float | None) -> Iterator[Finding]:
    meanings = {"attention": AGREEMENT}
    if shapley_error is not None:
        meanings["shapley"] = (
            f"The values were sampled; their standard error is {shapley_error:.1e} on average."
        )
    for name, shown in NAMES.items():
        raw, centred = (agreement[name][key]["spearman"] for key in ("masked", "masked_centred"))
        yield Finding(
            f"Agreement between {shown} and the effect of leaving a layer out",
            number(raw),
            f"{number(centred)} after subtracting layer means; 1 is perfect, 0 is chance",
            judged(raw, 0.6, 0.2),
            meanings.get(name, ""),
        )


def _conditioning(replaced: Numbers) -> Iterator[Finding]:
    own, mean, other = (replaced[name]["accuracy"] for name in ("own", "mean", "permuted"))
    yield Finding(
        "Accuracy with the same attention for all inputs",
        f"{mean:.4f}",
        f"{own:.4f} with each sample's own, {other:.4f} with another sample's",
        judged(own - mean, 0.01, 0.0),
        "If the same attention for all inputs predicts as well, it means little that attention depends on "
        "the input.",
    )


def _randomizations(randomized: Numbers) -> Iterator[Finding]:
    meanings = {
        "scorer": "Attention should change when the part that computes the scores is randomised.",
        "labels": "Attention should differ in a model trained on permuted labels.",
    }
    for part, meaning in meanings.items():
        if part in randomized:
            correlation = randomized[part]["centred_correlation"]
            yield Finding(
                f"Similarity to attention with random {part}",
                number(correlation),
                "0" if correlation is None else f"0; the same top layer for {top_layer(randomized[part])}",
                judged(None if correlation is None else -abs(correlation), -0.2, -0.6),
                meaning,
            )


def _under_noise(noise: Numbers) -> Finding:
    lost = 1 - noise["flips"] - noise["same_top_layer"]
    return Finding(
        "Same top layer under small noise on the inputs",
        top_layer(noise),
        f"{percent(1 - noise['flips'])} of predictions stay the same",
        judged(None if noise["centred_correlation"] is None else -lost, -0.05, -0.2),
        "Attention should not depend on changes that hardly affect the prediction.",
    )


def _over_seeds(stability: Numbers | None) -> Iterator[Finding]:
    if stability is None:
        yield Finding(
            "Same top layer over seeds",
            "not measured",
            "pass several runs that differ only in their seed",
            "unknown",
            "Two runs that differ only in their seed may use different layers and predict equally well.",
        )
    else:
        runs = f"over {stability['runs']} runs"
        yield _stable(stability["contributions"], f"Same layer contributes most {runs}", "")
        yield _stable(stability, f"Same top layer {runs}", SEEDS)


def _rescaled(rescaling: Numbers | None) -> Iterator[Finding]:
    if rescaling is not None:
        yield Finding(
            "Change of attention that leaves decisions the same",
            f"{rescaling['attention_change']:.3f}",
            f"0; {percent(rescaling['same_decisions'])} of decisions stay the same",
            judged(-rescaling["attention_change"], -0.02, -0.1),
            "An adapter is scaled by 2 or 1/2, and the scorer is changed to compensate. The result is a "
            "different attention for the same decisions; rms_normalized removes this freedom.",
        )


def _stable(stability: Numbers, name: str, meaning: str) -> Finding:
    between, chance = stability["between"], stability["chance"]
    correlation = between["centred_correlation"]
    return Finding(
        name,
        top_layer(between),
        f"{top_layer(chance)} by chance; correlation {number(correlation)} "
        f"({number(chance['centred_correlation'])} by chance)",
        judged(correlation, 0.6, 0.2),
        meaning,
    )


def _mistakes(mistakes: Numbers) -> Finding:
    entropy, softmax = (mistakes[name]["auroc"] for name in ("attention_entropy", "max_softmax"))
    return Finding(
        "Mistakes detected by the entropy of attention",
        f"AUROC {entropy:.2f}",
        f"{softmax:.2f} by the maximum softmax probability; 0.5 is chance",
        judged(entropy - softmax, 0.0, -0.1),
        "Whether attention that is spread over many layers indicates a wrong prediction.",
    )
