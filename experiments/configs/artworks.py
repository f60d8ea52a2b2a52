"""LAYA on paintings with a frozen ViT: the paper's training recipe, and the recommended one."""

import dataclasses

from laya_jax.engine import config_for
from laya_jax.training import Config, HeadConfig, OptimizerConfig

VIT, PAINTINGS = "~/.cache/laya_models/vit-s14", "~/datasets/wikiart11"
"""Default paths of the pretrained ViT and of the folder of paintings."""


def configs_of(vit: str = VIT, paintings: str = PAINTINGS) -> dict[str, Config]:
    """Returns the config of each training recipe, by name."""
    recommended = config_for(f"images:{paintings}", f"vit:{vit}", freeze=True)
    paper = dataclasses.replace(
        recommended,
        head=HeadConfig(),
        optimizer=OptimizerConfig(learning_rate=3e-5),
        epochs=15,
        patience=3,
    )
    return {"paper's training": paper, "recommended": recommended}
