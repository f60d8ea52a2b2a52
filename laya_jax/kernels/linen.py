"""Kernel head as a Linen module, with the interface of the other heads."""

from typing import ClassVar

import jax.numpy as jnp

from laya_jax.checks import check_choice, check_count
from laya_jax.heads import Head, HeadOutput, LayerVotes, Shapes, affine_shapes
from laya_jax.kernels.head import KernelLayaHead, shares, votes_of
from laya_jax.kernels.similarity import KERNELS
from laya_jax.kernels.standardizing import Standardization
from laya_jax.typing import Array, HiddenStates, LayerMask, Parameters, PyTree


class KernelHead(Head):
    """Kernel head as a Linen module; ``kernel_parameters`` returns its parameters for a ``KernelLayaHead``.

    They are not trained, but solved for by ``fit_kernel_head``, and initialised to zero.

    Example::

      >>> head = KernelHead(num_classes=3, kernel="linear")
      >>> hidden_states = [jnp.ones((2, 5)), jnp.ones((2, 4))]
      >>> parameters = head.init(jax.random.key(0), hidden_states)["params"]
      >>> sorted(parameters)
      ['classifier', 'means_0', 'means_1', 'points_0', 'points_1', 'scales_0', 'scales_1']

    Attributes:
      num_classes: Number of classes, K.
      kernel: Name of the kernel: "gated", "additive" or "linear"; None if it has not been chosen yet.
      landmarks: Number of training examples that the head stores; None for the linear kernel, which stores
        none.
    """

    weighs_layers: ClassVar[bool] = True
    weighs_per_input: ClassVar[bool] = True
    is_solved: ClassVar[bool] = True

    num_classes: int
    kernel: str | None = None
    landmarks: int | None = None

    def __post_init__(self) -> None:
        check_count("num_classes", self.num_classes)
        if self.kernel is not None:
            check_choice("kernel", self.kernel, tuple(KERNELS))
        if self.landmarks is not None:
            check_count("landmarks", self.landmarks)
        super().__post_init__()

    def shapes(self, widths: tuple[int, ...]) -> Shapes:
        """Returns the shapes of the parameters for hidden states of these widths.

        Raises:
          ValueError: The kernel or the number of stored examples is not known.
        """
        if self.kernel is None:
            raise ValueError(f"kernel is None, expected one of {', '.join(map(repr, KERNELS))}")
        points = self.num_classes if KERNELS[self.kernel].linear else self.landmarks
        if points is None:
            raise ValueError(f"landmarks is None, expected a number for the {self.kernel} kernel")
        layers = enumerate(widths)
        each = [
            {f"means_{i}": (width,), f"scales_{i}": (width,), f"points_{i}": (points, width)}
            for i, width in layers
        ]
        return {
            **{name: shape for layer in each for name, shape in layer.items()},
            "classifier": affine_shapes(points, self.num_classes),
        }

    def compute(
        self,
        parameters: Parameters,
        hidden_states: HiddenStates,
        layer_mask: LayerMask | None,
        key: Array | None = None,
    ) -> HeadOutput:
        """Computes the head's output from arguments that have been checked."""
        return self.solution(parameters)(hidden_states, layer_mask)

    def votes(self, parameters: Parameters, hidden_states: HiddenStates) -> LayerVotes:
        """Returns the score of every layer, which is the logarithm of its attention, and its vote."""
        head = self.solution(parameters)
        contributions = head.contributions(hidden_states)
        votes = votes_of(contributions)
        return LayerVotes(
            jnp.log(shares(contributions))[..., None],
            votes[:, :, None],
            jnp.linalg.norm(votes, axis=-1),
            head.bias,
        )

    def solution(self, parameters: Parameters) -> KernelLayaHead:
        """Returns the kernel head of these parameters."""
        layers = range(sum(name.startswith("points_") for name in parameters))
        means, scales, points = (
            tuple(parameters[f"{part}_{i}"] for i in layers) for part in ("means", "scales", "points")
        )
        classifier = parameters["classifier"]
        standardization = Standardization(means, scales)
        return KernelLayaHead(
            standardization, points, classifier["kernel"], classifier["bias"], str(self.kernel)
        )


def kernel_parameters(head: KernelLayaHead, points: int) -> Parameters:
    """Returns a kernel head as parameters of a ``KernelHead``.

    Args:
      head: Fitted head.
      points: Number of points to store; points in excess of the head's are zero.
    """
    missing = ((0, points - len(head.coefficients)), (0, 0))
    parameters: dict[str, PyTree] = {
        "classifier": {"kernel": jnp.pad(head.coefficients, missing), "bias": head.bias}
    }
    standardize = head.standardization
    for i, layer in enumerate(zip(standardize.means, standardize.scales, head.points, strict=True)):
        parameters[f"means_{i}"], parameters[f"scales_{i}"] = layer[:2]
        parameters[f"points_{i}"] = jnp.pad(layer[2], missing)
    return parameters
