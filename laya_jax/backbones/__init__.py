"""Linen modules that return their ordered hidden states, [B, d_i] each: the paper's, and pretrained ones."""

from laya_jax.backbones.bert import BERT
from laya_jax.backbones.bilstm import BiLSTM
from laya_jax.backbones.mlp import MLP
from laya_jax.backbones.pretrained import Pretrained, load_pretrained
from laya_jax.backbones.separable_cnn import SeparableCNN
from laya_jax.backbones.vit import ViT

__all__ = ["BERT", "MLP", "BiLSTM", "Pretrained", "SeparableCNN", "ViT", "load_pretrained"]
