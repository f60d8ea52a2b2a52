"""Recording of the calls of layers in a Linen model, through its intermediates."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, TypeVar, cast

import flax.linen as nn
import jax
from flax.core import Scope, freeze
from flax.linen.module import InterceptorContext
from flax.traverse_util import flatten_dict

from laya_jax.hidden_states.layer_calls import MEMBERS, Call, Reduction, Stored, taken
from laya_jax.hidden_states.returned import Output
from laya_jax.typing import Parameters

T = TypeVar("T")


class Recorder:
    """Records every call of a layer while a model runs, and every value that a layer sows or perturbs.

    Args:
      parameters: Parameters of the whole model.
      wanted: Predicate on a layer's name and method name, True for calls to record.
      output: Selection among the arrays that a layer returns.
      key: Name under which to store values; empty to store nothing.
      advice: Problem of a layer that cannot store values.

    Attributes:
      calls: Recorded calls, in order.
    """

    def __init__(
        self,
        parameters: Parameters,
        wanted: Callable[[str, str], bool],
        output: Output,
        key: str,
        advice: str,
    ):
        self.calls: list[Call] = []
        self._parameters, self._wanted, self._output = parameters, wanted, output
        self._key, self._advice = key, advice
        self._running: list[_Running] = []

    def intercept(
        self,
        method: Callable[..., T],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        context: InterceptorContext,
    ) -> T:
        """Runs a method of a module; an interceptor for ``nn.intercept_methods``."""
        module, name = context.module, context.method_name
        # nn.jit includes the flags in its cache key, so this key forces a new trace, also inside transforms.
        scope = _scope(module)
        scope.flags = freeze({**scope.flags, "laya_jax": self._key})
        if name == "setup":
            return method(*args, **kwargs)
        running = _Running(module.path, self._mapped(module))
        with self._seeing_sown(module, running):
            if not _is_method(module, name, cast(partial, context.orig_method).func):
                return method(*args, **kwargs)
            caller = self._running[-1].path if self._running else None
            self._running.append(running)
            try:
                returned = method(*args, **kwargs)
            finally:
                self._running.pop()
        # A layer's calls of its own methods, such as super().__call__, do not count.
        if module.path and module.path != caller:
            method_name = "" if name == "__call__" else name
            self._record(module, running, module.path, method_name, returned, (args, kwargs))
        return returned

    def stored(self, state: Parameters) -> dict[str, list[Stored]]:
        """Returns the stored values by name, from the state that the model returned."""
        own = f"{self._key}:"
        stored = {}
        for path, values in flatten_dict(state.get("intermediates", {})).items():
            if path[-1].startswith(own):
                layer, label = "/".join(path[:-1]), path[-1].removeprefix(own)
                method = label[1:] if label.startswith(".") else ""
                name = f"{layer}{label}".removeprefix("/")
                if self._wanted(layer if method else name, method):
                    stored[name] = list(values)
        return stored

    @contextmanager
    def _seeing_sown(self, module: nn.Module, running: "_Running") -> Iterator[None]:
        """Observes the values that a module sows, through attributes of this temporary instance."""
        if "sow" in vars(module):
            yield
            return

        def sow(col: str, name: str, value: object, *args: Any, **kwargs: Any) -> bool:
            self._record(module, running, (*module.path, name), "", value, (), *args, **kwargs)
            return type(module).sow(module, col, name, value, *args, **kwargs)

        def perturb(name: str, value: object, *args: Any, **kwargs: Any) -> object:
            perturbed = type(module).perturb(module, name, value, *args, **kwargs)
            self._record(module, running, (*module.path, name), "", perturbed)
            return perturbed

        object.__setattr__(module, "sow", sow)
        object.__setattr__(module, "perturb", perturb)
        try:
            yield
        finally:
            object.__delattr__(module, "sow")
            object.__delattr__(module, "perturb")

    def _record(
        self,
        module: nn.Module,
        running: "_Running",
        path: tuple[str, ...],
        method: str,
        returned: object,
        arguments: object = (),
        *reduction: Any,
        **reductions: Any,
    ) -> None:
        layer = "/".join(path)
        wanted = self._wanted(layer, method)
        if not wanted and not _may_share_trace(module):
            return
        output, array = taken(layer, method, returned, self._output, arguments)
        vmaps = "".join(_scope(module).debug_path).count("vmap(")
        if not output.problem and not module.is_mutable_collection("intermediates"):
            output = output._replace(problem=MEMBERS if vmaps and running.mapped else self._advice)
        if wanted:
            self.calls.append(Call(output, vmaps, running.mapped))
        if self._key:
            # The name relative to the module, since nn.jit shares one trace among identical blocks.
            name = f"{self._key}:{output.name.removeprefix('/'.join(module.path))}"
            store: Any = Reduction(*reduction, **reductions)
            type(module).sow(module, "intermediates", name, array, store, tuple)

    def _mapped(self, module: nn.Module) -> int:
        """Counts the transforms around a module that map over its parameters, by their missing axes."""
        scope = _scope(module)
        if not any(kind in part for part in scope.debug_path for kind in ("vmap(", "scan(")):
            return 0
        root = scope.root  # as seen by the innermost transform
        inside = jax.tree.leaves(root.variables().get("params", {}))
        parameters = self._parameters
        for level in root.path:
            parameters = parameters.get(level, {})
        outside = jax.tree.leaves(parameters)
        if inside and outside:
            return outside[0].ndim - inside[0].ndim
        return self._running[-1].mapped if self._running else 0


def _may_share_trace(module: nn.Module) -> bool:
    """Tells whether nn.jit wraps a part of the model, whose trace it shares among identical parts.

    What is stored in such a trace must serve all of them.
    """
    return any("jit(" in part and "jit()" not in part for part in _scope(module).debug_path)


def _scope(module: nn.Module) -> Scope:
    """Returns the scope of a module that is running, which Flax types as optional."""
    if module.scope is None:
        raise RuntimeError(f"module {type(module).__name__} runs without a scope, expected it to be bound")
    return module.scope


def _is_method(module: nn.Module, name: str, function: Callable[..., object]) -> bool:
    """Tells a module's own method from a function that a transform lifted, which Flax calls like a method."""
    methods = (vars(base)[name] for base in type(module).__mro__ if name in vars(base))
    return any(inspect.unwrap(method) is inspect.unwrap(function) for method in methods)


class _Running(NamedTuple):
    """Ongoing call of a module, and the number of transforms that map over its parameters."""

    path: tuple[str, ...]
    mapped: int
