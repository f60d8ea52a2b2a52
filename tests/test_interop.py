import json
import math
import re
from pathlib import Path

import jax
import numpy as np
import pytest

from laya_jax.interop import from_keras

GOLDEN = sorted((Path(__file__).parent / "golden").glob("mlp_laya_*.npz"))
ERF = np.vectorize(math.erf)


def golden_weights(path):
    with np.load(path) as arrays:
        data = dict(arrays)
    weights = {name[7:]: value for name, value in data.items() if name.startswith("weight:")}
    return weights, data, json.loads(str(data["config"]))


def keras_weights(widths, dim, scorer_width, num_classes, features, psi, seed=0):
    """Weights of a notebook model, drawn at random."""
    draw = np.random.default_rng(seed)
    weights = {}

    def dense(name, inputs, outputs):
        weights[f"{name}/kernel"] = draw.normal(size=(inputs, outputs)) / math.sqrt(inputs)
        weights[f"{name}/bias"] = 0.3 * draw.normal(size=outputs)

    below = features
    for i, width in enumerate(widths, start=1):
        dense(f"dense_{i}", below, width)
        weights[f"ln_{i}/gamma"] = 1 + 0.3 * draw.normal(size=width)
        weights[f"ln_{i}/beta"] = 0.3 * draw.normal(size=width)
        dense(f"LAYAHead/g{i}_proj", width, dim)
        below = width
    for i in (1, 2) if psi == "mlp" else ():
        dense(f"LAYAHead/psi/psi_mlp{i}", dim, dim)
    dense("LAYAHead/scorer/score_mlp1", len(widths) * dim, scorer_width)
    dense("LAYAHead/scorer/score_logits", scorer_width, len(widths))
    dense("LAYAHead/clf", dim, num_classes)
    return {name: array.astype("float32") for name, array in weights.items()}


def notebook_model(weights, x, temperature):
    """The notebook's forward pass in NumPy and double precision."""

    def dense(name, x):
        return x @ weights[f"{name}/kernel"].astype("float64") + weights[f"{name}/bias"]

    def gelu(x):
        return x * (1 + ERF(x / math.sqrt(2))) / 2

    def softmax(x):
        return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)

    x, hidden, z = np.asarray(x, np.float64), [], []
    depth = sum(name.startswith("dense_") for name in weights) // 2
    for i in range(1, depth + 1):
        x = dense(f"dense_{i}", x)
        x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-3)
        x = gelu(x * weights[f"ln_{i}/gamma"] + weights[f"ln_{i}/beta"])
        hidden.append(x)
        z.append(dense(f"LAYAHead/g{i}_proj", x))
    u = z
    if "LAYAHead/psi/psi_mlp1/kernel" in weights:
        u = [gelu(dense("LAYAHead/psi/psi_mlp2", gelu(dense("LAYAHead/psi/psi_mlp1", each)))) for each in z]
    scores = dense(
        "LAYAHead/scorer/score_logits", gelu(dense("LAYAHead/scorer/score_mlp1", np.concatenate(u, 1)))
    )
    attention = softmax(scores / temperature)
    mixed = sum(attention[:, [i]] * each for i, each in enumerate(z))
    return softmax(dense("LAYAHead/clf", mixed)), attention, hidden


@pytest.mark.slow
@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
@pytest.mark.parametrize("jit", [False, True])
def test_parity_with_the_original_keras_model(path, jit):
    weights, data, config = golden_weights(path)
    classifier, parameters = from_keras(weights, temperature=config["tau"])
    variables = {"params": parameters}
    apply = jax.jit(classifier.apply, static_argnames="method") if jit else classifier.apply
    output = apply(variables, data["x"])
    np.testing.assert_allclose(jax.nn.softmax(output.logits), data["probs"], atol=1e-5)
    np.testing.assert_allclose(output.attention, data["alphas"], atol=1e-5)
    states = apply(variables, data["x"], method="hidden_states")
    assert len(states) == len(config["hidden_sizes"])
    for i, state in enumerate(states, start=1):
        np.testing.assert_allclose(state, data[f"hidden_{i}"], atol=1e-5)


