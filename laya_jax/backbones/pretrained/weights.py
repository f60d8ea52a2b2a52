"""Weights in safetensors, in one file or in indexed shards, read array by array."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from laya_jax.backbones.pretrained.folder import INDEX, WEIGHTS, check_file, read_object, shown

SHARD = r"[^/\\]+\.safetensors"
"""Pattern of a shard's name, which must not point outside its folder."""

FLOATS = ("F16", "BF16", "F32", "F64")
"""Supported dtypes, in safetensors' notation."""

PYTORCH = "transformers torch"

OTHERS = {
    "pytorch_model.bin": (PYTORCH, ""),
    "pytorch_model.bin.index.json": (PYTORCH, ""),
    "tf_model.h5": ("'transformers==4.48.*' torch tensorflow tf-keras", ", from_tf=True"),
    "flax_model.msgpack": ("'transformers==4.48.*' torch flax", ", from_flax=True"),
}
"""Files of weights in other formats, with the packages that convert them (4.57 fails on the last two) and an
option."""


def find_arrays(folder: Path, source: str) -> dict[str, Path]:
    """Finds the file of each array of the weights in a folder.

    Args:
      folder: Path of the folder.
      source: Path or name of the model as requested, for messages.

    Raises:
      FileNotFoundError: There are no weights in safetensors.
      ValueError: The weights cannot be read, or their index is invalid.
    """
    if (folder / WEIGHTS).exists() or (folder / WEIGHTS).is_symlink():
        return dict.fromkeys(_names(folder / WEIGHTS), folder / WEIGHTS)
    if not (folder / INDEX).exists():
        raise FileNotFoundError(
            f"no pretrained model in {folder}: it has no {WEIGHTS}{_hint(folder, source)}"
        )
    return _sharded_arrays(folder / INDEX)


def read_arrays(places: Mapping[str, Path], names: Mapping[str, str]) -> dict[str, NDArray]:
    """Reads selected arrays under new names.

    Args:
      places: File of each array, from ``find_arrays``.
      names: Name in the files of each array to read, keyed by its name in the result.

    Raises:
      ValueError: An array cannot be read.
    """
    arrays = {}
    for path in sorted({places[name] for name in names.values()}):
        with _opened(path) as file:
            for wanted, name in names.items():
                if places[name] == path:
                    dtype = file.get_slice(name).get_dtype()
                    if dtype not in FLOATS:  # quantised weights are meaningless without their scales
                        raise ValueError(f"{path}: {name} has dtype {dtype}, expected {', '.join(FLOATS)}")
                    arrays[wanted] = file.get_tensor(name)
    return arrays


def _sharded_arrays(index: Path) -> dict[str, Path]:
    shards = read_object(index).get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise ValueError(f"weight_map of {index} is {shown(shards)}, expected the file of each array")
    for name, shard in shards.items():
        if not isinstance(shard, str) or not re.fullmatch(SHARD, shard):
            raise ValueError(
                f"{index} has {shown(name)} in {shown(shard)}, expected a .safetensors file next to it"
            )
    held = {shard: set(_names(index.parent / shard)) for shard in sorted(set(shards.values()))}
    for shard, names in held.items():
        named = {name for name, place in shards.items() if place == shard}
        for name in sorted(named ^ names):
            has, lists = ("has", "does not list it") if name in names else ("has no", "lists it")
            raise ValueError(f"{index.parent / shard} {has} array {name[:100]}, but {index.name} {lists}")
    return {name: index.parent / shard for name, shard in shards.items()}


def _names(path: Path) -> list[str]:
    check_file(path)
    with _opened(path) as file:
        names: list[str] = list(file.keys())
        return names


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Opens a safetensors file, whose header is checked against its size."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            yield file
    except (SafetensorError, OSError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"{path} cannot be read as safetensors: {error}") from error


def _hint(folder: Path, source: str) -> str:
    """Returns advice if the weights are in another format or under another name."""
    for name, (packages, option) in OTHERS.items():
        if (folder / name).exists():
            return f" but {name}; convert it {_conversion(packages, str(folder), str(folder), option)}"
    if source.startswith("hub:"):
        name = source.removeprefix("hub:")
        return f" on the hub; convert it {_conversion(PYTORCH, name, name.rpartition('/')[2])}"
    others = sorted(path.name for path in folder.glob("*.safetensors"))
    if others:
        return f" but {', '.join(others[:3])}; rename it, or add {INDEX} if these are shards"
    return ""


def _conversion(packages: str, name: str, target: str, option: str = "") -> str:
    """Returns the command that converts a model to safetensors with transformers.

    >>> print(_conversion("torch", "me/x", "x").partition("; ")[2])
    A.from_pretrained("me/x").save_pretrained("x")'
    """
    name, target = (json.dumps(path, ensure_ascii=False) for path in (name, target))
    code = f"A.from_pretrained({name}{option}).save_pretrained({target})"
    command = shlex.quote(f"from transformers import AutoModel as A; {code}")
    return f"(pip install {packages}): python -c {command}"
