"""Checks that say what to pass where ``capture`` got another kind of model, or parameters by themselves."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import flax.linen as nn
from flax.errors import FlaxError

_ORIGINS = {"flax.linen": "Linen", "flax.nnx": "NNX", "equinox": "Equinox", "haiku": "Haiku"}


def check_linen(model: Any) -> None:
    """Raises unless it is a Linen module, and says what to pass.

    >>> check_linen(nn.Dense)
    Traceback (most recent call last):
      ...
    TypeError: model is the class Dense, expected a Linen module, such as Dense(...)
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is {_described(model)}, expected a Linen module{_advice(model)}")


def check_nnx(model: Any) -> None:
    """Raises unless it is an NNX module, and says what to pass.

    >>> check_nnx(nn.Dense(3))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
      ...
    TypeError: model is a Linen module (Dense), expected an NNX module; laya_jax.capture(model, ...
    """
    if _origin(model) != "NNX" or isinstance(model, type) or not hasattr(model, "sow"):
        raise TypeError(f"model is {_described(model)}, expected an NNX module{_advice(model)}")


def check_variables(variables: Any) -> None:
    """Raises unless it is a mapping, and says what to pass.

    >>> check_variables(None)
    Traceback (most recent call last):
      ...
    TypeError: variables is a NoneType, expected {"params": ...} as model.init returns it
    """
    if not isinstance(variables, Mapping):
        bare = ': {"params": variables.params}' if hasattr(variables, "params") else ""
        raise TypeError(
            f'variables is a {_name(variables)}, expected {{"params": ...}} as model.init returns it{bare}'
        )


@contextmanager
def saying_what_variables_lack(variables: Mapping[str, Any]) -> Iterator[None]:
    """Turns Flax's complaint about variables without "params" into what to pass."""
    try:
        yield
    except FlaxError as error:
        params = variables.get("params", {})
        if "params" not in variables:
            keys = ", ".join(map(str, list(variables)[:5])) or "nothing"
            raise ValueError(
                f'variables holds {keys}, expected "params" among it; if these are the parameters, '
                'pass {"params": variables}'
            ) from error
        if isinstance(params, Mapping) and "params" in params:
            raise ValueError(
                'variables["params"] holds "params" again, expected variables["params"] in its place'
            ) from error
        raise


def _described(model: Any) -> str:
    if isinstance(model, type):
        return f"the class {model.__name__}"
    origin = _origin(model)
    return (
        f"{'an' if origin[:1] in 'EN' else 'a'} {origin} module ({_name(model)})"
        if origin
        else f"a {_name(model)}"
    )


def _advice(model: Any) -> str:
    origin = _origin(model)
    if isinstance(model, type):
        return f", such as {model.__name__}(...)"
    if isinstance(getattr(model, "module", None), nn.Module):
        return '; pass its .module to laya_jax.capture, with {"params": model.params} as variables'
    if isinstance(getattr(model, "__self__", None), nn.Module):
        return "; pass the module, not its method"
    if origin == "Linen":
        return "; laya_jax.capture(model, variables, inputs, layers=...) takes Linen modules"
    if origin == "NNX":
        return "; laya_jax.nnx.capture(model, inputs, layers=...) takes NNX modules"
    if origin:
        return f"; {origin} modules are not captured: let the model return its hidden states, for any head"
    return ""


def _origin(model: Any) -> str:
    """Library that a model's class comes from, told by name, so that none has to be imported."""
    modules = [base.__module__ for base in type(model).__mro__]
    return next(
        (name for origin, name in _ORIGINS.items() if any(m.split(origin)[0] == "" for m in modules)), ""
    )


def _name(value: Any) -> str:
    return type(value).__name__
