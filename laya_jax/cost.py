"""Cost of a head relative to its backbone: parameters and floating-point operations."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
from jax.extend.core import Jaxpr, jaxprs_in_params
from jax.interpreters.partial_eval import dce_jaxpr

from laya_jax.typing import HiddenStates, PyTree


class Cost(NamedTuple):
    """Cost of one module.

    Attributes:
      parameters: Number of parameters.
      flops: Floating-point operations of one forward pass per example, counted as usual: two for every
        multiply-add of a matrix product or convolution, none for the rest.
    """

    parameters: int
    flops: int


class Description(NamedTuple):
    """Costs of a head and of its backbone; prints as a table."""

    backbone: Cost
    head: Cost

    def __str__(self) -> str:
        """Formats the table."""
        pairs = zip(self.head, self.backbone, strict=True)
        shares = (f"{part / whole:.1%}" if whole else "-" for part, whole in pairs)
        rows = [
            ("", "parameters", "FLOPs per example"),
            *((name, f"{cost.parameters:,}", f"{cost.flops:,}") for name, cost in self._asdict().items()),
            ("head / backbone", *shares),
        ]
        return "\n".join("{:<15}{:>16}{:>20}".format(*row) for row in rows)


def describe(
    head: object,
    backbone: object,
    *inputs: PyTree,
    hidden_states: HiddenStates | None = None,
    **options: object,
) -> Description:
    """Counts parameters and FLOPs of a head and its backbone, by tracing; nothing is computed.

    Args:
      head: Linen or NNX head.
      backbone: Linen or NNX module.
      *inputs: Inputs of the backbone, arrays or ``jax.ShapeDtypeStruct``, with the batch on axis 0.
      hidden_states: Inputs of the head; None if the backbone returns them.
      **options: Keyword arguments of the backbone's call.

    Returns:
      A ``Description``, which prints as a table.

    Raises:
      TypeError: The head or the backbone is not a Flax module.
      ValueError: There are no inputs, or the batch is empty.

    >>> from laya_jax import LayaHead
    >>> from laya_jax.backbones import MLP
    >>> head = LayaHead(num_classes=10, dim=96, scorer_width=192)
    >>> print(describe(head, MLP(), jax.ShapeDtypeStruct((1, 784), "float32")))
                         parameters   FLOPs per example
    backbone                567,936           1,130,496
    head                    143,341             286,272
    head / backbone           25.2%               25.3%
    """
    if not inputs or not inputs[0].shape or not inputs[0].shape[0]:
        raise ValueError("inputs are empty, expected the backbone's inputs, with the batch on axis 0")
    backbone_run, backbone_parameters = _functional("backbone", backbone, inputs, options)
    if hidden_states is None:
        hidden_states = jax.eval_shape(backbone_run, backbone_parameters, *inputs)
    head_run, head_parameters = _functional("head", head, (hidden_states,), {})
    batch = jax.tree.leaves(inputs)[0].shape[0]
    return Description(
        backbone=_cost(batch, backbone_run, backbone_parameters, *inputs),
        # Attention and contributions that a prediction does not need are not part of its cost.
        head=_cost(batch, lambda *inputs: head_run(*inputs).logits, head_parameters, hidden_states),
    )


def _functional(
    name: str, module: object, inputs: tuple[PyTree, ...], options: dict[str, Any]
) -> tuple[Callable[..., PyTree], dict[str, PyTree]]:
    """Converts a module to a function of (variables, *inputs) and its variables (for Linen, shapes only)."""
    if isinstance(module, nn.Module):
        keys = dict.fromkeys(("params", "dropout"), jax.random.key(0))
        variables = jax.eval_shape(lambda *inputs: module.init(keys, *inputs, **options), *inputs)
        state = [name for name in variables if name != "params"]

        def apply(variables: dict[str, PyTree], *inputs: PyTree) -> PyTree:
            return module.apply(variables, *inputs, rngs=keys, mutable=state, **options)[0]

        return apply, variables
    # Users of NNX modules have imported flax.nnx already; others should not have to wait for it.
    from flax import nnx

    if not isinstance(module, nnx.Module):
        raise TypeError(f"{name} is a {type(module).__name__}, expected a Linen or NNX module")
    graph, parameters, *rest = nnx.split(module, nnx.Param, ...)

    def run(variables: dict[str, PyTree], *inputs: PyTree) -> PyTree:
        return nnx.merge(graph, variables["params"], *variables["rest"])(*inputs, **options)

    return run, {"params": parameters, "rest": rest}


def _cost(batch: int, run: Callable[..., PyTree], variables: dict[str, PyTree], *inputs: PyTree) -> Cost:
    jaxpr = jax.make_jaxpr(run)(variables, *inputs).jaxpr
    needed, _ = dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
    parameters = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables.get("params", {})))
    return Cost(parameters, count_flops(needed) // batch)


def count_flops(jaxpr: Jaxpr) -> int:
    """Counts the operations of a program's matrix products and convolutions, two for every multiply-add.

    >>> count_flops(jax.make_jaxpr(jnp.matmul)(jnp.ones((2, 3)), jnp.ones((3, 4))).jaxpr)
    48
    """
    total = 0
    for equation in jaxpr.eqns:
        inner = [count_flops(sub) for sub in jaxprs_in_params(equation.params)]
        if equation.primitive.name in _MULTIPLY_ADDS:
            total += 2 * _MULTIPLY_ADDS[equation.primitive.name](equation)
        elif equation.primitive.name == "scan":
            total += equation.params["length"] * sum(inner)
        elif equation.primitive.name == "cond":
            # Among the variants for different platforms, the default one is the plain computation.
            platforms = equation.params.get("branches_platforms")
            total += inner[platforms.index(None)] if platforms else max(inner)
        else:
            total += sum(inner)
    return total


def _of_product(equation: Any) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    shape = equation.invars[0].aval.shape
    return equation.outvars[0].aval.size * math.prod(shape[axis] for axis in contracted)


def _of_convolution(equation: Any) -> int:
    kernel, features_axis = equation.invars[1].aval, equation.params["dimension_numbers"].rhs_spec[0]
    # A transposed convolution pads its input with zeros, which do not count.
    zeros = math.prod(equation.params["lhs_dilation"])
    return equation.outvars[0].aval.size * (kernel.size // kernel.shape[features_axis]) // zeros


_MULTIPLY_ADDS = {"dot_general": _of_product, "conv_general_dilated": _of_convolution}
