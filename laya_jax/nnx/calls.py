"""Calls of layers inside an NNX model, stored by ``nnx.capture``."""

import functools
import inspect
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
from flax import nnx

from laya_jax.hidden_states import Call, Output, Reduction, Stored, taken
from laya_jax.typing import Array

_PATH = "_laya_jax_path"
_patching = threading.RLock()


class Captured(nnx.Intermediate[object]):
    """Hidden state and mark of every call of a layer; transforms treat it as any intermediate."""


class Recorder:
    """Sees every call of a layer while a copy of a model runs, and every value that a layer sows.

    NNX has no way to intercept calls, so the classes are patched during a run, and only one run is possible
    at a time. (``nnx.capture`` has an option that stores what methods return, but it skips inherited ones.)

    Args:
      model: Copy of the model, which is modified.
      wanted: Predicate on the names of a layer and a method, True for those to record.
      output: Choice among the arrays that a layer returns.
      key: Name that distinguishes this run in ``nnx.jit``, which would otherwise reuse traces of other runs.
      storing: True to store what is recorded; False to find out how transforms map the layers.
    """

    def __init__(
        self, model: nnx.Module, wanted: Callable[[str, str], bool], output: Output, key: str, storing: bool
    ):
        self._model, self._wanted, self._output = model, wanted, output
        self._key, self._storing = f"{key}:", storing
        self._calls: list[Call] = []
        self._vmaps: Counter[tuple[int, str]] = Counter()
        self._running: list[_Running] = []
        self._axes: dict[str, int] = {}
        for path, module in nnx.iter_modules(model):
            if isinstance(module, nnx.List | nnx.Dict):
                continue  # they sort their elements and their attributes together
            name = "/".join(map(str, path))
            if isinstance(module, nnx.bridge.ToNNX):
                raise ValueError(
                    f"model holds a Linen module ({name or 'itself'}, under nnx.bridge.ToNNX), with which "
                    "nnx.capture does not work; capture its layers with laya_jax.capture"
                )
            setattr(module, _PATH, self._key + name)
            parameter = None if storing else _parameter(module)
            if parameter is not None:
                self._axes[name] = parameter.ndim

    @property
    def calls(self) -> list[Call]:
        """Calls in their order."""
        return [
            call._replace(vmaps=max(self._vmaps[place, "value"], self._vmaps[place, "parameter"]))
            for place, call in enumerate(self._calls)
        ]

    def run(self, *inputs: Any, **options: Any) -> dict[str, list[Stored]]:
        """Runs the model once, and returns what was stored, by name."""
        with self._patched():
            _, state = nnx.capture(self._model, Captured)(*inputs, **options)
        return {str(path[-1]): list(variable.get_value()) for path, variable in nnx.to_flat_state(state)}

    @contextmanager
    def _patched(self) -> Iterator[None]:
        with _patching:
            classes = {type(module) for _, module in nnx.iter_modules(self._model)}
            patches = [(cls, name, patch) for cls in classes for name, patch in self._patches(cls).items()]
            own = [(cls, name, vars(cls)[name]) for cls, name, _ in patches if name in vars(cls)]
            try:
                for cls, name, patch in patches:
                    setattr(cls, name, patch)
                yield
            finally:
                for cls, name, _ in patches:
                    delattr(cls, name)
                for cls, name, method in own:
                    setattr(cls, name, method)

    def _patches(self, cls: type[nnx.Module]) -> dict[str, Callable[..., object]]:
        methods = {
            name: method
            for base in reversed(cls.__mro__)
            if base not in nnx.Module.__mro__
            for name, method in vars(base).items()
            if name == "__call__" or not name.startswith("__")
        }
        return {
            **{name: self._seeing(name, getattr(cls, name)) for name in methods if _is_method(cls, name)},
            "sow": self._seeing_sown(cls.sow),
            "perturb": self._seeing_perturbed(cls.perturb),
        }

    def _seeing(self, name: str, method: Callable[..., object]) -> Callable[..., object]:
        @functools.wraps(method, updated=())
        def seeing(module: nnx.Module, *args: object, **kwargs: object) -> object:
            layer = self._layer(module)
            if layer is None:  # of the same class, but no part of the model
                return method(module, *args, **kwargs)
            caller = self._running[-1].layer if self._running else None
            self._running.append(self._entered(layer, module))
            try:
                returned = method(module, *args, **kwargs)
                # A layer's calls of its own methods, such as super().__call__, do not count.
                if layer and layer != caller:
                    self._record(module, layer, "" if name == "__call__" else name, returned, (args, kwargs))
            finally:
                self._running.pop()
            return returned

        return seeing

    def _seeing_sown(self, sow: Callable[..., object]) -> Callable[..., object]:
        @functools.wraps(sow)
        def seeing(
            module: nnx.Module,
            variable_type: object,
            name: str,
            value: object,
            *args: object,
            **kwargs: object,
        ) -> object:
            layer = self._layer(module)
            if layer is not None and variable_type is not Captured:
                self._record(module, f"{layer}/{name}".removeprefix("/"), "", value, (), *args, **kwargs)
            return sow(module, variable_type, name, value, *args, **kwargs)

        return seeing

    def _seeing_perturbed(self, perturb: Callable[..., object]) -> Callable[..., object]:
        @functools.wraps(perturb)
        def seeing(module: nnx.Module, name: str, value: object, *args: object, **kwargs: object) -> object:
            perturbed = perturb(module, name, value, *args, **kwargs)
            layer = self._layer(module)
            if layer is not None:
                self._record(module, f"{layer}/{name}".removeprefix("/"), "", perturbed)
            return perturbed

        return seeing

    def _layer(self, module: nnx.Module) -> str | None:
        path = getattr(module, _PATH, "")
        return path.removeprefix(self._key) if path.startswith(self._key) else None

    def _entered(self, layer: str, module: nnx.Module) -> "_Running":
        if self._storing:
            return _Running(layer)
        parameter = _parameter(module)
        if parameter is None:
            return self._running[-1]._replace(layer=layer) if self._running else _Running(layer)
        return _Running(layer, self._axes.get(layer, parameter.ndim) - parameter.ndim, parameter)

    def _record(
        self,
        module: nnx.Module,
        layer: str,
        method: str,
        returned: object,
        arguments: object = (),
        *reduction: Any,
        **reductions: Any,
    ) -> None:
        if not self._wanted(layer, method):
            return
        output, array = taken(layer, method, returned, self._output, arguments)
        running = self._running[-1] if self._running else _Running("")
        place = len(self._calls)
        self._calls.append(Call(output, mapped=running.mapped))
        if not self._storing:
            self._count_vmaps((place, "value"), array)
            self._count_vmaps((place, "parameter"), running.parameter)
            return

        store: Any = Reduction(*reduction, **reductions)
        module.sow(Captured, output.name, array, store, tuple)

    def _count_vmaps(self, place: tuple[int, str], array: Array | None) -> None:
        """Counts the vmaps around, also beyond jit and remat: JAX applies the rule where it batches."""
        if array is None:
            return

        @jax.custom_batching.custom_vmap
        def probe(array: Array) -> Array:
            return array

        @probe.def_vmap
        def batched(size: int, is_batched: list[bool], array: Array) -> tuple[Array, bool]:
            del size
            self._vmaps[place] += 1
            return probe(array), is_batched[0]

        probe(jax.lax.stop_gradient(array))


class _Running(NamedTuple):
    """Call of a layer that has not returned, and how transforms map its parameters, of which one is kept."""

    layer: str
    mapped: int = 0
    parameter: Array | None = None


def _is_method(cls: type, name: str) -> bool:
    method = inspect.getattr_static(cls, name)
    return callable(method) and hasattr(method, "__get__") and not isinstance(method, type | staticmethod)


def _parameter(module: nnx.Module) -> Array | None:
    """Any parameter of a module, always the same one."""
    for _, value in nnx.iter_graph(module):
        if isinstance(value, nnx.Param):
            leaves = jax.tree.leaves(value.get_value())
            if leaves:
                return leaves[0]
    return None
