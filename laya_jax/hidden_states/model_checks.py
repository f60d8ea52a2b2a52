"""Checks of the model and variables passed to ``capture``, with messages that say what to pass instead."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import flax.linen as nn
from flax.errors import FlaxError

from laya_jax.hidden_states.returned import describe

# Identified by the module name of a class, so that no library has to be imported.
_KINDS = {"flax.linen.module": "a Linen", "flax.nnx.module": "an NNX", "equinox": "an Equinox"}
_ADVICE = {
    "a Linen": "laya_jax.capture(model, variables, inputs, layers=...) takes those",
    "an NNX": "laya_jax.nnx.capture(model, inputs, layers=...) takes those",
    "an Equinox": "let it return its hidden states itself, the heads take any arrays",
}


def check_linen(model: object) -> None:
    """Checks that a model is a Linen module.

    >>> check_linen(nn.Dense)
    Traceback (most recent call last):
      ...
    TypeError: model is the class Dense, expected a Linen module, such as Dense(...)
    """
    _check(model, "a Linen")


def check_nnx(model: object) -> None:
    """Checks that a model is an NNX module.

    >>> check_nnx(nn.Dense(3))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
      ...
    TypeError: model is a Linen module (Dense), expected an NNX module; laya_jax.capture(...
    """
    _check(model, "an NNX")


def _check(model: object, expected: str) -> None:
    name = type(model).__name__
    kind = _kind(model)
    if isinstance(model, type):
        raise TypeError(
            f"model is the class {model.__name__}, expected {expected} module, such as {model.__name__}(...)"
        )
    if kind != expected:
        described = f"{kind} module ({name})" if kind else f"of type {name}"
        raise TypeError(f"model is {described}, expected {expected} module{_advice(model, kind)}")


def check_variables(variables: object) -> None:
    """Checks that variables are a mapping.

    >>> check_variables(jnp.ones(2))
    Traceback (most recent call last):
      ...
    TypeError: variables is float32[2], expected {"params": ...} as model.init returns it
    """
    if isinstance(variables, Mapping):
        return
    if hasattr(variables, "params"):
        raise TypeError(f'variables is a {type(variables).__name__}, expected {{"params": variables.params}}')
    raise TypeError(
        f'variables is {describe(variables)}, expected {{"params": ...}} as model.init returns it'
    )


@contextmanager
def saying_what_variables_lack(variables: Mapping[str, object]) -> Iterator[None]:
    """Replaces Flax's error about variables without "params" by one that says what to pass."""
    try:
        yield
    except FlaxError as error:
        if "params" not in variables:
            keys = ", ".join(map(str, list(variables)[:5])) or "nothing"
            raise ValueError(
                f'variables holds {keys}, expected "params" among it; if these are the parameters, '
                'pass {"params": variables}'
            ) from error
        params = variables["params"]
        if isinstance(params, Mapping) and "params" in params:
            raise ValueError(
                'variables["params"] holds "params" again, expected variables["params"] in its place'
            ) from error
        raise


def _kind(model: object) -> str:
    modules = [f"{base.__module__}." for base in type(model).__mro__]
    found = (kind for origin, kind in _KINDS.items() for module in modules if module.startswith(f"{origin}."))
    return next(found, "")


def _advice(model: object, kind: str) -> str:
    if isinstance(getattr(model, "module", None), nn.Module):
        params = "model.params" if "params" in getattr(model, "params", {}) else '{"params": model.params}'
        return f"; pass its .module to laya_jax.capture, with {params} as variables"
    if isinstance(getattr(model, "__self__", None), nn.Module):
        return "; pass the module, not its method"
    if type(model).__name__ in ("GraphDef", "State"):
        return "; nnx.merge(graphdef, state) makes one"
    return f"; {_ADVICE[kind]}" if kind else ""
