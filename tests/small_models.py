"""Small models as files hold them, with random weights."""

import json

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict
from safetensors.numpy import save_file

from laya_jax.backbones import BERT, ViT

SMALL = ViT(patch_size=4, width=8, depth=2, heads=2, mlp_width=12, grid=(3, 3))
IMAGES = jnp.ones((1, 12, 12, 3))
SMALL_BERT = BERT(vocabulary_size=11, width=8, depth=1, heads=2, mlp_width=12, max_length=6)
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", "film", "a", "##s", "dull", "fine")


def tensors(backbone, inputs, seed=1):
    """Random parameters by path."""
    shapes = jax.eval_shape(backbone.init, jax.random.key(0), inputs)["params"]
    leaves, structure = jax.tree.flatten(shapes)

    @jax.jit
    def draw(key):
        keys = jax.random.split(key, len(leaves))
        return [jax.random.normal(key, leaf.shape) for leaf, key in zip(leaves, keys, strict=True)]

    drawn = draw(jax.random.key(seed))
    return flatten_dict(jax.tree.map(np.asarray, jax.tree.unflatten(structure, drawn)), sep="/")


def hugging_face(of, kind):
    """The arrays of a small ViT as Hugging Face's files of this kind hold them."""
    names = {
        "vit": ("layernorm_before", "layernorm_after", "intermediate.dense", "output.dense"),
        "dinov2": ("norm1", "norm2", "mlp.fc1", "mlp.fc2"),
    }[kind]
    arrays = {
        "embeddings.cls_token": of["class_token"].reshape(1, 1, 8),
        "embeddings.position_embeddings": of["positions"].reshape(1, 10, 8),
        "embeddings.patch_embeddings.projection.weight": of["patches/kernel"]
        .reshape(4, 4, 3, 8)
        .transpose(3, 2, 0, 1),
        "embeddings.patch_embeddings.projection.bias": of["patches/bias"],
        "layernorm.weight": np.ones(8, np.float32),
        "layernorm.bias": np.zeros(8, np.float32),
    }
    for i in range(2):
        layer = f"encoder.layer.{i}"
        denses = {
            f"{layer}.attention.output.dense": f"block_{i}/attention/out",
            f"{layer}.{names[2]}": f"block_{i}/mlp/hidden",
            f"{layer}.{names[3]}": f"block_{i}/mlp/out",
            **{
                f"{layer}.attention.attention.{part}": f"block_{i}/attention/{part}"
                for part in ("query", "key", "value")
            },
        }
        for theirs, ours in denses.items():
            arrays[f"{theirs}.weight"], arrays[f"{theirs}.bias"] = of[f"{ours}/kernel"].T, of[f"{ours}/bias"]
        for theirs, ours in ((names[0], "norm_1"), (names[1], "norm_2")):
            arrays[f"{layer}.{theirs}.weight"] = of[f"block_{i}/{ours}/scale"]
            arrays[f"{layer}.{theirs}.bias"] = of[f"block_{i}/{ours}/bias"]
        if kind == "dinov2":
            for number in (1, 2):
                arrays[f"{layer}.layer_scale{number}.lambda1"] = of[f"block_{i}/scale_{number}"]
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


SIZES = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
CONFIGS = {
    "vit": {**SIZES, "intermediate_size": 12, "image_size": 12, "patch_size": 4},
    "dinov2": {**SIZES, "mlp_ratio": 1.5, "image_size": 12, "patch_size": 4},
    "bert": {
        **SIZES,
        "num_hidden_layers": 1,
        "intermediate_size": 12,
        "vocab_size": 11,
        "max_position_embeddings": 6,
    },
}
"""The sizes of the small models, as the files of each kind say them."""


def write(folder, kind, arrays):
    folder.mkdir(exist_ok=True)
    change_json(folder / "config.json", model_type=kind, **CONFIGS[kind])
    save_file(arrays, folder / "model.safetensors")
    return folder


def change_json(path, without=(), **changes):
    """Sets keys of the JSON object in a file, which need not be there, and takes others away."""
    values = {**(json.loads(path.read_text()) if path.exists() else {}), **changes}
    path.write_text(json.dumps({key: value for key, value in values.items() if key not in without}))


def write_vit(folder, kind="vit", seed=1):
    """A ViT that reads images of 12 x 12 pixels or other multiples of 4."""
    model = SMALL.clone(layer_scale=kind == "dinov2")
    return write(folder, kind, hugging_face(tensors(model, IMAGES, seed), kind))


def write_bert(folder, of=None):
    """A BERT of one layer, with its tokenizer."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    of = tensors(SMALL_BERT, jnp.ones((1, 3), int)) if of is None else of
    arrays = {
        "embeddings.word_embeddings.weight": of["words/embedding"],
        "embeddings.position_embeddings.weight": of["positions"],
        "embeddings.token_type_embeddings.weight": np.concatenate(
            [of["segment"], np.full((1, 8), 9.0, np.float32)]
        ),
        "embeddings.position_ids": np.arange(6)[None],
        "pooler.dense.weight": np.zeros((8, 8), np.float32),
    }
    denses = {f"attention.self.{part}": f"attention/{part}" for part in ("query", "key", "value")}
    denses |= {
        "attention.output.dense": "attention/out",
        "intermediate.dense": "mlp/hidden",
        "output.dense": "mlp/out",
    }
    norms = {"attention.output.LayerNorm": "norm_1", "output.LayerNorm": "norm_2"}
    for theirs, ours in denses.items():
        arrays[f"encoder.layer.0.{theirs}.weight"] = np.ascontiguousarray(of[f"layer_0/{ours}/kernel"].T)
        arrays[f"encoder.layer.0.{theirs}.bias"] = of[f"layer_0/{ours}/bias"]
    for theirs, ours in norms.items():
        arrays[f"encoder.layer.0.{theirs}.weight"] = of[f"layer_0/{ours}/scale"]
        arrays[f"encoder.layer.0.{theirs}.bias"] = of[f"layer_0/{ours}/bias"]
    arrays |= {"embeddings.LayerNorm.weight": of["norm/scale"], "embeddings.LayerNorm.bias": of["norm/bias"]}
    write(folder, "bert", arrays)
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = (
        normalizers.BertNormalizer(),
        pre_tokenizers.BertPreTokenizer(),
    )
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.add_special_tokens(list(WORDS[:4]))
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
