import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from laya_jax import LayaHead
from laya_jax.data.batches import batch_indices
from laya_jax.engine.engine import Engine
from laya_jax.engine.parallel import ParallelConfig
from laya_jax.engine.steps import example_losses
from laya_jax.heads.functional import HeadOutput
from laya_jax.training import LossConfig

ONE_DEVICE = ParallelConfig(devices=1)


def output(logits, attention=None):
    attention = None if attention is None else jnp.array(attention)
    return HeadOutput(jnp.array(logits), attention, None, jnp.zeros((len(logits), 1)))


def run(config, dataset, steps, parallel=ONE_DEVICE, seeds=(), **options):
    engine = Engine(config, dataset, parallel, seeds, **options)
    chunks = list(engine.train(engine.place(engine.initial()), 0, steps))
    return engine, chunks[-1][0], np.concatenate([metrics.loss for _, metrics in chunks], axis=1)


def test_label_smoothing_is_the_closed_form():
    logits = np.log([[0.7, 0.2, 0.1]])
    smoothed = example_losses(output(logits), jnp.array([0]), LossConfig(label_smoothing=0.3))
    expected = -(0.8 * np.log(0.7) + 0.1 * np.log(0.2) + 0.1 * np.log(0.1))
    assert float(smoothed[0]) == pytest.approx(expected, rel=1e-5)


def test_the_regulariser_subtracts_the_entropy_of_attention():
    head_output = output([[0.0, 0.0]], [[0.25, 0.75, 0.0]])
    entropy = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    loss = example_losses(head_output, jnp.array([1]), LossConfig(attention_entropy=2.0))
    assert float(loss[0]) == pytest.approx(np.log(2) - 2 * entropy, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{"layer_mask": (True, False, True)}, {"temperature": 1e-3}])
def test_the_regulariser_of_a_layer_without_attention_has_a_gradient(settings, make_hidden_states):
    head, hidden_states = LayaHead(num_classes=2, dim=4, **settings), make_hidden_states((6, 5, 4))
    variables = head.init(jax.random.key(0), hidden_states)

    def loss(variables):
        output = head.apply(variables, hidden_states)
        return example_losses(output, jnp.array([0, 1, 1, 0]), LossConfig(attention_entropy=0.1)).mean()

    assert float(head.apply(variables, hidden_states).attention.min()) == 0
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(jax.grad(loss)(variables)))


@pytest.mark.slow
@pytest.mark.parametrize(("weight", "deeper"), [(1.0, True), (-1.0, False)])
def test_the_regulariser_spreads_or_sharpens_attention(tiny_config, blobs, weight, deeper):
    plain, regularised = (
        dataclasses.replace(tiny_config, loss=LossConfig(attention_entropy=weight))
        for weight in (0.0, weight)
    )
    entropies = []
    for config in (plain, regularised):
        engine, placed, _ = run(config, blobs, 60)
        attention = engine.outputs(placed, "test")[0].attention
        entropies.append(float(jax.scipy.special.entr(attention).sum(axis=1).mean()))
    assert (entropies[1] > entropies[0]) == deeper


@pytest.mark.slow
def test_the_last_batch_of_an_epoch_counts_only_its_own_examples(tiny_config, blobs):
    # 100 examples in batches of 16: the seventh batch holds four.
    engine, placed, losses = run(tiny_config, blobs, 7)
    first = engine.initial()[0]
    rows = batch_indices(100, 16, tiny_config.seed, 0, 7)
    assert (rows[6] >= 0).sum() == 4
    for step in range(7):
        batch = rows[step][rows[step] >= 0]
        inputs = blobs.preprocessing(jnp.asarray(blobs.train.inputs[batch]))

        def loss(parameters, inputs=inputs, labels=blobs.train.labels[batch]):
            logits = engine.classifier.apply({"params": parameters}, inputs).logits
            return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(len(labels)), labels])

        value, gradient = jax.value_and_grad(loss)(first.parameters)
        assert float(value) == pytest.approx(losses[0, step], rel=1e-5)
        updates, optimizer_state = engine.optimizer.update(gradient, first.optimizer_state, first.parameters)
        parameters = jax.tree.map(lambda parameter, update: parameter + update, first.parameters, updates)
        first = dataclasses.replace(first, parameters=parameters, optimizer_state=optimizer_state)
    trained = engine.fetch(placed)[0].parameters
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), trained, first.parameters)


def test_chunks_of_any_length_and_further_epochs_do_not_compile_again(tiny_config, blobs):
    engine = Engine(tiny_config, blobs, ONE_DEVICE)
    placed = engine.place(engine.initial())
    for steps in (50, 3, 57, 1):
        placed = list(engine.train(placed, 0, steps))[-1][0]
        engine.outputs(placed, "validation")
        engine.outputs(placed, "test")
    assert engine._train._cache_size() == 1
    # Validation and test differ in their number of examples, which a compiled gather depends on.
    assert engine._predictors[False]._run._cache_size() == 2


@pytest.mark.slow
def test_a_run_depends_on_its_seed_alone(tiny_config, blobs):
    (_, _, first), (_, _, again), (_, _, other) = (
        run(dataclasses.replace(tiny_config, seed=seed), blobs, 20) for seed in (3, 3, 4)
    )
    assert (first == again).all()
    assert (first != other).all()


@pytest.mark.slow
def test_half_precision_trains_with_parameters_in_full(tiny_config, blobs):
    engine, placed, losses = run(dataclasses.replace(tiny_config, dtype="bfloat16"), blobs, 100)
    assert {leaf.dtype for leaf in jax.tree.leaves(engine.fetch(placed)[0].parameters)} == {
        np.dtype("float32")
    }
    assert losses[0, -10:].mean() < 0.7 * losses[0, :10].mean()
    assert engine.outputs(placed, "test")[0].logits.dtype == np.float32


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["laya", "last_layer", "concat", "scalar_mix"])
def test_every_head_trains_and_says_how_faithful_its_attention_is(with_head, blobs, kind):
    engine, placed, losses = run(with_head(kind=kind), blobs, 60)
    assert losses[0, -10:].mean() < losses[0, :10].mean()
    outputs = engine.outputs(placed, "test", explain=True)[0]
    assert outputs.logits.shape == (30, 3)
    weighs_layers = kind in ("laya", "scalar_mix")
    assert (outputs.attention is not None) == weighs_layers
    assert (outputs.flips is not None) == weighs_layers


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [(), (0, 1)])
def test_microbatches_add_up_to_the_batch(tiny_config, blobs, seeds):
    # 7 steps: the last batch of an epoch is not full.
    whole = run(tiny_config, blobs, 7, seeds=seeds)
    parts = run(tiny_config, blobs, 7, ParallelConfig(devices=1, microbatches=4), seeds=seeds)
    np.testing.assert_allclose(parts[2], whole[2], rtol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), parts[1].parameters, whole[1].parameters
    )


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["jit", "pmap"])
def test_microbatches_on_several_devices(tiny_config, blobs, parallel):
    _, _, whole = run(tiny_config, blobs, 7)
    several = ParallelConfig(devices=4, parallel=parallel, microbatches=2)
    _, _, parts = run(tiny_config, blobs, 7, several)
    np.testing.assert_allclose(parts, whole, rtol=1e-5)


def test_microbatches_have_to_divide_the_batch(tiny_config, blobs):
    with pytest.raises(ValueError, match="microbatches is 3, expected a divisor of 16, the number"):
        Engine(tiny_config, blobs, ParallelConfig(devices=1, microbatches=3))
