"""Pretrained backbones of a config, and data prepared for them."""

import dataclasses

import flax.linen as nn
import jax.numpy as jnp

from laya_jax.backbones import BACKBONES, BERT, Pretrained, load_pretrained, local_path
from laya_jax.backbones.pretrained import (
    check_embedded,
    image_notes,
    read_normalization,
    read_tokenizer,
    text_notes,
)
from laya_jax.data import PADDING, Dataset, Tokenizer, is_own, load
from laya_jax.engine import Config
from laya_jax.typing import JsonObject

NOT_SIZES = ("parent", "name", "dtype", "param_dtype")
"""Fields of a backbone that are not sizes."""


@dataclasses.dataclass(frozen=True)
class BackboneRecord:
    """Content of ``backbone.json``.

    Attributes:
      sizes: Sizes of the pretrained backbone.
      weights: Checksum of the pretrained weights; None in an exported model, which includes them.
    """

    sizes: JsonObject
    weights: int | None = None


def pretrained_of(config: Config) -> Pretrained | None:
    """Loads the pretrained backbone of a config; returns None for random initialisation.

    Raises:
      FileNotFoundError: There is no model at the path.
      ValueError: The model cannot be read, is of another kind, or does not accept the texts.
    """
    backbone = config.backbone
    if backbone.path is None:
        return None
    pretrained = load_pretrained(backbone.path, **_options(config))
    expected = BACKBONES[backbone.kind].module
    if not isinstance(pretrained.backbone, expected):
        found = type(pretrained.backbone).__name__
        raise ValueError(f"backbone.path is {backbone.path}, a {found}, expected a {expected.__name__}")
    if isinstance(pretrained.backbone, BERT):
        _check_reads_texts(pretrained.backbone, config)
    return pretrained


def _check_reads_texts(backbone: BERT, config: Config) -> None:
    if config.data.max_length > backbone.max_length:
        raise ValueError(
            f"data.max_length is {config.data.max_length}, expected at most {backbone.max_length}, the "
            "number of positions of the backbone"
        )
    if backbone.padding_id != PADDING:
        raise ValueError(
            f"pad_token_id of the model in {config.backbone.path} is {backbone.padding_id}, expected "
            f"{PADDING}, with which texts are padded"
        )


def load_for(config: Config, *, decode: bool = True) -> Dataset:
    """Loads the data of a config with the tokenizer or normalisation of its backbone.

    Args:
      config: Config of the run.
      decode: True to decode images in files immediately, unless there are too many.

    Raises:
      FileNotFoundError: The data do not exist.
      ValueError: The data cannot be read, or the backbone does not accept them.
    """
    dataset = _load_for(config, decode)
    examples = len(dataset.train.labels)
    if examples >= config.batch_size or not is_own(config.data.source):
        return dataset
    note = f"batch_size is {config.batch_size}, so every step uses all {examples} training examples"
    return dataclasses.replace(dataset, notes=(*dataset.notes, note))


def _load_for(config: Config, decode: bool) -> Dataset:
    if config.backbone.path is None:
        return load(config.data, decode=decode)
    path = local_path(config.backbone.path)  # here, so that a model on the hub is looked up once
    if "tokens" in BACKBONES[config.backbone.kind].reads:
        tokenizer = Tokenizer(read_tokenizer(path))
        check_embedded(path, tokenizer.size)
        dataset = load(config.data, tokenizer)
        return dataclasses.replace(dataset, notes=dataset.notes + text_notes(path, config.data.max_length))
    if config.data.normalize:
        raise ValueError(
            "data.normalize is True, expected False: a pretrained backbone has its own normalisation"
        )
    # Fails on invalid model files before the images are read.
    normalization, notes = read_normalization(path), image_notes(path, config.data.image_size)
    dataset = load(dataclasses.replace(config.data, normalize=False), decode=decode)
    stored = dataset.preprocessing
    preprocessing = dataclasses.replace(
        stored,
        mean=tuple(stored.scale[0] * mean for mean in normalization.mean),
        scale=tuple(stored.scale[0] * deviation for deviation in normalization.deviation),
    )
    return dataclasses.replace(dataset, preprocessing=preprocessing, notes=dataset.notes + notes)


def sizes_of(backbone: nn.Module) -> JsonObject:
    """Returns the sizes of a pretrained backbone as JSON-compatible values.

    >>> from laya_jax.backbones import ViT
    >>> sizes_of(ViT(patch_size=14))["patch_size"]
    14
    """
    fields = [field.name for field in dataclasses.fields(backbone) if field.name not in NOT_SIZES]
    return {name: getattr(backbone, name) for name in fields}


def check_read_alike(pretrained: Pretrained | None, sizes: JsonObject | None, path: str | None) -> None:
    """Checks that a pretrained backbone is still read in the same way as when a run was started with it.

    Earlier versions ignored some keys of its files that are honoured now.

    Args:
      pretrained: Backbone as read now.
      sizes: Sizes recorded in the run, from ``sizes_of``.
      path: Path of the backbone, for the message.

    Raises:
      ValueError: The sizes differ.
    """
    if pretrained is None or sizes is None:
        return
    for name, value in sizes_of(pretrained.backbone).items():
        now = list(value) if isinstance(value, tuple) else value
        if sizes.get(name, now) != now:
            raise ValueError(
                f"{name} of the model in {path} is {now!r}, but an earlier version of laya_jax, which the "
                f"run was started with, read {sizes[name]!r}; train again"
            )


def backbone_of(config: Config, sizes: JsonObject) -> nn.Module:
    """Builds the backbone with these sizes, including the pooling, without weights."""
    tuples = {name: tuple(value) if isinstance(value, list) else value for name, value in sizes.items()}
    return BACKBONES[config.backbone.kind].module(**{**tuples, **_options(config)})


def _options(config: Config) -> JsonObject:
    pooling = config.backbone.pooling
    dtype = None if config.dtype == "float32" else jnp.dtype(config.dtype)
    return {"dtype": dtype, **({} if pooling is None else {"pooling": pooling})}
