"""Named data sets and user data, as arrays in three splits."""

from laya_jax.data.archive import read_npz
from laya_jax.data.batches import batch_indices, evaluation_indices, steps_per_epoch, stream
from laya_jax.data.config import PATHS, DataConfig, is_own, kind_of, title_of
from laya_jax.data.dataset import Dataset, Examples, Preprocessing, Schema, Unlabelled
from laya_jax.data.encoder import PADDING, TextEncoder
from laya_jax.data.originals import megabytes, original_files
from laya_jax.data.preparation import prepare
from laya_jax.data.prepared import find_builder
from laya_jax.data.rows import Rows
from laya_jax.data.sources import load, read_inputs
from laya_jax.data.splits import VERSION, held_out
from laya_jax.data.tokenizer import Tokenizer
from laya_jax.data.vocabulary import Vocabulary

__all__ = [
    "PADDING",
    "PATHS",
    "VERSION",
    "DataConfig",
    "Dataset",
    "Examples",
    "Preprocessing",
    "Rows",
    "Schema",
    "TextEncoder",
    "Tokenizer",
    "Unlabelled",
    "Vocabulary",
    "batch_indices",
    "evaluation_indices",
    "find_builder",
    "held_out",
    "is_own",
    "kind_of",
    "load",
    "megabytes",
    "original_files",
    "prepare",
    "read_inputs",
    "read_npz",
    "steps_per_epoch",
    "stream",
    "title_of",
]
