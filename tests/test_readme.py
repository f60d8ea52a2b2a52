"""Runs the README's Python blocks, in order, on an existing Linen model and an existing NNX model."""

import re
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", README, re.DOTALL)


class Model(nn.Module):
    """Stands for any model: 12 blocks over tokens, and its own output layer."""

    @nn.compact
    def __call__(self, images):
        x = images.reshape(len(images), 16, -1)
        x = nn.Dense(24, name="embed")(x)
        for i in range(12):
            x = x + nn.Dense(24, name=f"block_{i}")(nn.gelu(nn.LayerNorm(name=f"norm_{i}")(x)))
        return nn.Dense(10, name="classifier")(x.mean(axis=1))


class NNXModel(nnx.Module):
    def __init__(self, rngs):
        self.embed = nnx.Linear(4, 24, rngs=rngs)
        self.blocks = nnx.List([nnx.Linear(24, 24, rngs=rngs) for _ in range(12)])

    def __call__(self, images):
        x = self.embed(images.reshape(len(images), 16, -1))
        for block in self.blocks:
            x = nnx.gelu(block(x))
        return x.mean(axis=1)


def test_the_blocks_of_the_readme_run_and_print_what_it_says(capsys):
    images = jax.random.normal(jax.random.key(0), (32, 8, 8))
    names = {
        "model": Model(),
        "nnx_model": NNXModel(nnx.Rngs(0)),
        "images": images,
        "labels": jnp.arange(32) % 10,
    }
    names["variables"] = names["model"].init(jax.random.key(1), images)
    values = []
    assert len(BLOCKS) == 5
    for code, printed in BLOCKS:
        exec(code, names)
        values.append((names["output"], names.get("value")))
        if printed:
            assert capsys.readouterr().out == printed

    first = values[0][0]
    assert first.logits.shape == (32, 10)
    assert first.attention.shape == (32, 12)
    bias = names["head_variables"]["params"]["classifier"]["bias"]
    assert first.contributions.shape == (32, 12, 10)
    assert jnp.allclose(first.contributions.sum(axis=1), first.logits, atol=1e-5)
    assert bias.any()
    curves = names["curves"]
    assert names["shapley"].values.shape == (32, 12, 10)
    assert curves.full > curves.random.only[0]
    assert float(values[1][1]) < 1.5 < jnp.log(10.0)


def test_the_first_screen_puts_laya_on_a_model_in_five_lines():
    code = [line for line in BLOCKS[0][0].splitlines() if line and line != "import jax"]
    assert len(code) == 5
    assert README.index(code[0]) < 1500
