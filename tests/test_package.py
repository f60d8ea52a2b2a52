import ast
import importlib
import importlib.metadata
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import laya_jax

HEAVY = ("tensorflow", "torch", "tensorflow_datasets", "matplotlib", "sklearn", "flax.nnx")


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_importing_the_package_is_light_and_training_imports_nothing_that_only_reports_need():
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
sys.meta_path.pop(0)
import laya_jax.training
print([name for name in ("matplotlib", "scipy.stats") if name in sys.modules])
"""
    result = run(code)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["[]", "[]"]


@pytest.mark.slow
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


@pytest.mark.slow
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


PACKAGE = Path(laya_jax.__file__).parent
PACKAGES = sorted(path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists())


def imports(path):
    """The modules that a file imports from this library."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("laya_jax."):
            yield node.module
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("laya_jax."))


def is_package(module):
    return (PACKAGE.parent / module.replace(".", "/") / "__init__.py").exists()


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_outside_a_package_imports_past_its_face(package):
    files = [path for path in PACKAGE.rglob("*.py") if package not in path.relative_to(PACKAGE).parts]
    past = {
        f"{path.relative_to(PACKAGE)}: {module}"
        for path in files
        for module in imports(path)
        if module.startswith(f"laya_jax.{package}.") and package != "cli" and not is_package(module)
    }
    assert not past


@pytest.mark.parametrize("package", [name for name in PACKAGES if name not in ("cli",)])
def test_no_module_is_shadowed_by_what_its_package_exports(package):
    face = importlib.import_module(f"laya_jax.{package}")
    modules = {path.stem for path in (PACKAGE / package).glob("*.py")} - {"__init__"}
    assert not {name for name in modules if not inspect.ismodule(getattr(face, name, inspect))}


@pytest.mark.slow
def test_sub_packages_are_attributes_of_the_package():
    code = "import laya_jax; print(laya_jax.training.start.__name__, laya_jax.attribution.explain.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["start", "explain"]
