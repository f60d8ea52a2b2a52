"""The paper's backbones: Linen modules that return their ordered hidden states, [B, d_i] each."""

from laya_jax.backbones.bilstm import BiLSTM
from laya_jax.backbones.mlp import MLP
from laya_jax.backbones.separable_cnn import SeparableCNN

__all__ = ["MLP", "BiLSTM", "SeparableCNN"]
