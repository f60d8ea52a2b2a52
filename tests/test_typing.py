import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError

from laya_jax import pool
from laya_jax.hidden_states import pooling


def test_results_of_another_shape_are_noticed_while_tests_run(monkeypatch):
    monkeypatch.setitem(pooling.POOLINGS, "mean", lambda tokens, mask: tokens)
    with pytest.raises(TypeCheckError, match="checking the return value"):
        pool(jnp.ones((2, 3, 4)), "mean")


def test_arrays_of_numpy_are_arrays():
    assert pool(np.ones((2, 3, 4)), "mean", np.ones((2, 3), bool)).shape == (2, 4)


def test_functions_say_themselves_what_is_wrong_with_an_argument():
    with pytest.raises(ValueError, match="mask has shape"):
        pool(np.ones((2, 3, 4)), "mean", np.ones((3, 3), bool))
