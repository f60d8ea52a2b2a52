from collections.abc import Callable, Sequence

import jax
import pytest

MakeHiddenStates = Callable[..., tuple[jax.Array, ...]]


@pytest.fixture
def make_hidden_states() -> MakeHiddenStates:
    def make(widths: Sequence[int], batch: int = 4, seed: int = 0, dtype: str = "float32"):
        keys = jax.random.split(jax.random.key(seed), len(widths))
        return tuple(
            jax.random.normal(key, (batch, width), dtype) for key, width in zip(keys, widths, strict=True)
        )

    return make
