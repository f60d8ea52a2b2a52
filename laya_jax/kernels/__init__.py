"""Kernel heads, which are solved in closed form on hidden states and have unique layer contributions."""

from laya_jax.kernels.fitting import (
    LANDMARKS,
    MOST_EXACT,
    PENALTIES,
    Approximation,
    KernelFit,
    Trial,
    fit_kernel_head,
)
from laya_jax.kernels.head import KernelLayaHead, predict_in_blocks
from laya_jax.kernels.linen import KernelHead, kernel_parameters
from laya_jax.kernels.saving import load_kernel_head, save_kernel_head
from laya_jax.kernels.similarity import KERNELS, Kernel
from laya_jax.kernels.standardizing import Standardization, standardization_of, standardized

__all__ = [
    "KERNELS",
    "LANDMARKS",
    "MOST_EXACT",
    "PENALTIES",
    "Approximation",
    "Kernel",
    "KernelFit",
    "KernelHead",
    "KernelLayaHead",
    "Standardization",
    "Trial",
    "fit_kernel_head",
    "kernel_parameters",
    "load_kernel_head",
    "predict_in_blocks",
    "save_kernel_head",
    "standardization_of",
    "standardized",
]
