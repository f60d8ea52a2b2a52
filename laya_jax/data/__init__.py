"""Data sets and data of one's own, as arrays in three splits."""

from laya_jax.data.config import DataConfig
from laya_jax.data.dataset import Dataset, Examples, Preprocessing, Schema, Unlabelled
from laya_jax.data.preparation import prepare
from laya_jax.data.sources import load, read_inputs

__all__ = [
    "DataConfig",
    "Dataset",
    "Examples",
    "Preprocessing",
    "Schema",
    "Unlabelled",
    "load",
    "prepare",
    "read_inputs",
]
