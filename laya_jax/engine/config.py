"""Settings of a training run: one frozen dataclass, every field of which the command line can set."""

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from laya_jax.checks import check_choice, check_count, check_counts, check_number
from laya_jax.data import PATHS, DataConfig, kind_of
from laya_jax.engine.typed import from_json as from_json  # which reads what ``to_json`` wrote
from laya_jax.heads import check_temperature

LARGEST_WIDTH, MOST_WIDTHS = 2**24, 1000
"""Widths beyond these are a mistake, or a file that somebody made up; they would only fill the memory."""

PRETRAINED = ("vit", "bert")
"""Kinds of backbones that do not start at random."""


def _check_literal(section: str, config: Any, field: str) -> None:
    choices = typing.get_args(typing.get_type_hints(type(config))[field])
    check_choice(f"{section}.{field}" if section else field, getattr(config, field), choices)


def _check_width(name: str, width: int) -> None:
    check_count(name, width)
    if width > LARGEST_WIDTH:
        raise ValueError(f"{name} is {width}, expected at most {LARGEST_WIDTH:,}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BackboneConfig:
    """The network whose hidden states the head reads.

    Attributes:
      kind: Kind of network: mlp (images or features), separable_cnn (images) or bilstm (texts), which start
        at random; vit (images) or bert (texts), which are pretrained.
      widths: Widths of the hidden states, in order; for bilstm those of one direction. Not for vit and bert.
      embedding_dim: Width of the token embedding; bilstm only.
      path: Path of the weights of a vit or bert: a folder as Hugging Face writes it, hub:OWNER/NAME, or the
        file of a ViT by Google, .npz.
      pooling: Pooling of the positions of a vit or bert to one vector. None means that of a model of
        sentence-transformers, or else cls for vit and mean for bert.
      freeze: Keep the weights of a vit or bert as they are. Hidden states are then computed once, and kept
        for every later run.
    """

    kind: Literal["mlp", "separable_cnn", "bilstm", "vit", "bert"] = "mlp"
    widths: tuple[int, ...] = (512, 256, 128)
    embedding_dim: int = 128
    path: str | None = None
    pooling: Literal["cls", "mean", "cls+mean"] | None = None
    freeze: bool = False

    def __post_init__(self) -> None:
        _check_literal("backbone", self, "kind")
        check_counts("backbone.widths", self.widths)
        if len(self.widths) > MOST_WIDTHS:
            raise ValueError(f"backbone.widths are {len(self.widths):,}, expected at most {MOST_WIDTHS:,}")
        for index, width in enumerate(self.widths):
            _check_width(f"backbone.widths[{index}]", width)
        _check_width("backbone.embedding_dim", self.embedding_dim)
        if self.pooling is not None:
            check_choice("backbone.pooling", self.pooling, ("cls", "mean", "cls+mean"))
        pretrained = self.kind in PRETRAINED
        if pretrained != (self.path is not None):
            expected = f"a pretrained {self.kind}" if pretrained else f"None for {self.kind!r}"
            raise ValueError(f"backbone.path is {self.path!r}, expected {expected}")
        if self.pooling is not None and not pretrained:
            raise ValueError(f"backbone.pooling is {self.pooling!r}, expected None for {self.kind!r}")
        if self.freeze and not pretrained:
            raise ValueError(
                f"backbone.freeze is True for {self.kind!r}, which starts at random; expected a pretrained "
                f"backbone, {' or '.join(PRETRAINED)}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """The output head.

    Attributes:
      kind: Kind of head: laya (attention over layers, per input), last_layer (the usual output layer),
        concat (all layers side by side) or scalar_mix (one weight per layer for all inputs).
      dim: Width that all layers are brought to; not for last_layer.
      temperature: Divisor of the layers' scores; smaller is sharper. laya only.
      psi: Input of the scorer: the layer itself (identity) or a shared MLP of it (mlp). laya only.
      scorer_width: Hidden width of the scorer; None takes dim. laya only.
      attention_heads: Number of attention heads, each of which weighs the layers for its own slice of dim.
        laya only.
      uniform_start: Start with uniform attention; laya only.
      rms_normalized: Bring every adapted layer to the same root mean square; not for last_layer.
      layer_normalized: Bring every hidden state to mean 0 and standard deviation 1 before it is read.
      dropout: Dropout rate of the adapted layers; not for last_layer.
      layer_dropout: Probability with which training masks each layer of an example; not for last_layer.
    """

    kind: Literal["laya", "last_layer", "concat", "scalar_mix"] = "laya"
    dim: int = 96
    temperature: float = 1.0
    psi: Literal["identity", "mlp"] = "identity"
    scorer_width: int | None = None
    attention_heads: int = 1
    uniform_start: bool = False
    rms_normalized: bool = False
    layer_normalized: bool = False
    dropout: float = 0.0
    layer_dropout: float = 0.0

    def __post_init__(self) -> None:
        _check_literal("head", self, "kind")
        _check_literal("head", self, "psi")
        _check_width("head.dim", self.dim)
        check_temperature(self.temperature, "head.temperature")
        if self.scorer_width is not None:
            _check_width("head.scorer_width", self.scorer_width)
        check_count("head.attention_heads", self.attention_heads)
        if self.dim % self.attention_heads:
            raise ValueError(
                f"head.attention_heads is {self.attention_heads}, expected a divisor of dim, {self.dim}"
            )
        for name in ("dropout", "layer_dropout"):
            share = getattr(self, name)
            check_number(f"head.{name}", share, lambda share: 0 <= share < 1, "from 0 to below 1")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Adam, and the schedule of its learning rate.

    Attributes:
      learning_rate: Highest learning rate.
      schedule: Schedule of the learning rate: constant, or cosine or linear decay to 0 over all epochs.
      warmup_steps: Number of steps over which the learning rate rises from 0.
      weight_decay: Decoupled weight decay (AdamW) of kernels and embeddings.
      clip_norm: Maximum norm of the gradient; None does not clip.
      epsilon: Epsilon of Adam; the default is that of Keras, as in the paper.
    """

    learning_rate: float = 1e-3
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    warmup_steps: int = 0
    weight_decay: float = 0.0
    clip_norm: float | None = None
    epsilon: float = 1e-7

    def __post_init__(self) -> None:
        _check_literal("optimizer", self, "schedule")
        check_number("optimizer.learning_rate", self.learning_rate, lambda rate: rate > 0, "above 0")
        check_count("optimizer.warmup_steps", self.warmup_steps, least=0)
        check_number("optimizer.weight_decay", self.weight_decay, lambda decay: decay >= 0, "of at least 0")
        check_number("optimizer.epsilon", self.epsilon, lambda epsilon: epsilon > 0, "above 0")
        if self.clip_norm is not None:
            check_number("optimizer.clip_norm", self.clip_norm, lambda norm: norm > 0, "above 0")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Cross-entropy and what is added to it.

    Attributes:
      label_smoothing: Share of the target that goes to all classes alike, from 0 to below 1.
      attention_entropy: Weight with which the mean entropy of the attention is subtracted from the loss:
        positive values spread attention over layers, negative ones sharpen it.
    """

    label_smoothing: float = 0.0
    attention_entropy: float = 0.0

    def __post_init__(self) -> None:
        check_number(
            "loss.label_smoothing", self.label_smoothing, lambda share: 0 <= share < 1, "from 0 to below 1"
        )
        check_number("loss.attention_entropy", self.attention_entropy)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that a run's result depends on.

    Attributes:
      data: Data set, and the way in which it is read and split.
      backbone: Network whose hidden states the head reads.
      head: Head that predicts from them.
      optimizer: Adam and its learning rate.
      loss: Loss that is minimised.
      seed: Random seed for initial weights and data order.
      epochs: Maximum number of epochs.
      batch_size: Number of examples per step, over all devices; fewer of your own are taken all at once.
      patience: Number of epochs without a better validation accuracy after which training stops.
      dtype: Data type of the computation; parameters are always float32.
    """

    data: DataConfig = DataConfig()
    backbone: BackboneConfig = BackboneConfig()
    head: HeadConfig = HeadConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    loss: LossConfig = LossConfig()
    seed: int = 0
    epochs: int = 50
    batch_size: int = 128
    patience: int = 5
    dtype: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        check_count("seed", self.seed, least=0)
        check_count("epochs", self.epochs)
        check_count("batch_size", self.batch_size)
        check_count("patience", self.patience)
        if self.seed >= 2**32:
            raise ValueError(f"seed is {self.seed}, expected less than 2**32")
        _check_literal("", self, "dtype")
        if self.loss.attention_entropy and self.head.kind != "laya":
            raise ValueError(
                f"loss.attention_entropy is {self.loss.attention_entropy}, expected 0: a head of kind "
                f"{self.head.kind!r} has no attention per input to regularise"
            )


def to_json(config: Any) -> dict[str, Any]:
    """Turns a config into what JSON holds.

    >>> to_json(HeadConfig(dim=8))["dim"]
    8
    """
    return dataclasses.asdict(config)


def placed_as(config: Config, other: Config) -> Config:
    """Moves a config's data and weights to the places of another config's, if both are of the same kind."""
    data, backbone, kind = config.data, config.backbone, kind_of(config.data.source)
    if kind == kind_of(other.data.source):
        source = other.data.source if kind in PATHS else data.source
        data = dataclasses.replace(data, source=source, directory=other.data.directory)
    if None not in (backbone.path, other.backbone.path):
        backbone = dataclasses.replace(backbone, path=other.backbone.path)
    return dataclasses.replace(config, data=data, backbone=backbone)


def differences(saved: Any, given: Any) -> list[str]:
    """Lists the fields in which two configs differ, each as a line.

    >>> differences(HeadConfig(dim=8), HeadConfig(dim=16))
    ['dim: 8 -> 16']
    """
    before, after = dict(flat(to_json(saved))), dict(flat(to_json(given)))
    return [
        f"{name}: {before.get(name)!r} -> {after.get(name)!r}"
        for name in before | after
        if before.get(name) != after.get(name)
    ]


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the values of nested objects with their names, joined by dots."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
