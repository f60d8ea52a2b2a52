import csv
import dataclasses
import json
import tracemalloc

import numpy as np
import pytest

from laya_jax.attribution import contribution_shares, curves, shapley
from laya_jax.data import Examples
from laya_jax.report import (
    Explainer,
    attribute,
    findings,
    stability,
    summary,
    write_figures,
    write_numbers,
    write_samples,
)
from laya_jax.report.noise import NOISE, with_noise
from laya_jax.training import load_model, predict
from tests.report.conftest import ONE_DEVICE

PARTS = ["scorer", "adapters", "scorer and adapters", "backbone from h2", "backbone from h1"]


def strict(value):
    """As JSON without nan and infinity, and back."""
    return json.loads(json.dumps(value, allow_nan=False))


def test_the_numbers_are_those_of_the_models_own_predictions(measured, train, digits):
    run = measured()
    outputs = predict(load_model(train()), digits, ONE_DEVICE, explain=True)
    np.testing.assert_allclose(run.explained.logits, outputs.logits, atol=1e-5)
    np.testing.assert_allclose(run.explained.explanation.attention, outputs.attention, atol=1e-5)
    found = run.numbers["faithfulness"]
    assert found["flips_without_top_layer"] == pytest.approx(outputs.flips[:, 0].mean(), abs=0.004)
    assert found["completeness_gap"] < 1e-5
    over_depth = found["accuracy_over_depth"]
    assert over_depth["first"][-1] == run.numbers["metrics"]["accuracy"]
    shares = contribution_shares(run.explained.explanation)
    np.testing.assert_allclose(run.numbers["contribution_profiles"]["mean"], shares.mean(axis=0))
    curve = found["curves"]["contributions"]
    assert len(curve["only"]) == len(curve["without"]) == shares.shape[1] - 1
    assert found["replaced_attention"]["own"]["accuracy"] == run.numbers["metrics"]["accuracy"]
    assert list(found["randomization"]) == PARTS
    assert strict(run.numbers) == run.numbers


@pytest.mark.slow
def test_a_global_mix_is_the_same_for_every_sample(measured):
    numbers = measured("scalar_mix").numbers
    assert numbers["profiles"]["mutual_information"] == pytest.approx(0, abs=1e-6)
    for name in ("mean", "permuted"):
        assert numbers["faithfulness"]["replaced_attention"][name]["flips"] == 0
    assert numbers["faithfulness"]["agreement"]["attention"]["masked_centred"]["spearman"] is None
    assert strict(numbers) == numbers
    assert "undefined" in {finding.value for finding in findings(numbers)}


@pytest.mark.slow
def test_attention_that_started_uniform_is_compared_with_that_of_a_random_scorer(measured):
    randomized = measured("uniform_start").numbers["faithfulness"]["randomization"]
    for part in ("scorer", "scorer and adapters"):
        assert abs(randomized[part]["centred_correlation"]) < 0.95
        assert randomized[part]["divergence"] > 0


@pytest.mark.slow
def test_the_top_layer_of_attention_that_depends_on_no_sample_is_not_compared(measured):
    numbers, mix = measured().numbers, measured("scalar_mix")
    likeness = {"same_top_layer": 0.123, "centred_correlation": None, "divergence": 0.4}
    faithfulness = {**numbers["faithfulness"], "randomization": {"scorer": likeness}}
    named = {each.name: each for each in findings({**numbers, "faithfulness": faithfulness})}
    scorer = named["Similarity to attention with random scorer"]
    assert (scorer.value, scorer.reference, scorer.verdict) == ("undefined", "0", "unknown")
    over_seeds = stability([mix, measured("scalar_mix", 1)])
    named = {each.name: each for each in findings(mix.numbers, over_seeds)}
    for name in ("Same top layer under small noise on the inputs", "Same top layer over 2 runs"):
        assert (named[name].value, named[name].verdict) == ("undefined", "unknown")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["concat", "last_layer"])
