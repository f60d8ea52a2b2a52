"""Folders of sentence-transformers: where the transformer is, and how its hidden states are pooled."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from laya_jax.backbones.pretrained.folder import check_folder, read_json, read_object, shown

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
"""Their names of poolings, in the order in which flags of several are joined, and ours; None for none."""

AFTER = {"Dense", "Dropout", "LayerNorm", "Normalize"}
"""Modules that change the pooled last hidden state alone."""

ANOTHER = "or choose a pooling (--backbone.pooling) of the transformer's hidden states as they are"

LEGACY = "pooling_mode_"
"""Prefix of the flag of each mode, before there was one key for all."""


class Module(NamedTuple):
    """A step of a model of sentence-transformers.

    Attributes:
      kind: Name of its class.
      folder: Path of its files.
    """

    kind: str
    folder: Path


def transformer_folder(path: Path) -> Path:
    """The folder of a model's config and weights: the path itself, or one in it that ``modules.json`` names.

    Raises:
      FileNotFoundError: There is no such folder, or nothing in it.
      ValueError: The path is of a file, or the first module is no transformer.
    """
    check_folder(path)
    modules = _modules(path)
    if not modules:
        return path
    if modules[0].kind != "Transformer":
        raise ValueError(f"{path / MODULES} begins with a {modules[0].kind}, expected a Transformer")
    check_folder(modules[0].folder)
    return modules[0].folder


def default_pooling(path: Path) -> str | None:
    """The pooling that follows the transformer, or None where nothing does.

    Raises:
      ValueError: Something else follows, or a pooling that no backbone has.
    """
    modules = _modules(path)[1:]
    if not modules:
        return None
    kinds = [module.kind for module in modules]
    if kinds[0] != "Pooling" or not AFTER.issuperset(kinds[1:]):
        raise ValueError(
            f"{path / MODULES} has {', '.join(kinds)[:200]} after its Transformer, expected a Pooling, and "
            f"then only {', '.join(sorted(AFTER))}; {ANOTHER}"
        )
    file = modules[0].folder / "config.json"
    modes = list(_modes(read_object(file), file))
    if any(MODES.get(mode) is None for mode in modes):
        raise ValueError(
            f"pooling_mode of {file} is {shown(modes)}, expected some of cls, mean, max and lasttoken; "
            f"{ANOTHER}"
        )
    return "+".join(str(MODES[mode]) for mode in modes)


def text_settings(path: Path) -> dict[str, Any]:
    """Settings for the texts of a model of sentence-transformers; empty for other models."""
    file = transformer_folder(path) / TEXTS
    return read_object(file) if file.exists() else {}


def not_applied(path: Path) -> Iterator[str]:
    """Sentences on what sentence-transformers would do besides, and is not done here."""
    kinds = [module.kind for module in _modules(path) if module.kind not in ("Transformer", "Pooling")]
    if kinds:
        yield f"{path / MODULES}: {', '.join(kinds)} of the last hidden state not applied"
    if (path / PROMPTS).exists():
        values = read_object(path / PROMPTS)
        prompt = values.get("default_prompt_name")
        if prompt is not None:
            yield f"{path / PROMPTS}: the prompt {shown(prompt)} is not put before texts"


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
                f"{file} has {shown(entry)}, expected modules with a type and a path, of a folder beside it"
            )
        modules.append(Module(kind.rpartition(".")[2], path / folder))
    return modules


def _is_inside(folder: str) -> bool:
    """True for the path of a folder itself ("") and for the name of a folder in it."""
    return folder != ".." and Path(folder).name == folder and len(folder) < 100


def _modes(values: dict[str, Any], file: Path) -> Iterator[str]:
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
