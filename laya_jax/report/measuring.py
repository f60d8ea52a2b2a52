"""Measurements of a trained model's attention: profiles, faithfulness, diagnostics."""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from laya_jax import attribution
from laya_jax.attribution import Explanation, contribution_shares, randomizations
from laya_jax.data import Examples
from laya_jax.engine import initial_parameters, measure, to_json
from laya_jax.report.explainer import Explained, Explainer
from laya_jax.report.noise import with_noise
from laya_jax.report.plain import plain
from laya_jax.training import faithfulness as deletion
from laya_jax.typing import JsonObject

RERUN = 5_000
"""Maximum number of examples for which the network runs again, with other parameters or noise."""

MEASUREMENTS = (
    "Shapley values",
    "curves over layers",
    "layers left out",
    "random parameters",
    "noise on the inputs",
)
"""Names of the slow measurements, in order, for progress display."""


class Attributed(NamedTuple):
    """Measurements of one run.

    Attributes:
      numbers: Summary of all measurements, as JSON-compatible values.
      explained: Logits and explanation of every example.
      profiles: Attention by depth and class; None for a head without attention over layers.
      contribution_profiles: Shares of the contributions by depth and class; None for a head without attention
        over layers.
      shapley: Shapley values of the layers for the predicted class and their standard errors, [N, L] each;
        None for a head without attention over layers.
      curves: Predictions as top-attention layers are removed or kept alone; None for a head without
        attention over layers.
    """

    numbers: JsonObject
    explained: Explained
    profiles: attribution.Profiles | None
    contribution_profiles: attribution.Profiles | None
    shapley: attribution.ShapleyValues | None
    curves: attribution.LayerCurves | None


def attribute(
    explainer: Explainer,
    examples: Examples,
    *,
    outliers: Examples | None = None,
    random_labels: Explainer | None = None,
) -> Attributed:
    """Measures a model's attention on examples; the explainer's listener receives progress callbacks.

    Args:
      explainer: Explainer of the model.
      examples: Examples with their labels.
      outliers: Out-of-distribution inputs to detect.
      random_labels: Explainer of a model trained on permuted labels. It is compared only if it has the same
        seed, since attention differs between seeds anyway.
    """
    examples = explainer.convert(examples)
    explained = explainer(examples)
    logits, explanation, labels = explained.logits, explained.explanation, examples.labels
    numbers = _without_layers(explainer, explained, labels)
    if outliers is not None:
        numbers["outliers"] = _outliers(explained, explainer(outliers))
    if explanation is None:
        return Attributed(numbers, explained, None, None, None, None)
    predicted, classes = np.argmax(logits, axis=1), logits.shape[1]
    _begin(explainer, "Shapley values")
    shapley = attribution.shapley_of_class(explanation, predicted)
    _begin(explainer, "curves over layers")
    curves = attribution.layer_curves(explanation)
    profiles, contribution_profiles = (
        attribution.profiles(values, labels, predicted, classes)
        for values in (explanation.attention, contribution_shares(explanation))
    )
    numbers["profiles"] = profiles.to_json()
    numbers["contribution_profiles"] = contribution_profiles.to_json()
    numbers["faithfulness"] = {
        **_inside_the_head(explanation, logits, labels, shapley, curves, explainer),
        "randomization": _randomization(explainer, examples, explanation, random_labels),
        "input_noise": _input_noise(explainer, examples, explanation),
    }
    return Attributed(numbers, explained, profiles, contribution_profiles, shapley, curves)


def _without_layers(explainer: Explainer, explained: Explained, labels: NDArray) -> JsonObject:
    """Computes what can be measured of every head; None for what needs attention over layers, or outliers."""
    model, (logits, explanation) = explainer.model, explained
    attention = None if explanation is None else explanation.attention
    wrong = np.argmax(logits, axis=1) != labels
    return {
        "head": model.config.head.kind,
        "solved": model.classifier.head.is_solved,
        "seed": model.config.seed,
        "config": plain(to_json(model.config)),
        "class_names": list(model.schema.class_names),
        "warnings": list(model.warnings),
        "metrics": dataclasses.asdict(measure(logits, attention, labels)),
        "mistakes": _detections(attribution.by_name(attribution.uncertainty(logits, explanation)), wrong),
        "outliers": None,
        "contribution_profiles": None,
        "profiles": None,
        "faithfulness": None,
    }


def _begin(explainer: Explainer, measurement: str) -> None:
    explainer.listener.measured(measurement, MEASUREMENTS.index(measurement), len(MEASUREMENTS))