def test_a_head_that_does_not_weigh_layers_gets_what_there_is(measured, kind):
    run = measured(kind)
    assert run.numbers["faithfulness"] is None
    assert run.numbers["profiles"] is None
    assert set(run.numbers["mistakes"]) == {"max_softmax", "energy"}
    assert findings(run.numbers) == []
    assert f"A head of kind '{kind}' has no attention" in summary(run.numbers)
    assert stability([run, run]) is None


@pytest.mark.slow
def test_curves_of_a_single_layer_are_undefined(measured):
    numbers = measured("laya", 0, (16,)).numbers
    assert numbers["profiles"]["effective_depth"] == pytest.approx(1)
    assert numbers["faithfulness"]["curves"]["comprehensiveness_score"] is None
    assert strict(numbers) == numbers
    assert findings(numbers)


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 3])
def test_few_examples_and_empty_classes(explainer, digits, few, number):
    run = attribute(explainer(), few(digits, number))
    assert strict(run.numbers) == run.numbers
    assert None in run.numbers["profiles"]["all"]["by_class"]
    assert findings(run.numbers)


def test_runs_of_other_seeds_are_compared(measured):
    runs = [measured(), measured("laya", 1)]
    found = stability(runs)
    assert found["runs"] == 2
    attentions = [run.explained.explanation.attention.argmax(axis=1) for run in runs]
    assert found["between"]["same_top_layer"] == np.mean(attentions[0] == attentions[1])
    named = {finding.name: finding for finding in findings(runs[0].numbers, found)}
    assert "Same top layer over 2 runs" in named
    assert stability([runs[0], measured("laya", 0, (16,))]) is None


@pytest.mark.slow
def test_only_runs_that_differ_in_their_seed_alone_are_compared(measured, tmp_path):
    first, other, mix = measured(), measured("laya", 1), measured("scalar_mix", 1)
    assert stability([first, first]) is None
    assert stability([first, mix]) is None
    assert stability([first, other, first, mix])["runs"] == 2
    sharper = other._replace(numbers={**other.numbers, "config": {**other.numbers["config"], "epochs": 9}})
    assert stability([first, sharper]) is None
    not_measured = {finding.name: finding for finding in findings(first.numbers)}["Same top layer over seeds"]
    assert not_measured.reference == "pass several runs that differ only in their seed"
    write_figures(tmp_path, [first, mix, measured("laya", 0, (16,))])
    assert not (tmp_path / "stability.png").exists()
    write_figures(tmp_path, [first, mix, other])
    assert (tmp_path / "stability.png").exists()


@pytest.mark.slow
def test_attention_to_strange_inputs_and_of_random_labels(explainer, digits):
    strange = Examples(
        np.random.default_rng(0).permutation(digits.inputs.ravel()).reshape(digits.inputs.shape),
        digits.labels,
    )
    other = explainer("laya", 1)
    same_seed = dataclasses.replace(other.model.config, seed=explainer().model.config.seed)
    unlike = attribute(explainer(), digits, outliers=strange, random_labels=other)
    assert list(unlike.numbers["faithfulness"]["randomization"]) == [*PARTS]
    same = Explainer(other.model._replace(config=same_seed), ONE_DEVICE)
    run = attribute(explainer(), digits, outliers=strange, random_labels=same)
    assert run.numbers["outliers"]["max_softmax"]["auroc"] > 0.5
    assert set(run.numbers["outliers"]) == set(run.numbers["mistakes"])
    assert list(run.numbers["faithfulness"]["randomization"]) == [*PARTS, "labels"]
    assert any("random labels" in finding.name for finding in findings(run.numbers))


def test_other_parameters_do_not_compile_again(explainer, digits):
    explain = explainer()
    explain(digits)
    before = explain._predictor._run._cache_size()
    explain(digits, explain.model.parameters)
    assert explain._predictor._run._cache_size() == before


@pytest.mark.parametrize("dtype", ["uint8", "float32", "int32"])
def test_noise_is_drawn_in_parts_as_it_would_be_at_once(dtype):
    inputs = np.random.default_rng(1).integers(0, 200, (300, 11, 5, 3)).astype(dtype)
    whole = np.random.default_rng(0)
    if dtype == "int32":
        expected = np.where((whole.random(inputs.shape) < NOISE) & (inputs > 0), 1, inputs)
    else:
        deviation = inputs.std() if dtype == "uint8" else inputs.std(axis=0)
        expected = inputs + NOISE * deviation * whole.normal(size=inputs.shape)
    if dtype == "uint8":
        expected = np.clip(np.round(expected), 0, 255)
    found = with_noise(inputs, unknown=1)
    assert found.dtype == inputs.dtype
    np.testing.assert_allclose(found, expected.astype(dtype), rtol=1e-5)