def test_both_golden_files_are_there():
    assert [path.stem for path in GOLDEN] == ["mlp_laya_identity", "mlp_laya_psi_mlp"]


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_the_numpy_oracle_is_the_original_model(path):
    weights, data, config = golden_weights(path)
    probabilities, attention, _ = notebook_model(weights, data["x"], config["tau"])
    np.testing.assert_allclose(probabilities, data["probs"], atol=1e-6)
    np.testing.assert_allclose(attention, data["alphas"], atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("psi", ["identity", "mlp"])
@pytest.mark.parametrize(
    ("widths", "temperature"),
    [((9,), 1.0), ((30, 20, 10, 40, 5), 0.05), (tuple(range(24, 12, -1)), 1.3), ((512, 256, 128), 4.0)],
)
def test_parity_at_other_widths_depths_and_temperatures(psi, widths, temperature):
    weights = keras_weights(widths, dim=8, scorer_width=11, num_classes=4, features=13, psi=psi)
    x = np.random.default_rng(1).normal(size=(32, 13)).astype("float32")
    classifier, parameters = from_keras(weights, temperature)
    assert classifier.head.psi == psi
    output = jax.jit(classifier.apply)({"params": parameters}, x)
    probabilities, attention, hidden = notebook_model(weights, x, temperature)
    np.testing.assert_allclose(jax.nn.softmax(output.logits), probabilities, atol=1e-5)
    np.testing.assert_allclose(output.attention, attention, atol=1e-5)
    states = classifier.apply({"params": parameters}, x, method="hidden_states")
    for state, expected in zip(states, hidden, strict=True):
        np.testing.assert_allclose(state, expected, atol=1e-5)


WEIGHTS = keras_weights((6, 5), dim=4, scorer_width=7, num_classes=3, features=8, psi="mlp")
# Any number of features, which the first axis of dense_1/kernel alone tells, would be right.
SIZES = [(name, axis) for name in WEIGHTS for axis in (0, -1) if (name, axis) != ("dense_1/kernel", 0)]


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_missing_weight_is_named(name):
    with pytest.raises(ValueError, match=f"weights lack .*{name}"):
        from_keras({key: value for key, value in WEIGHTS.items() if key != name}, 1.0)


@pytest.mark.parametrize(("name", "axis"), SIZES)
def test_a_weight_of_the_wrong_size_is_named(name, axis):
    smaller = np.delete(WEIGHTS[name], 0, axis=axis)
    with pytest.raises(ValueError, match=rf"disagree .* {smaller.shape[axis]} by (.*, \d+ by )?{name}"):
        from_keras({**WEIGHTS, name: smaller}, 1.0)


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_weight_of_the_wrong_rank_is_named(name):
    with pytest.raises(ValueError, match=re.escape(f"weights[{name!r}] has shape")):
        from_keras({**WEIGHTS, name: WEIGHTS[name][None]}, 1.0)


@pytest.mark.parametrize("name", ["dense_3/kernel", "LAYAHead/g3_proj/bias", "ln_0/gamma", "optimizer/step"])
def test_a_weight_too_many_is_named(name):
    with pytest.raises(ValueError, match=f"weights hold {name}, which the notebook's model does not have"):
        from_keras({**WEIGHTS, name: np.ones((5, 5), "float32")}, 1.0)


def test_a_missing_layer_and_foreign_names_are_told_together():
    rest = {name: value for name, value in WEIGHTS.items() if not re.match("dense_2|ln_2", name)}
    with pytest.raises(ValueError, match=r"lack dense_2/kernel, dense_2/bias, ln_2/gamma, ln_2/beta$"):
        from_keras(rest, 1.0)
    prefixed = {f"weight:{name}": value for name, value in WEIGHTS.items()}
    with pytest.raises(ValueError, match=r"weights lack dense_1/kernel.*; they hold weight:dense_1/kernel"):
        from_keras(prefixed, 1.0)


def test_other_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="temperature is 0"):
        from_keras(WEIGHTS, temperature=0)
    with pytest.raises(TypeError, match="weights is a list"):
        from_keras(list(WEIGHTS), temperature=1.0)
    with pytest.raises(TypeError, match=r"weights\['dense_1/bias'\] has dtype int64"):
        from_keras({**WEIGHTS, "dense_1/bias": np.zeros(6, "int64")}, temperature=1.0)
    with pytest.raises(ValueError, match="weights lack dense_1/kernel"):
        from_keras({}, temperature=1.0)
    with pytest.raises(TypeError, match="weights has the key 1"):
        from_keras({**WEIGHTS, 1: WEIGHTS["dense_1/bias"]}, temperature=1.0)
