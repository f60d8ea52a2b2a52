"""Ahead-of-time compilation for absent TPUs and GPUs: lowering, chips and costs."""

from laya_jax.tpu.checking import DoesNotFitError, compile_check
from laya_jax.tpu.chips import expect_no_tpu, has_tpu
from laya_jax.tpu.lowering import lower

__all__ = [
    "DoesNotFitError",
    "compile_check",
    "expect_no_tpu",
    "has_tpu",
    "lower",
]