def test_noise_on_hidden_states_has_the_scale_of_each_layer():
    states = np.random.default_rng(1).normal(size=(2000, 2, 3)).astype("f4") * [[[1.0], [1000.0]]]
    noise = with_noise(states, unknown=0) - states
    np.testing.assert_allclose(noise.std(axis=(0, 2)), [NOISE, 1000 * NOISE], rtol=0.05)


def test_noise_on_images_takes_little_more_memory_than_they():
    images = np.random.default_rng(1).integers(0, 256, (5000, 32, 32, 3), np.uint8)
    tracemalloc.start()
    try:
        with_noise(images, unknown=0)
        assert tracemalloc.get_traced_memory()[1] < 3 * images.nbytes
    finally:
        tracemalloc.stop()


def test_sample_files_in_csv_and_npz_agree(measured, digits, tmp_path):
    run = measured()
    ids = [f"digit {row}" for row in range(len(digits.labels))]
    write_samples(tmp_path / "samples", run, ids, digits.labels)
    write_numbers(tmp_path / "numbers.json", [run], None)
    with np.load(tmp_path / "samples.npz") as file:
        arrays = dict(file)
    with (tmp_path / "samples.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == arrays["ids"].tolist() == ids
    assert [int(row["label"]) for row in rows] == arrays["labels"].tolist() == digits.labels.tolist()
    assert [int(row["predicted"]) for row in rows] == arrays["predicted"].tolist()
    for layer in (1, 2):
        column = [float(row[f"attention to h{layer}"]) for row in rows]
        np.testing.assert_allclose(column, arrays["attention"][:, layer - 1], atol=1e-6)
        column = [float(row[f"shapley value of h{layer}"]) for row in rows]
        np.testing.assert_allclose(column, arrays["shapley"][:, layer - 1], atol=1e-6)
    assert "shapley_errors" not in arrays
    assert run.numbers["faithfulness"]["shapley_error"] is None
    bias = run.explained.explanation.bias
    np.testing.assert_allclose(arrays["contributions"].sum(axis=1) + bias, arrays["logits"], atol=1e-4)
    assert json.loads((tmp_path / "numbers.json").read_text())["runs"][0] == run.numbers


@pytest.mark.slow
def test_sampled_shapley_values_say_so(explainer, digits, few, monkeypatch, tmp_path):
    monkeypatch.setattr(shapley, "EXHAUSTIVE", 2)
    some = few(digits, 20)
    run = attribute(explainer("laya", 0, (16, 12, 8)), some)
    write_samples(tmp_path / "samples", run, [str(row) for row in range(20)], some.labels)
    with np.load(tmp_path / "samples.npz") as file:
        errors = file["shapley_errors"]
        assert errors.shape == file["shapley"].shape == (20, 3)
    assert run.numbers["faithfulness"]["shapley_error"] == pytest.approx(errors.mean())
    assert any("The values were sampled" in finding.meaning for finding in findings(run.numbers))


@pytest.mark.slow
def test_figures_are_written_of_what_there_is(measured, monkeypatch, tmp_path):
    write_figures(tmp_path, [measured("concat")])
    assert list(tmp_path.iterdir()) == []
    runs = [measured(), measured("laya", 1)]
    monkeypatch.setattr(curves, "_order_curve", None)  # curves that were measured are not measured again
    write_figures(tmp_path, runs)
    names = {path.name for path in tmp_path.iterdir()}
    kinds = (
        "contribution-profile",
        "profile",
        "class-profiles",
        "contributions",
        "faithfulness",
        "stability",
    )
    assert names == {f"{name}.{suffix}" for name in kinds for suffix in ("png", "pdf")}
    assert all(path.stat().st_size > 1000 for path in tmp_path.iterdir())
