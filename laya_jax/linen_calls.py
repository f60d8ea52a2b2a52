"""Calls of layers inside a Linen model, stored among its intermediates."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
from flax.traverse_util import flatten_dict

from laya_jax.layer_calls import MEMBERS, Call, Stored, mark_of, taken
from laya_jax.returned import Output


class Recorder:
    """Sees every call of a layer while a model runs, and every value that a layer sows.

    Args:
      parameters: Parameters of the whole model.
      wanted: Function of a layer's name and a method's that tells whether to record it.
      output: Choice among the arrays that a layer returns.
      key: Name under which to store; empty if nothing is to be stored.
      advice: Problem of a layer that can store nothing.

    Attributes:
      calls: Calls in their order.
    """

    def __init__(
        self,
        parameters: Mapping[str, Any],
        wanted: Callable[[str, str], bool],
        output: Output,
        key: str,
        advice: str,
    ):
        self.calls: list[Call] = []
        self._parameters, self._wanted, self._output = parameters, wanted, output
        self._key, self._advice = key, advice
        self._running: list[_Running] = []

    def intercept(self, method: Any, args: Any, kwargs: Any, context: Any) -> Any:
        """Runs a method of a module; made for ``nn.intercept_methods``."""
        if context.method_name == "setup":
            return method(*args, **kwargs)
        module, caller = context.module, self._running[-1] if self._running else None
        if caller:
            self._record_sown(caller)
        running = _Running(module, self._mapped(module), _sown(module))
        self._running.append(running)
        try:
            returned = method(*args, **kwargs)
            self._record_sown(running, finished=True)
            # What a layer calls of its own, such as super().__call__, is no call of a layer.
            if module.path and not (caller and caller.module.path == module.path):
                name = "" if context.method_name == "__call__" else context.method_name
                self._record(running, "/".join(module.path), name, returned, (args, kwargs))
        finally:
            self._running.pop()
        return returned

    def stored(self, state: Mapping[str, Any]) -> dict[str, list[Stored]]:
        """Finds what was stored, by name, in the state that the model returned."""
        own = f"{self._key}:"
        return {
            ("/".join(path[:-1]) + path[-1].removeprefix(own)).removeprefix("/"): list(values)
            for path, values in flatten_dict(state.get("intermediates", {})).items()
            if path[-1].startswith(own)
        }

    def _record_sown(self, running: "_Running", finished: bool = False) -> None:
        for name, value in _sown(running.module).items():
            layer, before = "/".join([*running.module.path, name]), running.sown.get(name, ())
            if isinstance(value, tuple):
                for new in value[len(before) :]:
                    self._record(running, layer, "", new)
            elif finished and value is not before:  # a reduce_fn made one value of all
                self._record(running, layer, "", value, reduced=True)
            running.sown[name] = value

    def _record(
        self,
        running: "_Running",
        layer: str,
        method: str,
        returned: Any,
        arguments: Any = (),
        reduced: bool = False,
    ) -> None:
        if not self._wanted(layer, method):
            return
        module = running.module
        output, array = taken(layer, method, returned, self._output, arguments)
        vmaps = "".join(module.scope.debug_path).count("vmap(")
        if not output.problem and not module.is_mutable_collection("intermediates"):
            output = output._replace(problem=MEMBERS if vmaps and running.mapped else self._advice)
        self.calls.append(Call(output, () if array is None else array.shape, vmaps, running.mapped))
        if self._key:
            name = output.name.removeprefix("/".join(module.path))
            mark = None if array is None else mark_of(array)
            reduce = {"reduce_fn": lambda _, new: (new,)} if reduced else {}
            module.sow("intermediates", f"{self._key}:{name}", (array, mark), **reduce)

    def _mapped(self, module: nn.Module) -> int:
        """Number of transforms around a module that map over its parameters, which have fewer axes inside."""
        if not any(kind in part for part in module.scope.debug_path for kind in ("vmap(", "scan(")):
            return 0
        root = module.scope.root  # of what the innermost transform sees
        inside = jax.tree.leaves(root.variables().get("params", {}))
        parameters: Any = self._parameters
        for level in root.path:
            parameters = parameters.get(level, {})
        outside = jax.tree.leaves(parameters)
        if inside and outside:
            return outside[0].ndim - inside[0].ndim
        return self._running[-1].mapped if self._running else 0


class _Running(NamedTuple):
    """Call of a module that has not returned: the module, transforms that map its parameters, what it sowed."""

    module: nn.Module
    mapped: int
    sown: dict[str, Any]


def _sown(module: nn.Module) -> dict[str, Any]:
    """Values that a module has sowed itself, by name; a mapping belongs to a layer inside."""
    return {
        name: value
        for name, value in module.variables.get("intermediates", {}).items()
        if not isinstance(value, Mapping) and not name.startswith("laya_jax_")
    }
