from collections.abc import Callable, Sequence

import jax
import pytest

MakeHiddenStates = Callable[..., tuple[jax.Array, ...]]


@pytest.fixture(scope="session", autouse=True)
def shared_compilations(tmp_path_factory):
    """What one test has compiled, no other has to, in whatever process."""
    before = jax.config.jax_compilation_cache_dir
    folder = tmp_path_factory.getbasetemp().parent / "compilations"
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    yield folder
    jax.config.update("jax_compilation_cache_dir", before)


@pytest.fixture
def make_hidden_states() -> MakeHiddenStates:
    def make(widths: Sequence[int], batch: int = 4, seed: int = 0, dtype: str = "float32"):
        keys = jax.random.split(jax.random.key(seed), len(widths))
        return tuple(
            jax.random.normal(key, (batch, width), dtype) for key, width in zip(keys, widths, strict=True)
        )

    return make
