"""The command line, ``laya``; ``commands`` has what it does."""

import logging
import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
      arguments: after the program's name; None takes those of the process.

    Returns:
      The exit status: 0, 1 if training failed or would not fit, 2 for wrong input, 128 + the signal's
      number if a signal stopped it, after saving.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        from laya_jax.cli import commands
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "laya_jax":
            raise
        return _fail(f"{error.name} is missing; the command line needs: pip install 'laya-jax[train]'", 2)
    from laya_jax.training.compile_check import DoesNotFitError
    from laya_jax.training.loop import Interrupted
    from laya_jax.training.recorder import NonFiniteLossError

    try:
        # Orbax tells by it what it does on every save.
        logging.getLogger("absl").setLevel(logging.ERROR)
        keep_compilations()
        commands.run(arguments)
    except Interrupted as interrupted:
        return _fail(str(interrupted), 128 + interrupted.signal_number)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except (NonFiniteLossError, DoesNotFitError) as error:
        return _fail(str(error), 1)
    except (ValueError, TypeError, OSError, ModuleNotFoundError) as error:
        if os.environ.get("LAYA_TRACEBACK"):
            raise
        return _fail(_one_line(error), 2)
    return 0


def _fail(message: str, status: int) -> int:
    print(f"laya: {message}", file=sys.stderr)
    return status


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'a file'}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def keep_compilations() -> None:
    """Keeps what XLA compiled for the next process, per machine, since it is made for its processor."""
    import platform

    import jax

    from laya_jax.files import cache_home

    if jax.config.values["jax_compilation_cache_dir"] is None:
        jax.config.update("jax_compilation_cache_dir", str(cache_home() / platform.node()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
