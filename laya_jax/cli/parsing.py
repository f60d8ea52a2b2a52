"""Parsing of the command line, with one-line errors."""

import argparse
import contextlib
import io
import re
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import tyro

from laya_jax.cli.switches import with_values
from laya_jax.engine import backbone_named

T = TypeVar("T")


class Backbone(NamedTuple):
    """Choice of a backbone.

    Attributes:
      pretrained: Kind and path of a pretrained backbone, as vit:PATH or bert:PATH; None for one that is
        randomly initialised.
      freeze: True to freeze its weights.
    """

    pretrained: str | None
    freeze: bool


def without_backbone(arguments: Sequence[str]) -> tuple[list[str], Backbone]:
    """Splits off ``--backbone`` and ``--freeze``, on which the defaults of the other arguments depend.

    >>> without_backbone(["digits", "--backbone", "vit:models/s14", "--freeze", "--seed", "3"])
    (['digits', '--seed', '3'], Backbone(pretrained='vit:models/s14', freeze=True))

    Raises:
      ValueError: The backbone is neither vit:PATH nor bert:PATH.
    """
    short = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    short.add_argument("--backbone", nargs="?", const="")
    short.add_argument("--freeze", action="store_true")
    known, rest = short.parse_known_args(list(arguments))
    if known.backbone is not None:
        backbone_named(known.backbone)
    elif known.freeze:
        raise ValueError("--freeze is given without --backbone, expected --backbone vit:PATH or bert:PATH")
    return rest, Backbone(known.backbone, known.freeze)


def parse(kind: type[T], arguments: Sequence[str], *, program: str, default: T | None = None) -> T:
    """Parses a command's arguments.

    Raises:
      ValueError: An argument is invalid; the message is one line, with the option that was probably meant.
    """
    errors = io.StringIO()
    options: dict[str, Any] = {} if default is None else {"default": default}
    try:
        with contextlib.redirect_stderr(errors):
            return tyro.cli(kind, prog=program, args=with_values(arguments), **options)
    except SystemExit as stopped:
        if not stopped.code:
            raise
        raise ValueError(summary(errors.getvalue())) from None


def summary(boxes: str) -> str:
    """Converts tyro's error box to one line.

    >>> summary('''
    ... ╭─ Unrecognized options ─╮
    ... │ Unrecognized options:  │
    ... │ --sed                  │
    ... │ ────────────────────── │
    ... │ Perhaps you meant:     │
    ... │     --seed INT         │
    ... │         of the run.    │
    ... ╰────────────────────────╯''')
    'Unrecognized options: --sed; perhaps you meant --seed'
    """
    lines = [line.strip("│ ") for line in boxes.splitlines() if line.startswith("│")]
    end = next((i for i, line in enumerate(lines) if line.startswith("──")), len(lines))
    message = " ".join(lines[:end])
    meant = re.search(r"Perhaps you meant:\s*(--\S+)", " ".join(lines))
    return message + (f"; perhaps you meant {meant[1]}" if meant else "")
