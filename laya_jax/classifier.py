"""A backbone and a head as one Linen module."""

import inspect

import flax.linen as nn
import jax

from laya_jax.heads import Head, HeadOutput, check_hidden_states
from laya_jax.typing import HiddenStates, LayerMaskLike, PyTree


class Classifier(nn.Module):
    """Backbone and head in one module: predicts from all hidden states of the backbone.

    Example::

      >>> from laya_jax import Classifier, LayaHead
      >>> from laya_jax.backbones import MLP
      >>> classifier = Classifier(backbone=MLP(widths=(32, 16)), head=LayaHead(num_classes=10, dim=8))
      >>> images = jax.numpy.ones((2, 28, 28))
      >>> variables = classifier.init(jax.random.key(0), images)
      >>> sorted(variables["params"])
      ['backbone', 'head']
      >>> classifier.apply(variables, images).attention.shape
      (2, 2)

    Attributes:
      backbone: Linen module that returns ordered hidden states, [B, d_i] each.
      head: Output head.
      freeze_backbone: True to stop the gradient at the hidden states.
    """

    backbone: nn.Module
    head: Head
    freeze_backbone: bool = False

    def __call__(
        self,
        *inputs: PyTree,
        layer_mask: LayerMaskLike | None = None,
        deterministic: bool = True,
        **options: object,
    ) -> HeadOutput:
        """Predicts.

        Args:
          *inputs: Inputs of the backbone.
          layer_mask: True for each layer that the head may use, [L] or [B, L].
          deterministic: False to apply dropout in the head, and in the backbone if it takes this argument and
            is not frozen.
          **options: Keyword arguments of the backbone.

        Returns:
          A ``HeadOutput``.
        """
        states = self.hidden_states(*inputs, deterministic=deterministic, **options)
        return self.head(states, layer_mask, deterministic=deterministic)

    def hidden_states(self, *inputs: PyTree, deterministic: bool = True, **options: object) -> HiddenStates:
        """Returns the hidden states: ``classifier.apply(variables, x, method="hidden_states")``."""
        if "deterministic" in inspect.signature(type(self.backbone).__call__).parameters:
            options["deterministic"] = deterministic or self.freeze_backbone
        states = check_hidden_states(self.backbone(*inputs, **options))
        return jax.lax.stop_gradient(states) if self.freeze_backbone else states
