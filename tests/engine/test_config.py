import dataclasses
import json

import pytest

from laya_jax.data import DataConfig
from laya_jax.engine.config import differences, from_json, to_json
from laya_jax.engine.presets import config_for
from laya_jax.training import EXPERIMENTS, BackboneConfig, Config, HeadConfig, LossConfig, OptimizerConfig


@pytest.mark.parametrize("config", EXPERIMENTS.values(), ids=EXPERIMENTS.keys())
def test_a_config_survives_json(config):
    assert from_json(Config, json.loads(json.dumps(to_json(config)))) == config


def test_a_file_with_a_field_of_another_version_is_refused():
    with pytest.raises(ValueError, match=r"head\.depth is a field that this version does not know"):
        from_json(Config, {"head": {"depth": 3}})
    with pytest.raises(ValueError, match="head is 3, expected an object"):
        from_json(Config, {"head": 3})


def test_differences_name_every_field():
    other = Config(seed=1, head=HeadConfig(temperature=0.5), data=DataConfig(source="cifar10"))
    assert differences(Config(), other) == [
        "data.source: 'digits' -> 'cifar10'",
        "head.temperature: 1.0 -> 0.5",
        "seed: 0 -> 1",
    ]
    assert differences(other, other) == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Config(epochs=0), "epochs is 0, expected at least 1"),
        (lambda: Config(seed=-1), "seed is -1, expected at least 0"),
        (lambda: Config(seed=2**32), r"seed is 4294967296, expected a number below 2\*\*32"),
        (lambda: Config(dtype="float16"), "dtype is 'float16', expected one of"),
        (lambda: HeadConfig(kind="lasya"), r"head\.kind is 'lasya', expected one of 'laya'"),
        (lambda: HeadConfig(temperature=0.0), r"head\.temperature is 0\.0"),
        (lambda: HeadConfig(scorer_width=0), r"head\.scorer_width is 0"),
        (lambda: BackboneConfig(widths=()), r"backbone\.widths is empty"),
        (
            lambda: OptimizerConfig(learning_rate=-1.0),
            r"optimizer\.learning_rate is -1\.0, expected a number above 0",
        ),
        (lambda: OptimizerConfig(learning_rate=float("nan")), r"optimizer\.learning_rate is nan"),
        (lambda: OptimizerConfig(clip_norm=0.0), r"optimizer\.clip_norm is 0\.0"),
        (lambda: LossConfig(label_smoothing=1.0), r"loss\.label_smoothing is 1\.0"),
        (lambda: DataConfig(validation_fraction=0.0), r"data\.validation_fraction is 0\.0"),
        (lambda: DataConfig(source="cifar"), r"data\.source is 'cifar' \(did you mean 'cifar10'\?\)"),
        (lambda: DataConfig(source="images:"), r"data\.source is 'images:'"),
    ],
)
def test_wrong_values_name_the_field_and_what_came(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_regulariser_of_attention_needs_attention():
    with pytest.raises(
        ValueError, match=r"loss\.attention_entropy is 0\.1, expected 0: a head of kind 'concat'"
    ):
        Config(head=HeadConfig(kind="concat"), loss=LossConfig(attention_entropy=0.1))


def test_named_experiments_are_those_of_the_paper():
    fashion, cifar, imdb = (EXPERIMENTS[name].head for name in ("fashion-mnist", "cifar10", "imdb"))
    assert (fashion.dim, fashion.temperature, fashion.psi, fashion.scorer_width) == (96, 1.5, "identity", 192)
    assert (cifar.dim, cifar.temperature, cifar.psi, cifar.scorer_width) == (128, 1.0, "identity", 128)
    assert (imdb.dim, imdb.temperature, imdb.psi, imdb.scorer_width) == (96, 1.3, "mlp", 192)


def test_data_of_ones_own_get_a_backbone_that_reads_them():
    assert config_for("images:here").backbone.kind == "separable_cnn"
    assert config_for("texts:here.csv").backbone.kind == "bilstm"
    assert config_for("npz:here.npz").data.source == "npz:here.npz"
    with pytest.raises(ValueError, match="fashion-mnist"):
        config_for("fashion-mnits")


def test_a_config_can_be_a_key():
    assert len({Config(), dataclasses.replace(Config()), Config(seed=1)}) == 2
