"""Command line ``laya``: the entry point and its errors. The commands are in ``commands``."""

import os
import sys
from collections.abc import Sequence

from laya_jax.cli import process
from laya_jax.cli.text import one_line


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
      arguments: Words after the program's name. None uses those of the process, whose standard streams,
        signal handlers and warnings are then set up for the command.

    Returns:
      The exit status: 0; 1 if training failed or would not fit; 2 for invalid input and other errors; 128
      plus the signal's number if a signal stopped the command.
    """
    try:
        if arguments is None:
            process.own()
            arguments = sys.argv[1:]
        _run(arguments)
    except (Exception, KeyboardInterrupt, process.Stopped) as error:
        if os.environ.get("LAYA_TRACEBACK") and isinstance(error, Exception):
            raise
        message, status = _explain(error)
        # A signal that interrupts training ends all of its processes in the same way.
        peers = None if type(error).__name__ == "Interrupted" else sys.modules.get("laya_jax.engine.peers")
        if peers:
            peers.settle()
        print(f"laya: {message}", file=sys.stderr)
        if peers:
            peers.leave(status)
        return status
    return 0


def _run(arguments: Sequence[str]) -> None:
    if list(arguments[:1]) == ["--version"]:
        from laya_jax import __version__

        print(__version__)
        return
    process.prepare_jax()
    # Imported here so that a broken installation is also reported in one line.
    from laya_jax.cli import commands

    commands.run(arguments)


def _explain(error: BaseException) -> tuple[str, int]:
    """Returns an error's message in one line, and the exit status."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", 130
    if (number := getattr(error, "signal_number", None)) is not None:
        return one_line(error), 128 + number
    commands = sys.modules.get("laya_jax.cli.commands")
    if commands is not None and isinstance(error, commands.FAILURES):
        return one_line(error), 1
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return f"out of memory: {one_line(error)}; try a smaller --batch-size", 1
    if isinstance(error, ModuleNotFoundError) and str(error) == f"No module named {error.name!r}":
        return f"{error.name} is missing; the command line needs: pip install 'laya-jax[train]'", 2
    if isinstance(error, ValueError | TypeError | OSError | ImportError):
        return one_line(error), 2
    kind = type(error).__name__
    return (
        f"{kind}: {one_line(error)} (a bug in laya_jax, or a damaged file that was not recognised as such; "
        "set LAYA_TRACEBACK=1 for the traceback)"
    ), 2
