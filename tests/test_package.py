import importlib.metadata
import subprocess
import sys

import pytest

import laya_jax

HEAVY = ("tensorflow", "torch", "tensorflow_datasets", "matplotlib", "sklearn", "flax.nnx")


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_importing_the_package_is_light():
    code = f"""
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name in {HEAVY!r}:
            raise ImportError(name + " must not be imported")

sys.meta_path.insert(0, Blocked())
import laya_jax, laya_jax.backbones, laya_jax.interop
from laya_jax import *
print(sorted(set({HEAVY!r}) & set(sys.modules)))
"""
    result = run(code)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"


def test_the_heads_work_where_jaxtyping_is_not_installed():
    code = """
import sys
sys.modules["jaxtyping"] = None
import jax, jax.numpy as jnp, laya_jax
output, _ = laya_jax.LayaHead(num_classes=2, dim=3).init_with_output(jax.random.key(0), [jnp.ones((1, 4))])
print(output.logits.shape)
"""
    result = run(code)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "(1, 2)"


def test_the_public_names_are_there():
    for name in laya_jax.__all__:
        assert getattr(laya_jax, name).__doc__
    from laya_jax import backbones
    from laya_jax import nnx as laya_nnx

    for name in ("LayaHead", "LastLayerHead", "ConcatHead", "ScalarMixHead"):
        assert getattr(laya_nnx, name).__name__ == getattr(laya_jax, name).__name__ == name
    for name in ("MLP", "SeparableCNN", "BiLSTM"):
        assert getattr(backbones, name).__doc__


def test_the_version_is_that_of_the_distribution():
    assert laya_jax.__version__ == importlib.metadata.version("laya-jax")


def test_a_function_is_not_hidden_by_a_module_of_its_name():
    code = """
import pkgutil, importlib, laya_jax
for module in pkgutil.iter_modules(laya_jax.__path__):
    if module.name != "__main__":
        importlib.import_module(f"laya_jax.{module.name}")
print([name for name in laya_jax.__all__ if not callable(getattr(laya_jax, name))])
"""
    result = run(code)
    assert (result.returncode, result.stdout.strip()) == (0, "[]"), result.stderr


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'LayerHead'"):
        laya_jax.LayerHead  # noqa: B018
