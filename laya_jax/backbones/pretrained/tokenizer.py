"""Tokenizer of a pretrained BERT, and the texts that the model was trained for."""

import json
from pathlib import Path

from laya_jax.backbones.pretrained.config import read_config
from laya_jax.backbones.pretrained.folder import read_text, shown
from laya_jax.backbones.pretrained.hub import local_path
from laya_jax.backbones.pretrained.sentence import TEXTS, not_applied, text_settings, transformer_folder
from laya_jax.backbones.pretrained.wordpiece import (
    SETTINGS,
    VOCABULARY,
    check_added,
    from_vocabulary,
    read_settings,
)
from laya_jax.typing import JsonObject

TOKENIZER = "tokenizer.json"

NORMALIZER = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}
"""Settings of the tokenizer config and their names in BERT's normaliser; transformers follows the former."""


def read_tokenizer(path: str | Path) -> str:
    """Reads a pretrained BERT's ``tokenizer.json``, or builds one from ``vocab.txt``.

    Args:
      path: Path or name of the model, as for ``load_pretrained``.

    Raises:
      FileNotFoundError: There is neither file.
      ValueError: A file cannot be read, or its settings would produce different tokens.
    """
    local = local_path(path)
    folder = transformer_folder(local)
    if (folder / TOKENIZER).exists():
        content = read_text(folder / TOKENIZER)
    elif (folder / VOCABULARY).exists():
        content = from_vocabulary(folder)
    else:
        raise FileNotFoundError(
            f"no tokenizer in {folder}: it has no {TOKENIZER} and no {VOCABULARY}; copy the model's there"
        )
    values, settings = _parsed(content), read_settings(folder)
    normalizer = _object(values.get("normalizer"))
    for key, name in NORMALIZER.items():
        found = _lowers(normalizer) if name == "lowercase" else normalizer.get(name, settings.get(key))
        if key in settings and found != settings[key]:
            raise ValueError(
                f"{key} of {folder / SETTINGS} is {shown(settings[key])}, but {name} of {TOKENIZER} is "
                f"{shown(found)}; make them agree"
            )
    if (folder / TOKENIZER).exists():
        check_added(folder, settings, _special(values), TOKENIZER)
        if settings.get("split_special_tokens"):
            raise ValueError(f"split_special_tokens of {folder / SETTINGS} is true, expected false")
    if text_settings(local).get("do_lower_case") and not _lowers(normalizer):
        raise ValueError(
            f"do_lower_case of {folder / TEXTS} is true, expected false: the tokenizer keeps capitals"
        )
    return content


def check_embedded(path: str | Path, size: int) -> None:
    """Checks that a pretrained BERT has an embedding for every token.

    Args:
      path: Path or name of the model, as for ``load_pretrained``.
      size: Number of tokens of the model's tokenizer.

    Raises:
      ValueError: There are too few embeddings.
    """
    config = read_config(transformer_folder(local_path(path)))
    embedded = config.count("vocab_size")
    if size > embedded:
        raise ValueError(
            f"the tokenizer of {path} has {size:,} tokens, expected at most vocab_size of {config.path}, "
            f"{embedded:,}"
        )


def text_notes(path: str | Path, max_length: int) -> tuple[str, ...]:
    """Returns notes on texts longer than in a model's training, and on steps that are not applied here.

    Args:
      path: Path or name of the model, as for ``load_pretrained``.
      max_length: Maximum number of tokens per text.
    """
    local = local_path(path)
    folder = transformer_folder(local)
    limits = {
        TEXTS: text_settings(local).get("max_seq_length"),
        SETTINGS: read_settings(folder).get("model_max_length"),
    }
    exceeded = [
        f"{folder / name}: the model was trained on texts of up to {longest} tokens, here they have up to "
        f"{max_length} (data.max_length)"
        for name, longest in limits.items()
        if type(longest) is int and 0 < longest < max_length
    ]
    return (*exceeded, *not_applied(local))


def _parsed(content: str) -> JsonObject:
    """Reads the object in a ``tokenizer.json``; errors in the file are left to ``tokenizers``."""
    try:
        return _object(json.loads(content))
    except (ValueError, RecursionError):
        return {}


def _object(value: object) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _special(values: JsonObject) -> dict[object, object]:
    """Returns the numbers of the tokens that a ``tokenizer.json`` takes before all others."""
    added = values.get("added_tokens")
    tokens = map(_object, added if isinstance(added, list) else ())
    return {token.get("content"): token.get("id") for token in tokens}


def _lowers(normalizer: JsonObject) -> bool:
    """Returns True for a normaliser that lowercases texts.

    >>> _lowers({"type": "Sequence", "normalizers": [{"type": "Lowercase"}]}), _lowers({"type": "NFC"})
    (True, False)
    """
    parts = normalizer.get("normalizers", ())
    return (
        normalizer.get("type") == "Lowercase"
        or normalizer.get("lowercase") is True
        or any(map(_lowers, parts))
    )