def _inside_the_head(
    explanation: Explanation,
    logits: NDArray,
    labels: NDArray,
    shapley: attribution.ShapleyValues,
    curves: attribution.LayerCurves,
    explainer: Explainer,
) -> JsonObject:
    """Computes the measurements that need only the explanation, without running the network."""
    _begin(explainer, "layers left out")
    masked, zeroed = attribution.leave_one_out(explanation)
    shares = contribution_shares(explanation)
    return {
        **_deletion(explanation, explanation.attention),
        "contributions": _deletion(explanation, shares),
        "completeness_gap": attribution.completeness_gap(explanation, logits),
        "agreement": {
            name: plain(attribution.agreement(values, masked, zeroed))
            for name, values in attribution.attributions(explanation, shapley)._asdict().items()
        },
        "shapley_error": None if shapley.errors is None else float(shapley.errors.mean()),
        "curves": {
            **plain(curves),
            "contributions": _curve(explanation, shares, curves),
            "comprehensiveness": curves.comprehensiveness,
            "comprehensiveness_score": curves.comprehensiveness_score,
            "sufficiency": curves.sufficiency,
            "sufficiency_score": curves.sufficiency_score,
        },
        "accuracy_over_depth": plain(attribution.accuracy_over_depth(explanation, labels)),
        "replaced_attention": plain(attribution.replaced_attention(explanation, labels)),
        "opposing_top_layer": attribution.opposing_top_layer(explanation),
        "rescaling": plain(attribution.rescaling(explanation))
        if explainer.model.classifier.head.scale_is_free
        else None,
    }


def _curve(explanation: Explanation, values: NDArray, curves: attribution.LayerCurves) -> JsonObject:
    """Computes the curve with the layers in order of an attribution, and its scores."""
    curve = attribution.curve_of(explanation, values)
    comprehensiveness, sufficiency = curves.scores(curve)
    return {
        **plain(curve),
        "comprehensiveness_score": comprehensiveness,
        "sufficiency_score": sufficiency,
    }


def _deletion(explanation: Explanation, values: NDArray) -> dict[str, float]:
    """Computes the predictions that flip without the layer of the largest value, and without another."""
    flips = attribution.deletion_flips(
        lambda mask: jnp.asarray(explanation.masked(mask)), jnp.asarray(values)
    )
    return deletion(np.asarray(flips))


def _randomization(
    explainer: Explainer, examples: Examples, explanation: Explanation, random_labels: Explainer | None
) -> JsonObject:
    """Measures the similarity of attention after randomising a part of the parameters."""
    _begin(explainer, "random parameters")
    model = explainer.explained
    some = examples.take(slice(RERUN))
    before = explanation.take(slice(RERUN)).attention
    drawn = model.classifier.clone(head=model.classifier.head.randomized())
    fresh = initial_parameters(drawn, model.schema.preprocessing, model.config.seed + 1)
    found = {
        part: plain(attribution.similarity(before, explainer(some, parameters).weighed().attention))
        for part, parameters in randomizations(model.parameters, fresh)
    }
    if random_labels is not None and random_labels.model.config.seed == model.config.seed:
        other = random_labels(some).weighed().attention
        found["labels"] = plain(attribution.similarity(before, other))
    return found


def _input_noise(explainer: Explainer, examples: Examples, explanation: Explanation) -> JsonObject:
    """Measures the similarity of attention under small input noise."""
    _begin(explainer, "noise on the inputs")
    some = examples.take(slice(RERUN))
    encoder = explainer.explained.schema.encoder
    unknown = encoder.unknown if encoder else 0
    noisy = explainer(Examples(with_noise(np.asarray(some.inputs), unknown), some.labels)).weighed()
    before = explanation.take(slice(RERUN))
    return {
        **plain(attribution.similarity(before.attention, noisy.attention)),
        "flips": float(np.mean(np.argmax(before.logits, axis=1) != np.argmax(noisy.logits, axis=1))),
    }


def _outliers(inside: Explained, outside: Explained) -> JsonObject:
    """Measures how well each score detects outliers, given the class profiles of the examples."""
    profile = None
    if inside.explanation is not None:
        predicted = np.argmax(inside.logits, axis=1)
        profile = attribution.class_profile(inside.explanation.attention, predicted, inside.logits.shape[1])
    scores = [attribution.by_name(attribution.uncertainty(*each, profile)) for each in (inside, outside)]
    strange = np.repeat([False, True], [len(inside.logits), len(outside.logits)])
    joined = {name: np.concatenate([each[name] for each in scores]) for name in scores[0]}
    return _detections(joined, strange)


def _detections(scores: dict[str, NDArray], positive: NDArray) -> JsonObject:
    return {name: plain(attribution.detection(values, positive)) for name, values in scores.items()}
