"""Models on Hugging Face's hub."""

from pathlib import Path

PREFIX = "hub:"
FILES = ("model.safetensors", "config.json", "preprocessor_config.json", "tokenizer.json")


def local_path(path: str | Path) -> Path:
    """The path of a pretrained model; one on the hub, ``hub:owner/name``, is downloaded first.

    >>> local_path("models/vit").name
    'vit'

    Raises:
      FileNotFoundError: it is not on the hub, or there is no way there.
    """
    if not str(path).startswith(PREFIX):
        return Path(path).expanduser()
    name = str(path).removeprefix(PREFIX)
    try:
        from huggingface_hub import snapshot_download
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error.name} is missing; models of the hub need: pip install 'laya-jax[hub]'", name=error.name
        ) from None
    try:
        return Path(snapshot_download(name, allow_patterns=list(FILES)))
    except Exception as error:  # no network, no such model, no permission: each raises something of its own
        raise FileNotFoundError(f"{name} cannot be had from the hub: {error}") from error
