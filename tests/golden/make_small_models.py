"""Makes the folders small_*: random models as Hugging Face writes them, and what they give.

pip install torch transformers && python tests/golden/make_small_models.py
"""

from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
SIZES = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
PIXELS = {"image_size": 12, "patch_size": 4}


def main() -> None:
    """Writes the folders."""
    import torch
    import transformers as hugging_face

    torch.manual_seed(0)
    images = torch.randn(2, 3, 12, 12)
    # Larger than what there are position embeddings for, which are interpolated.
    large_images = torch.randn(2, 3, 16, 24)
    tokens = torch.tensor([[2, 7, 4, 6, 3], [2, 9, 3, 0, 0]])
    mask = (tokens != 0).long()
    models = {
        "small_vit": (
            hugging_face.ViTModel(hugging_face.ViTConfig(**SIZES, **PIXELS, intermediate_size=12)),
            {"pixel_values": images},
        ),
        "small_dinov2": (
            hugging_face.Dinov2Model(hugging_face.Dinov2Config(**SIZES, **PIXELS, mlp_ratio=2)),
            {"pixel_values": large_images},
        ),
        "small_bert": (
            hugging_face.BertModel(
                hugging_face.BertConfig(
                    **SIZES, intermediate_size=12, vocab_size=11, max_position_embeddings=6
                )
            ),
            {"input_ids": tokens, "attention_mask": mask},
        ),
    }
    for name, (model, inputs) in models.items():
        write(name, model, inputs)
    torch.manual_seed(0)
    oblong = hugging_face.ViTConfig(**SIZES, image_size=[16, 8], patch_size=[4, 4], intermediate_size=12)
    classifier = hugging_face.ViTForImageClassification(oblong)
    # In shards, with a head.
    write("small_oblong_vit", classifier, {"pixel_values": torch.randn(2, 3, 16, 8)}, max_shard_size="4KB")


def write(name, model, inputs, **options) -> None:
    """Writes a model with random weights, and its hidden states for these inputs."""
    import torch

    for parameter in model.parameters():
        # Attention of weights as small as they start with is uniform, and would hide mistakes.
        torch.nn.init.normal_(parameter, std=0.5)
    model.eval().save_pretrained(FOLDER / name, **options)
    with torch.no_grad():
        found = model(**inputs, output_hidden_states=True).hidden_states
    arrays = {key: value.numpy() for key, value in inputs.items()}
    np.savez(FOLDER / name / "golden.npz", hidden_states=np.stack(found), **arrays)


if __name__ == "__main__":
    main()
