"""Configs of the named experiments: digits, and the paper's three data sets with its best settings."""

import dataclasses
import difflib

from laya_jax.backbones import BACKBONES
from laya_jax.data import PATHS, DataConfig, kind_of
from laya_jax.engine.config import PRETRAINED, BackboneConfig, Config, HeadConfig, OptimizerConfig

EXPERIMENTS = {
    "digits": Config(
        data=DataConfig(source="digits", test_fraction=0.2),
        backbone=BackboneConfig(kind="mlp", widths=(64, 48, 32)),
        head=HeadConfig(dim=32),
        optimizer=OptimizerConfig(learning_rate=1e-2),
        patience=10,
    ),
    "fashion-mnist": Config(
        data=DataConfig(source="fashion_mnist", split="last", normalize=False),
        backbone=BackboneConfig(kind="mlp", widths=(512, 256, 128)),
        head=HeadConfig(dim=96, temperature=1.5, scorer_width=192),
        optimizer=OptimizerConfig(learning_rate=3e-4),
    ),
    "cifar10": Config(
        data=DataConfig(source="cifar10", split="last", normalize=True),
        backbone=BackboneConfig(kind="separable_cnn", widths=(64, 128, 256)),
        head=HeadConfig(dim=128, temperature=1.0, scorer_width=128),
        optimizer=OptimizerConfig(learning_rate=1e-3, schedule="cosine", warmup_steps=1000),
        batch_size=32,
        epochs=12,
    ),
    "imdb": Config(
        data=DataConfig(source="imdb_reviews", split="last", keep="end", normalize=False),
        backbone=BackboneConfig(kind="bilstm", widths=(32, 32), embedding_dim=64),
        head=HeadConfig(dim=96, temperature=1.3, psi="mlp", scorer_width=192),
        optimizer=OptimizerConfig(learning_rate=5e-4),
    ),
}
"""Configs by name. Reference: LAYA (arXiv 2511.12723), section 4 and Table 2; for digits, learning rate and
patience were tuned on the validation split."""

OWN_DATA = {
    "npz": Config(),
    "images": Config(
        backbone=BackboneConfig(kind="separable_cnn", widths=(64, 128, 256)), head=HeadConfig(dim=128)
    ),
    "texts": Config(
        backbone=BackboneConfig(kind="bilstm", widths=(64, 64)), head=HeadConfig(dim=96, psi="mlp")
    ),
}
"""Default configs for user data, by kind of source."""


PRETRAINED_IMAGE_SIZE = 224
"""Default size in pixels of a folder's images for a pretrained ViT."""

FROZEN_HEAD = HeadConfig(
    attention_heads=24, uniform_start=True, layer_normalized=True, dropout=0.5, layer_dropout=0.15
)
"""LAYA for a frozen backbone. The dropout rate was tuned on the validation split in ``experiments.frozen``,
with a row for each of the other settings; the number of attention heads in earlier trials on that data."""

FINE_TUNING_RATE = 3e-5
"""Learning rate for fine-tuning a pretrained backbone."""


def config_for(name: str, pretrained: str | None = None, *, freeze: bool = False) -> Config:
    """Returns the config of a named experiment, or a default config for user data.

    Args:
      name: Name of the experiment, or source of the data.
      pretrained: Pretrained backbone, as vit:PATH or bert:PATH.
      freeze: True to freeze the pretrained weights.

    >>> config_for("fashion-mnist").head.temperature
    1.5
    >>> config_for("images:paintings", "vit:models/vit-s14").data.image_size
    224

    Raises:
      ValueError: The name is neither an experiment nor a data source.
    """
    config = _without_pretrained(name)
    return config if pretrained is None else _with_pretrained(config, pretrained, freeze)


def backbone_named(pretrained: str) -> tuple[str, str]:
    """Splits the name of a pretrained backbone into kind and path.

    >>> backbone_named("vit:models/vit-s14")
    ('vit', 'models/vit-s14')

    Raises:
      ValueError: The name is not of the form vit:PATH or bert:PATH.
    """
    kind, _, path = pretrained.partition(":")
    if kind not in PRETRAINED or not path:
        raise ValueError(f"backbone is {pretrained!r}, expected vit:PATH or bert:PATH")
    return kind, path


def _with_pretrained(config: Config, pretrained: str, freeze: bool) -> Config:
    kind, path = backbone_named(pretrained)
    data = config.data
    if "images" in BACKBONES[kind].reads:
        size = PRETRAINED_IMAGE_SIZE if kind_of(data.source) == "images" else data.image_size
        data = dataclasses.replace(data, image_size=size, normalize=False)
    backbone = BackboneConfig(kind=kind, path=path, freeze=freeze)  # type: ignore[arg-type]
    if freeze:
        optimizer, epochs = OptimizerConfig(learning_rate=2e-3, schedule="cosine"), 40
    else:
        optimizer, epochs = OptimizerConfig(learning_rate=FINE_TUNING_RATE), config.epochs
    return dataclasses.replace(
        config,
        data=data,
        backbone=backbone,
        head=FROZEN_HEAD,
        optimizer=optimizer,
        epochs=epochs,
        patience=epochs if freeze else config.patience,
    )


def _without_pretrained(name: str) -> Config:
    if name in EXPERIMENTS:
        return EXPERIMENTS[name]
    if ":" not in name:
        near = difflib.get_close_matches(name, EXPERIMENTS, n=1)
        raise ValueError(
            f"experiment is {name!r}"
            + (f" (did you mean {near[0]!r}?)" if near else "")
            + f", expected one of {', '.join(map(repr, EXPERIMENTS))}, or {', '.join(PATHS.values())}"
        )
    base = OWN_DATA.get(kind_of(name), Config())
    return dataclasses.replace(base, data=DataConfig(source=name))
