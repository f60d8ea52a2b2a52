"""Pretrained backbones as a config names them, and data as they read them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from laya_jax.backbones import BERT, Pretrained, ViT, load_pretrained
from laya_jax.backbones.pretrained import read_normalization, read_tokenizer
from laya_jax.data import Dataset, load
from laya_jax.data.config import is_own
from laya_jax.data.tokenizer import Tokenizer
from laya_jax.training.config import BackboneConfig, Config

MODULES: Mapping[str, type[ViT] | type[BERT]] = {"vit": ViT, "bert": BERT}

POOLINGS = {"vit": "cls", "bert": "mean"}
"""What is read of the positions, if nothing else is asked for."""

NOT_SIZES = ("parent", "name", "dtype", "param_dtype")
"""Fields of a backbone that do not say how large it is."""


def pretrained_of(config: Config) -> Pretrained | None:
    """The pretrained backbone of a config; None for one that starts at random.

    Raises:
      FileNotFoundError: there is none at its path.
      ValueError: it cannot be read, or is of another kind.
    """
    backbone = config.backbone
    if backbone.path is None:
        return None
    pretrained = load_pretrained(backbone.path, **_options(config))
    expected = MODULES[backbone.kind]
    if not isinstance(pretrained.backbone, expected):
        found = type(pretrained.backbone).__name__
        raise ValueError(f"backbone.path is {backbone.path}, a {found}, expected a {expected.__name__}")
    longest = getattr(pretrained.backbone, "max_length", None)
    if longest is not None and config.data.max_length > longest:
        raise ValueError(
            f"data.max_length is {config.data.max_length}, expected at most {longest}, for which the "
            "backbone has positions"
        )
    return pretrained


def load_for(config: Config, *, decode: bool = True) -> Dataset:
    """Loads the data of a config as its backbone reads them, with its tokenizer or normalisation.

    Args:
      config: Config of the run.
      decode: True to decode images in files at once, unless they are too many.

    Raises:
      FileNotFoundError: The data are not there.
      ValueError: They cannot be read, or are no inputs of the backbone's.
    """
    dataset = _load_for(config, decode)
    examples = len(dataset.train.labels)
    if examples >= config.batch_size or not is_own(config.data.source):
        return dataset
    note = f"batch_size is {config.batch_size}, so every step takes all {examples} examples to train on"
    return dataclasses.replace(dataset, notes=(*dataset.notes, note))


def _load_for(config: Config, decode: bool) -> Dataset:
    path = config.backbone.path
    if path is None:
        return load(config.data, decode=decode)
    if config.backbone.kind == "bert":
        return load(config.data, Tokenizer(read_tokenizer(path)))
    if config.data.normalize:
        raise ValueError("data.normalize is True, expected False: a pretrained backbone has its own")
    as_stored = dataclasses.replace(config.data, normalize=False)
    dataset, normalization = load(as_stored, decode=decode), read_normalization(path)
    stored = dataset.preprocessing
    preprocessing = dataclasses.replace(
        stored,
        mean=tuple(stored.scale[0] * mean for mean in normalization.mean),
        scale=tuple(stored.scale[0] * deviation for deviation in normalization.deviation),
    )
    return dataclasses.replace(dataset, preprocessing=preprocessing)


def sizes_of(backbone: nn.Module) -> dict[str, Any]:
    """The sizes of a pretrained backbone, as what JSON holds.

    >>> sizes_of(ViT(patch_size=14))["patch_size"]
    14
    """
    fields = [field.name for field in dataclasses.fields(backbone) if field.name not in NOT_SIZES]
    return {name: getattr(backbone, name) for name in fields}


def backbone_of(config: Config, sizes: Mapping[str, Any]) -> ViT | BERT:
    """The backbone of these sizes, without weights."""
    tuples = {name: tuple(value) if isinstance(value, list) else value for name, value in sizes.items()}
    return MODULES[config.backbone.kind](**{**tuples, **_options(config)})


def _options(config: Config) -> dict[str, Any]:
    backbone: BackboneConfig = config.backbone
    return {
        "pooling": backbone.pooling or POOLINGS[backbone.kind],
        "dtype": None if config.dtype == "float32" else jnp.dtype(config.dtype),
    }
