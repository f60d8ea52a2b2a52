"""Download of models from the Hugging Face hub."""

from pathlib import Path

PREFIX = "hub:"

FILES = (
    "config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*-of-*.safetensors",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "sentence_bert_config.json",
)
"""Patterns of the files of a model, none of which contains code."""

MODULES = ("modules.json", "config_sentence_transformers.json", "*_Pooling/config.json")
"""Patterns of the additional files of sentence-transformers."""

TRANSFORMER = "0_Transformer/"
"""Folder of the transformer's files in older sentence-transformers models."""


def local_path(path: str | Path) -> Path:
    """Returns the local path of a pretrained model, downloading ``hub:owner/name`` first.

    >>> local_path("models/vit").name
    'vit'

    Raises:
      FileNotFoundError: The model is not on the hub, or the hub is unreachable.
    """
    if not str(path).startswith(PREFIX):
        return Path(path).expanduser()
    name = str(path).removeprefix(PREFIX)
    try:
        from huggingface_hub import snapshot_download
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error.name} is missing; models on the hub need: pip install 'laya-jax[hub]'", name=error.name
        ) from None
    patterns = [*FILES, *MODULES, *(TRANSFORMER + file for file in FILES)]
    try:
        return Path(snapshot_download(name, allow_patterns=patterns))
    except Exception as error:  # no network, no such model, no permission: the exceptions vary
        reason = " ".join(str(error).split())  # some span many lines
        raise FileNotFoundError(f"{name} cannot be downloaded from the hub: {reason}") from error
