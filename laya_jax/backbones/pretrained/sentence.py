"""Folders of sentence-transformers: location of the transformer, and pooling of its hidden states."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from laya_jax.backbones.pretrained.folder import check_folder, read_json, read_object, shown
from laya_jax.typing import JsonObject

MODULES, TEXTS, PROMPTS = "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"

MODES = {
    "cls": "cls",
    "cls_token": "cls",
    "max": "max",
    "max_tokens": "max",
    "mean": "mean",
    "mean_tokens": "mean",
    "mean_sqrt_len_tokens": None,
    "weightedmean": None,
    "weightedmean_tokens": None,
    "lasttoken": "last",
}
"""Our poolings by sentence-transformers' names, in the order for joining several; None if unsupported."""

AFTER = {"Dense", "Dropout", "LayerNorm", "Normalize"}
"""Modules that change only the pooled last hidden state."""

ANOTHER = "or set --backbone.pooling to pool the transformer's hidden states directly"

LEGACY = "pooling_mode_"
"""Prefix of the older flags, one for each mode, which a single key has replaced."""


class Module(NamedTuple):
    """Module of a sentence-transformers model.

    Attributes:
      kind: Name of the module's class.
      folder: Path of the module's files.
    """

    kind: str
    folder: Path


def transformer_folder(path: Path) -> Path:
    """Returns the folder of a model's config and weights: the path, or the sub-folder in ``modules.json``.

    Raises:
      FileNotFoundError: There is no such folder, or it is empty.
      ValueError: The path is a file, or the first module is not a transformer.
    """
    check_folder(path)
    modules = _modules(path)
    if not modules:
        return path
    if modules[0].kind != "Transformer":
        raise ValueError(f"{path / MODULES} starts with {modules[0].kind}, expected Transformer")
    check_folder(modules[0].folder)
    return modules[0].folder


def default_pooling(path: Path) -> str | None:
    """Returns the pooling after the transformer, or None if there is none.

    Raises:
      ValueError: The next module is not a pooling, or the pooling is not supported.
    """
    modules = _modules(path)[1:]
    if not modules:
        return None
    kinds = [module.kind for module in modules]
    if kinds[0] != "Pooling" or not AFTER.issuperset(kinds[1:]):
        raise ValueError(
            f"{path / MODULES} has {', '.join(kinds)[:200]} after its Transformer, expected Pooling, "
            f"followed only by {', '.join(sorted(AFTER))}; {ANOTHER}"
        )
    file = modules[0].folder / "config.json"
    modes = list(_modes(read_object(file), file))
    if any(MODES.get(mode) is None for mode in modes):
        raise ValueError(
            f"pooling_mode of {file} is {shown(modes)}, expected some of cls, mean, max and lasttoken; "
            f"{ANOTHER}"
        )
    return "+".join(str(MODES[mode]) for mode in modes)


def text_settings(path: Path) -> JsonObject:
    """Reads the text settings of a sentence-transformers model; empty for other models."""
    file = transformer_folder(path) / TEXTS
    return read_object(file) if file.exists() else {}


def not_applied(path: Path) -> Iterator[str]:
    """Yields notes on steps of sentence-transformers that are not applied here."""
    kinds = [module.kind for module in _modules(path) if module.kind not in ("Transformer", "Pooling")]
    if kinds:
        yield f"{path / MODULES}: {', '.join(kinds)} of the last hidden state is not applied"
    if (path / PROMPTS).exists():
        values = read_object(path / PROMPTS)
        prompt = values.get("default_prompt_name")
        if prompt is not None:
            yield f"{path / PROMPTS}: the prompt {shown(prompt)} is not prepended to texts"


def _modules(path: Path) -> list[Module]:
    file = path / MODULES
    if not file.exists():
        return []
    found = read_json(file)
    modules = []
    for entry in found if isinstance(found, list) else [found]:
        kind, folder = (entry.get(key) if isinstance(entry, dict) else None for key in ("type", "path"))
        if not isinstance(kind, str) or not isinstance(folder, str) or not _is_inside(folder):
            raise ValueError(
                f"{file} has {shown(entry)}, expected modules with a type and the path of a folder next to it"
            )
        modules.append(Module(kind.rpartition(".")[2], path / folder))
    return modules


def _is_inside(folder: str) -> bool:
    """Returns True for the empty path and for the name of a direct sub-folder."""
    return folder != ".." and Path(folder).name == folder and len(folder) < 100


def _modes(values: JsonObject, file: Path) -> Iterator[str]:
    if "pooling_mode" in values:
        mode = values["pooling_mode"]
        yield from map(str, mode if isinstance(mode, list) and mode else [mode])
        return
    flags = {key.removeprefix(LEGACY): flag for key, flag in values.items() if key.startswith(LEGACY)}
    for mode, flag in flags.items():
        if not isinstance(flag, bool):
            raise ValueError(f"{LEGACY}{mode} of {file} is {shown(flag)}, expected true or false")
    chosen = [mode for mode in MODES if flags.pop(mode, False)]
    unknown = [mode for mode, flag in flags.items() if flag]
    yield from chosen + unknown or ["mean"]
