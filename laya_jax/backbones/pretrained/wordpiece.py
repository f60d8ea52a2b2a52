"""Tokenizer of a BERT that has only ``vocab.txt``, equivalent to transformers' BertTokenizer."""

from collections.abc import Mapping
from pathlib import Path

from laya_jax.backbones.pretrained.folder import read_object, read_text, shown
from laya_jax.typing import JsonObject

VOCABULARY, SETTINGS = "vocab.txt", "tokenizer_config.json"
SPECIAL_MAP, ADDED = "special_tokens_map.json", "added_tokens.json"

SPECIAL = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
"""Default special tokens, by their role."""

CHOICES: Mapping[str, tuple[object, ...]] = {
    "do_lower_case": (True, False),
    "tokenize_chinese_chars": (True, False),
    "strip_accents": (None, True, False),
    "tokenizer_class": ("BertTokenizer", "BertTokenizerFast", None),
    "do_basic_tokenize": (True,),
    "never_split": (None, []),
    "clean_text": (True,),
    "wordpieces_prefix": ("##",),
    "split_special_tokens": (False, None),
}
"""Settings that change the tokens, with their supported values, the default first."""


def from_vocabulary(folder: Path) -> str:
    """Builds the content of a ``tokenizer.json`` from a vocabulary and the settings next to it.

    Raises:
      ValueError: A file cannot be read, or its settings would produce different tokens.
    """
    # Imported here because image models do not need tokenizers.
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    words = _numbered_words(folder / VOCABULARY)
    settings = read_settings(folder)
    special = _special_tokens(folder, settings, words)
    plain = set(words).difference(special.values(), SPECIAL.values())
    if "do_lower_case" not in settings and any(word != word.lower() for word in plain):
        raise ValueError(
            f"{folder / VOCABULARY} has words with capitals, but {SETTINGS} has no do_lower_case; set it "
            "there to true or false"
        )
    for key, choices in CHOICES.items():
        value = settings.setdefault(key, choices[0])
        if (type(value), value) not in [(type(choice), choice) for choice in choices]:
            raise ValueError(f"{key} of {folder / SETTINGS} is {shown(value)}, expected {choices[0]!r}")
    tokenizer = Tokenizer(models.WordPiece(words, unk_token=special["unk_token"]))
    tokenizer.normalizer = normalizers.BertNormalizer(
        handle_chinese_chars=settings["tokenize_chinese_chars"],
        strip_accents=settings["strip_accents"],
        lowercase=settings["do_lower_case"],
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [(special[key], words[special[key]]) for key in ("sep_token", "cls_token")]
    tokenizer.post_processor = processors.BertProcessing(*ends)
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(list(special.values()))
    tokenizer.enable_padding(pad_id=words[special["pad_token"]], pad_token=special["pad_token"])
    content: str = tokenizer.to_str()
    return content


def read_settings(folder: Path) -> JsonObject:
    """Reads the settings of a tokenizer; empty if there is no such file."""
    return _optional(folder / SETTINGS)


def _numbered_words(path: Path) -> dict[str, int]:
    """Reads the words of a vocabulary, numbered by line."""
    lines = read_text(path).replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
    return {word: number for number, word in enumerate(lines)}


def _special_tokens(folder: Path, settings: JsonObject, words: Mapping[str, int]) -> dict[str, str]:
    """Returns the special tokens by role; a vocabulary may lack a mask token."""
    named = {**SPECIAL, **_optional(folder / SPECIAL_MAP), **settings}
    special = {key: _content(named[key]) for key in SPECIAL}
    known = {key: token for key, token in special.items() if isinstance(token, str) and token in words}
    for key in SPECIAL.keys() - known.keys() - {"mask_token"}:
        raise ValueError(f"{key} of {folder} is {shown(special[key])}, expected a word of {VOCABULARY}")
    check_added(folder, settings, {token: words[token] for token in known.values()}, VOCABULARY)
    return known


def check_added(folder: Path, settings: JsonObject, known: Mapping[object, object], file: str) -> None:
    """Checks that a tokenizer has every token that the files beside it add.

    Args:
      folder: Path of the folder.
      settings: Settings of the tokenizer.
      known: Number of each special token.
      file: Name of the tokenizer's own file, for messages.

    Raises:
      ValueError: A token is missing, or has another number.
    """
    listed = settings.get("added_tokens_decoder", {})
    if not isinstance(listed, dict):
        raise ValueError(
            f"added_tokens_decoder of {folder / SETTINGS} is {shown(listed)}, expected an object"
        )
    added = [(_content(token), number) for number, token in listed.items()]
    for token, number in [*added, *_optional(folder / ADDED).items()]:
        if not isinstance(token, str) or str(known.get(token)) != str(number):
            raise _added_error(folder, token, file)
    named = {**_optional(folder / SPECIAL_MAP), **settings}
    for key in ("additional_special_tokens", "extra_special_tokens"):
        tokens = named.get(key) or []
        if not isinstance(tokens, list | dict):
            raise ValueError(f"{key} of {folder} is {shown(tokens)}, expected a list of tokens")
        for token in map(_content, tokens.values() if isinstance(tokens, dict) else tokens):
            if not isinstance(token, str) or token not in known:
                raise _added_error(folder, token, file)


def _added_error(folder: Path, token: object, file: str) -> ValueError:
    return ValueError(
        f"{folder} adds the token {shown(token)} to {file}, which needs a tokenizer.json with it"
    )


def _content(token: object) -> object:
    """Returns the text of a token, which may be given as an object with further settings."""
    return token.get("content") if isinstance(token, dict) else token


def _optional(path: Path) -> JsonObject:
    return read_object(path) if path.exists() else {}
