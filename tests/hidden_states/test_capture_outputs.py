"""The hidden state among what a layer returns."""

from collections.abc import Callable
from typing import Any

import flax
import flax.linen as nn
import jax
import numpy as np
import pytest
from small_layers import IMAGES, TOKENS, initialised

from laya_jax import capture, layer_names


class Returning(nn.Module):
    """A layer that returns something else than an array."""

    wrap: Callable

    @nn.compact
    def __call__(self, x):
        wrap = self.wrap

        class Layer(nn.Module):
            @nn.compact
            def __call__(self, x):
                return wrap(nn.Dense(8)(x))

        return Layer(name="layer")(x)


@flax.struct.dataclass
class Output:
    x: Any
    cache: Any = None


ATTENTION = np.ones((4, 5, 5), "float32")
CACHE = {"k": np.ones((4, 9, 2, 4), "float32"), "v": np.ones((4, 9, 2, 4), "float32")}


@pytest.mark.parametrize(
    ("wrap", "output"),
    [
        (lambda x: (x,), None),
        (lambda x: (x, "attention"), None),
        (lambda x: (None, x), None),
        (lambda x: {"x": x, "loss": x.sum()}, None),
        (lambda x: (np.ones((4, 1, 5, 5), bool), np.ones((4, 5), int), x), None),
        (lambda x: Output(x), None),
        (lambda x: (ATTENTION, x), 1),
        (lambda x: (ATTENTION, x), -1),
        (lambda x: (CACHE, x), 1),
        (lambda x: {"attention": ATTENTION, "x": x}, "x"),
        (lambda x: Output(x, ATTENTION), "x"),
        (lambda x: (ATTENTION, (x,)), lambda returned: returned[1][0]),
        (lambda x: x, 1),
    ],
)
@pytest.mark.parametrize("jit", [False, True])
def test_the_hidden_state_among_what_a_layer_returns(wrap, output, jit):
    model, variables = initialised(Returning(wrap), TOKENS)

    def states(tokens):
        return capture(model, variables, tokens, layers="layer", output=output)

    assert "layer" in layer_names(model, variables, TOKENS)
    (state,) = (jax.jit(states) if jit else states)(TOKENS)
    expected = nn.Dense(8).apply({"params": variables["params"]["layer"]["Dense_0"]}, TOKENS)
    np.testing.assert_allclose(state, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("wrap", "output", "message"),
    [
        (
            lambda x: (ATTENTION, x),
            None,
            r"layer 'layer' returns \(float32\[4,5,5\], float32\[4,5,8\]\).* output=0, output=1, or",
        ),
        (lambda x: Output(x, ATTENTION), None, r"Output\(x=float32\[4,5,8\], .* output='x', output='cache'"),
        (lambda x: (CACHE, x), None, r"\(\{'k': float32\[4,9,2,4\], .* which of these is the hidden state"),
        (lambda x: (x.astype("int8"), x[:, :, :1]), None, r"\(int8\[4,5,8\], float32\[4,5,1\]\), and which"),
        (lambda x: (x, x), 2, r"nothing at output=2; expected output=0, output=1, or"),
        (lambda x: {"x": x}, "y", r"nothing at output='y'; expected output='x', or"),
        (lambda x: (x, None), 1, r"\(output=1\), in which there is no array"),
        (lambda x: None, None, "layer 'layer' returns None, in which there is no array"),
        (lambda x: (x,), lambda returned: returned["x"], "for which output raises TypeError"),
    ],
)
def test_a_layer_that_is_there_says_what_it_returns(wrap, output, message):
    model, variables = initialised(Returning(wrap), TOKENS)
    with pytest.raises(ValueError, match=message):
        capture(model, variables, TOKENS, layers="layer", output=output)


@pytest.mark.parametrize("output", [True, 1.5, [0], ()])
def test_output_is_an_index_a_key_or_a_function(output):
    with pytest.raises(TypeError, match=r"output is .*, expected an index, a key, a function or None"):
        capture(*initialised(nn.Sequential([nn.Dense(3)]), IMAGES), IMAGES, layers="*", output=output)
