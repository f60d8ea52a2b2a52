"""Settings of a training run: nested frozen dataclasses whose fields are all command-line options."""

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias

from laya_jax.backbones import BACKBONES
from laya_jax.checks import check_choice, check_count, check_counts, check_number
from laya_jax.data import PATHS, DataConfig, kind_of
from laya_jax.engine.heads import HEADS, make_head
from laya_jax.engine.typed import from_json as from_json  # the inverse of ``to_json``
from laya_jax.typing import JsonObject

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

LARGEST_WIDTH, MOST_WIDTHS = 2**24, 1000
"""Upper bounds on widths and on their number, so that a mistake or a crafted file cannot exhaust memory."""

PRETRAINED = tuple(kind for kind, row in BACKBONES.items() if row.pretrained)
"""Kinds of backbones with pretrained weights."""

KernelName: TypeAlias = Literal["linear", "additive", "gated"]
"""Kernels between examples, for a head solved in closed form."""


def _check_literal(section: str, config: object, field: str) -> None:
    choices = typing.get_args(typing.get_type_hints(type(config))[field])
    check_choice(f"{section}.{field}" if section else field, getattr(config, field), choices)


def _check_width(name: str, width: int) -> None:
    check_count(name, width)
    if width > LARGEST_WIDTH:
        raise ValueError(f"{name} is {width}, expected at most {LARGEST_WIDTH:,}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BackboneConfig:
    """Backbone whose hidden states the head reads.

    Attributes:
      kind: Kind of network: mlp (images or features), separable_cnn (images) or bilstm (texts), randomly
        initialised; vit (images) or bert (texts), pretrained.
      widths: Widths of the hidden states, in order; for bilstm, per direction. Not for vit and bert.
      embedding_dim: Width of the token embedding; bilstm only.
      path: Path of the pretrained weights of a vit or bert: a folder in Hugging Face format, hub:OWNER/NAME,
        or Google's .npz of a ViT.
      pooling: Pooling of a vit or bert over positions. None uses the pooling of a sentence-transformers
        model, and otherwise cls for vit and mean for bert. cls+mean and mean+std join the class token and
        the mean, or the mean and the standard deviation, which doubles the width.
      freeze: Freeze the weights of a vit or bert. Hidden states are then computed once and cached for later
        runs.
    """

    kind: Literal["mlp", "separable_cnn", "bilstm", "vit", "bert"] = "mlp"
    widths: tuple[int, ...] = (512, 256, 128)
    embedding_dim: int = 128
    path: str | None = None
    pooling: Literal["cls", "mean", "cls+mean", "mean+std"] | None = None
    freeze: bool = False

    def __post_init__(self) -> None:
        _check_literal("backbone", self, "kind")
        check_counts("backbone.widths", self.widths)
        if len(self.widths) > MOST_WIDTHS:
            raise ValueError(
                f"backbone.widths has {len(self.widths):,} widths, expected at most {MOST_WIDTHS:,}"
            )
        for index, width in enumerate(self.widths):
            _check_width(f"backbone.widths[{index}]", width)
        _check_width("backbone.embedding_dim", self.embedding_dim)
        if self.pooling is not None:
            check_choice("backbone.pooling", self.pooling, ("cls", "mean", "cls+mean", "mean+std"))
        pretrained = self.kind in PRETRAINED
        if pretrained != (self.path is not None):
            expected = f"a pretrained {self.kind}" if pretrained else f"None for {self.kind!r}"
            raise ValueError(f"backbone.path is {self.path!r}, expected {expected}")
        if self.pooling is not None and not pretrained:
            raise ValueError(f"backbone.pooling is {self.pooling!r}, expected None for {self.kind!r}")
        if self.freeze and not pretrained:
            raise ValueError(
                f"backbone.freeze is True for {self.kind!r}, which is randomly initialised, expected a "
                f"pretrained backbone, {' or '.join(PRETRAINED)}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """Output head.

    Attributes:
      kind: Kind of head: laya (attention over layers, per input), last_layer (the usual output layer),
        concat (concatenation of all layers), scalar_mix (one learned weight per layer for all inputs) or
        kernel (solved in closed form on a frozen backbone, with unique layer contributions).
      dim: Shared width that all layers are projected to; not for last_layer.
      temperature: Softmax temperature of the layer scores; smaller values sharpen attention. laya only.
      psi: Input of the scorer: the projected layers (identity) or a shared MLP of them (mlp). laya only.
      scorer_width: Hidden width of the scorer; None means dim. laya only.
      attention_heads: Number of attention heads, each weighing the layers for its own slice of dim. laya
        only.
      uniform_start: Start training from uniform attention. laya only.
      rms_normalized: Apply RMS normalisation to every projected layer; not for last_layer.
      layer_normalized: Standardise every hidden state to mean 0 and variance 1 before the head reads it.
      dropout: Dropout rate of the projected layers; not for last_layer.
      layer_dropout: Probability of masking each layer of an example during training; not for last_layer.
      kernel: Kernel of a kernel head: linear (ridge regression on all layers), additive (a Gaussian kernel
        per layer) or gated (a linear classifier per layer, whose weights depend on the input). None chooses
        the simplest within one standard error of the best accuracy on the validation split; the run's config
        records the choice.
      landmarks: Number of training examples whose hidden states a kernel head stores. None stores all of
        them, or 4,000 if there are more than 20,000; the run's config records the number.
    """

    kind: Literal["laya", "last_layer", "concat", "scalar_mix", "kernel"] = "laya"
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
    kernel: KernelName | None = None
    landmarks: int | None = None

    def __post_init__(self) -> None:
        _check_literal("head", self, "kind")
        _check_width("head.dim", self.dim)
        if self.scorer_width is not None:
            _check_width("head.scorer_width", self.scorer_width)
        for kind in HEADS:  # also settings that this kind does not have
            try:
                make_head(kind, self, num_classes=1)
            except (TypeError, ValueError) as error:
                raise type(error)(f"head.{error}") from None


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Adam and its learning rate schedule.

    Attributes:
      learning_rate: Peak learning rate.
      schedule: Learning rate schedule: constant, or cosine or linear decay to 0 over all epochs.
      warmup_steps: Number of linear warm-up steps.
      weight_decay: Decoupled weight decay (AdamW) of kernels and embeddings.
      clip_norm: Maximum global norm of the gradient; None disables clipping.
      epsilon: Epsilon of Adam; the default is Keras's, as in the paper.
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
    """Cross-entropy and its regularisation.

    Attributes:
      label_smoothing: Label smoothing factor, from 0 to below 1.
      attention_entropy: Weight of the mean attention entropy, which is subtracted from the loss: positive
        values spread attention over layers, negative values sharpen it.
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
    """All settings that determine a run's result.

    Attributes:
      data: Data set, and how it is read and split.
      backbone: Backbone whose hidden states the head reads.
      head: Output head.
      optimizer: Adam and its learning rate schedule.
      loss: Training loss.
      seed: Random seed for initial weights and data order.
      epochs: Maximum number of epochs.
      batch_size: Number of examples per step, over all devices; capped at the size of your own data.
      patience: Number of epochs without a better validation accuracy after which training stops.
      dtype: Dtype of the computation; parameters are always float32.
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
            raise ValueError(f"seed is {self.seed}, expected a number below 2**32")
        _check_literal("", self, "dtype")
        solved = HEADS[self.head.kind].is_solved
        if solved and not self.backbone.freeze:
            raise ValueError(
                f"head.kind is {self.head.kind!r}, which is solved in closed form, expected a frozen "
                "backbone: add --backbone vit:PATH or bert:PATH, and --freeze"
            )
        if solved and self.dtype != "float32":
            raise ValueError(f"dtype is {self.dtype!r}, expected float32 for a {self.head.kind} head")
        if self.loss.attention_entropy and not HEADS[self.head.kind].weighs_per_input:
            raise ValueError(
                f"loss.attention_entropy is {self.loss.attention_entropy}, expected 0: a head of kind "
                f"{self.head.kind!r} has no attention per input to regularise"
            )


def to_json(config: "DataclassInstance") -> JsonObject:
    """Converts a config to JSON-compatible values.

    >>> to_json(HeadConfig(dim=8))["dim"]
    8
    """
    return dataclasses.asdict(config)


def placed_as(config: Config, other: Config) -> Config:
    """Replaces a config's data and weight paths by those of another config, if both are of the same kind."""
    data, backbone, kind = config.data, config.backbone, kind_of(config.data.source)
    if kind == kind_of(other.data.source):
        source = other.data.source if kind in PATHS else data.source
        data = dataclasses.replace(data, source=source, directory=other.data.directory)
    if None not in (backbone.path, other.backbone.path):
        backbone = dataclasses.replace(backbone, path=other.backbone.path)
    return dataclasses.replace(config, data=data, backbone=backbone)


def differences(saved: "DataclassInstance", given: "DataclassInstance") -> list[str]:
    """Lists the fields in which two configs differ, one line each.

    >>> differences(HeadConfig(dim=8), HeadConfig(dim=16))
    ['dim: 8 -> 16']
    """
    before, after = dict(flat(to_json(saved))), dict(flat(to_json(given)))
    return [
        f"{name}: {before.get(name)!r} -> {after.get(name)!r}"
        for name in before | after
        if before.get(name) != after.get(name)
    ]


def flat(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yields the leaves of nested objects with their dotted names."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
