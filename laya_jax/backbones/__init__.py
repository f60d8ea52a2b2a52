"""Backbones that return their ordered hidden states, [B, d_i] each: the paper's, and pretrained ones."""

from laya_jax.backbones.bert import BERT
from laya_jax.backbones.bilstm import BiLSTM
from laya_jax.backbones.lstm import LSTM
from laya_jax.backbones.mlp import MLP
from laya_jax.backbones.pretrained import Pretrained, load_pretrained
from laya_jax.backbones.pretrained.hub import local_path
from laya_jax.backbones.separable_cnn import (
    SeparableCNN,
    depthwise_convolution,
    grouped_convolution,
    shifted_multiply_adds,
)
from laya_jax.backbones.table import BACKBONES, BackboneKind
from laya_jax.backbones.vit import ViT

__all__ = [
    "BACKBONES",
    "BERT",
    "LSTM",
    "MLP",
    "BackboneKind",
    "BiLSTM",
    "Pretrained",
    "SeparableCNN",
    "ViT",
    "depthwise_convolution",
    "grouped_convolution",
    "load_pretrained",
    "local_path",
    "shifted_multiply_adds",
]
