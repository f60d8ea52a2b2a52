"""Kernel heads: solved in closed form on hidden states, with unique contributions of layers."""

from laya_jax.kernels.fitting import PENALTIES, Approximation, KernelFit, Trial, fit_kernel_head
from laya_jax.kernels.head import KernelLayaHead, predict_in_blocks
from laya_jax.kernels.saving import load_kernel_head, save_kernel_head
from laya_jax.kernels.similarity import KERNELS, Kernel
from laya_jax.kernels.standardizing import Standardization

__all__ = [
    "KERNELS",
    "PENALTIES",
    "Approximation",
    "Kernel",
    "KernelFit",
    "KernelLayaHead",
    "Standardization",
    "Trial",
    "fit_kernel_head",
    "load_kernel_head",
    "predict_in_blocks",
    "save_kernel_head",
]
