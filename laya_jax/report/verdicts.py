"""Interpretation of the numbers of an attribution in plain sentences."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

Numbers = Mapping[str, Any]

Verdict = Literal["supports", "mixed", "against", "unknown"]
"""Verdict of a number on the faithfulness of the attention."""


WORDS: Mapping[Verdict, str] = {
    "supports": "yes",
    "mixed": "partly",
    "against": "no",
    "unknown": "unknown",
}
"""Verdicts as answers to the question whether a number is a reason to trust attention."""


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
        *_inside_the_head(measured),
        *_agreements(measured["agreement"], measured["shapley_error"]),
        *_conditioning(measured["replaced_attention"]),
        *_randomizations(measured["randomization"]),
        *_inputs_and_seeds(measured, stability),
    ]
    if numbers["mistakes"]["attention_entropy"]["auroc"] is not None:
        found.append(_mistakes(numbers["mistakes"]))
    return found


def summary(numbers: Numbers, stability: Numbers | None = None) -> str:
    """Summarises the findings in two sentences.

    >>> summary({"faithfulness": None, "head": "concat"})
    "A head of kind 'concat' has no attention over layers, so there is none to assess."
    """
    measured = numbers["faithfulness"]
    if measured is None:
        kind = numbers["head"]
        return f"A head of kind {kind!r} has no attention over layers, so there is none to assess."
    top, others = measured["flips_without_top_layer"], measured["flips_without_another_layer"]
    if top > 2 * others and top > 0.05:
        first = "Within this model, attention points to layers that the head needs"
    elif top > others:
        first = "Within this model, attention points only weakly to layers that the head needs"
    else:
        first = "Within this model, attention does not point to layers that the head needs"
    shown = f"{_percent(top)} of predictions change without the top layer, {_percent(others)} without another"
    first = f"{first}: {shown}."
    if stability is None:
        return f"{first} Whether another seed would use the same layers was not measured."
    return f"{first} {OVER_SEEDS[stable(stability).verdict]}"


def _inside_the_head(measured: Numbers) -> Iterator[Finding]:
    top, others = measured["flips_without_top_layer"], measured["flips_without_another_layer"]
    yield Finding(
        "Predictions that change without the top layer",
        _percent(top),
        f"{_percent(others)} without another layer",
        _verdict(top - others, 0.05, 0.0),
        "The layer with the most attention is masked and the rest is renormalised. If attention shows what "
        "the head uses, this changes more predictions than leaving out another layer.",
    )
    curves = measured["curves"]
    for name, what in (("comprehensiveness", "without"), ("sufficiency", "with only")):
        score = curves[f"{name}_score"]
        yield Finding(
            name.capitalize(),
            _number(score),
            "0 for a random order, 1 for the best sets of layers",
            _verdict(score, 0.5, 0.1),
            f"How the probability of the prediction changes {what} the k layers with the most attention, "
            f"averaged over k; the unscaled average is {_number(curves[name])}.",
        )
    yield Finding(
        "Top layer argues against the prediction",
        _percent(measured["opposing_top_layer"]),
        "0 %",
        _verdict(-measured["opposing_top_layer"], -0.05, -0.25),
        "How often the layer with the most attention adds more to the second most likely class than to the "
        "predicted one. Attention says how much a layer is weighed, not in favour of which class.",
    )
    yield Finding(
        "Completeness gap",
        f"{measured['completeness_gap']:.1e}",
        "0",
        _verdict(-measured["completeness_gap"], -1e-4, -1e-2),
        "How far the sum of bias and contributions is from the logits, relative to the largest logit. If the "
        "contributions are correct, this is rounding error only.",
    )


OVER_SEEDS = {
    "supports": "Another seed uses about the same layers.",
    "mixed": "Another seed uses some of the same layers.",
    "against": "Another seed uses other layers: attention describes this model, not the data.",
    "unknown": "Attention does not depend on the input, so seeds cannot be compared by it.",
}

AGREEMENT = (
    "Spearman's correlation, per sample, with the drop in the predicted class's log-probability when one "
    "layer is masked. The second number shows whether this also holds for what is specific to a sample."
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
            f"Agreement of leaving a layer out with {shown}",
            _number(raw),
            f"{_number(centred)} after subtracting layer means; 1 is perfect, 0 is chance",
            _verdict(raw, 0.6, 0.2),
            meanings.get(name, ""),
        )


def _conditioning(replaced: Numbers) -> Iterator[Finding]:
    own, mean, other = (replaced[name]["accuracy"] for name in ("own", "mean", "permuted"))
    yield Finding(
        "Accuracy with the same attention for all inputs",
        f"{mean:.4f}",
        f"{own:.4f} with each sample's own, {other:.4f} with another sample's",
        _verdict(own - mean, 0.01, 0.0),
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
                _number(correlation),
                "0" if correlation is None else f"0; the same top layer for {_top_layer(randomized[part])}",
                _verdict(None if correlation is None else -abs(correlation), -0.2, -0.6),
                meaning,
            )


def _inputs_and_seeds(measured: Numbers, stability: Numbers | None) -> Iterator[Finding]:
    noise = measured["input_noise"]
    lost = 1 - noise["flips"] - noise["same_top_layer"]
    yield Finding(
        "Same top layer under small noise on the inputs",
        _top_layer(noise),
        f"{_percent(1 - noise['flips'])} of predictions stay the same",
        _verdict(None if noise["centred_correlation"] is None else -lost, -0.05, -0.2),
        "Attention should not depend on changes that hardly affect the prediction.",
    )
    if stability is None:
        yield Finding(
            "Same top layer over seeds",
            "not measured",
            "pass several runs that differ only in their seed",
            "unknown",
            "Two runs that differ only in their seed may use different layers and predict equally well.",
        )
    else:
        yield stable(stability)
    rescaling = measured["rescaling"]
    if rescaling is not None:
        yield Finding(
            "Attention that can move while decisions stay",
            f"{rescaling['attention_change']:.3f}",
            f"0; {_percent(rescaling['same_decisions'])} of decisions stay the same",
            _verdict(-rescaling["attention_change"], -0.02, -0.1),
            "An adapter is scaled by 2 or 1/2, and the scorer is changed to compensate. The result is a "
            "different attention for the same decisions; rms_normalized removes this freedom.",
        )


def stable(stability: Numbers) -> Finding:
    """Interprets the similarity of attention across seeds."""
    between, chance = stability["between"], stability["chance"]
    correlation = between["centred_correlation"]
    return Finding(
        f"Same top layer over {stability['runs']} runs",
        _top_layer(between),
        f"{_top_layer(chance)} by chance; correlation {_number(correlation)} "
        f"({_number(chance['centred_correlation'])} by chance)",
        _verdict(correlation, 0.6, 0.2),
        "Two runs that differ only in their seed may use different layers and predict equally well. If they "
        "do, attention describes this model, not the data.",
    )


def _mistakes(mistakes: Numbers) -> Finding:
    entropy, softmax = (mistakes[name]["auroc"] for name in ("attention_entropy", "max_softmax"))
    return Finding(
        "Mistakes detected by the entropy of attention",
        f"AUROC {entropy:.2f}",
        f"{softmax:.2f} by the maximum softmax probability; 0.5 is chance",
        _verdict(entropy - softmax, 0.0, -0.1),
        "Whether attention that is spread over many layers indicates a wrong prediction.",
    )


def _verdict(value: float | None, good: float, bad: float) -> Verdict:
    if value is None:
        return "unknown"
    return "supports" if value >= good else "mixed" if value > bad else "against"


def _percent(share: float) -> str:
    """Formats a fraction as a percentage, without rounding values near 0 or 1 to 0 % or 100 %.

    >>> _percent(0.004), _percent(0.5), _percent(0.999)
    ('0.4 %', '50 %', '99.9 %')
    """
    return f"{100 * share:.1f} %" if 0 < share < 0.01 or 0.99 < share < 1 else f"{100 * share:.0f} %"


def _top_layer(likeness: Numbers) -> str:
    """Formats the fraction with the same top layer; undefined for attention that is constant over samples.

    >>> _top_layer({"same_top_layer": 1.0, "centred_correlation": None})
    'undefined'
    """
    return "undefined" if likeness["centred_correlation"] is None else _percent(likeness["same_top_layer"])


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"
