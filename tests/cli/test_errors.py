"""Whatever goes wrong is one line and a status."""

import errno
import subprocess
import sys
import zlib

import pytest

from laya_jax.cli import commands, main, process
from laya_jax.tpu.checking import DoesNotFitError
from laya_jax.training import NonFiniteLossError
from laya_jax.training.loop import Interrupted

DEFECT = (
    "(a bug in laya_jax, or a damaged file that was not recognised as such; "
    "set LAYA_TRACEBACK=1 for the traceback)"
)


@pytest.fixture
def fail(monkeypatch, capfd):
    """Runs a command that raises an error: exit status and standard error."""

    def fail(error):
        def command(arguments):
            raise error

        monkeypatch.setitem(commands.COMMANDS, "train", command)
        status = main(["train"])
        out, err = capfd.readouterr()
        assert out == ""
        return status, err

    return fail


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (ValueError("seed is -1,\n  expected 0"), 2, "seed is -1, expected 0"),
        (TypeError("no number"), 2, "no number"),
        (UnicodeDecodeError("utf-8", b"\xe9", 0, 1, "invalid"), 2, "'utf-8' codec can't decode byte"),
        (OSError(errno.ENOSPC, "No space left on device", "p.csv"), 2, "p.csv: No space left on device"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "No space left on device"),
        (FileNotFoundError("there is no folder x"), 2, "there is no folder x"),
        (ModuleNotFoundError("No module named 'rich'", name="rich"), 2, "rich is missing; the command line"),
        (ModuleNotFoundError("libtpu is missing; pip install it"), 2, "libtpu is missing; pip install it"),
        (MemoryError(), 1, "out of memory: MemoryError; try a smaller --batch-size"),
        (RuntimeError("RESOURCE_EXHAUSTED: 9 bytes"), 1, "out of memory: RESOURCE_EXHAUSTED: 9 bytes; try a"),
        (NonFiniteLossError("the loss is not finite"), 1, "the loss is not finite"),
        (DoesNotFitError("too large"), 1, "too large"),
        (KeyError("dim"), 2, f"KeyError: 'dim' {DEFECT}"),
        (RecursionError("too deep"), 2, f"RecursionError: too deep {DEFECT}"),
        (zlib.error("Error -3"), 2, f"error: Error -3 {DEFECT}"),
        (AssertionError(), 2, f"AssertionError: AssertionError {DEFECT}"),
        (Interrupted(15, "run"), 143, "interrupted by SIGTERM and saved; to continue: laya resume run"),
        (process.Stopped(1), 129, "stopped by SIGHUP"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ValueError("x" * 10_000), 2, "x" * 2000 + " ..."),
    ],
)
def test_every_error_is_one_line_and_a_status(fail, error, status, message):
    found, err = fail(error)
    assert found == status
    assert err.startswith(f"laya: {message}")
    assert err.count("\n") == 1


def test_the_traceback_is_shown_on_request(fail, monkeypatch):
    monkeypatch.setenv("LAYA_TRACEBACK", "1")
    with pytest.raises(KeyError):
        fail(KeyError("dim"))


def test_names_in_errors_cannot_change_the_terminal(fail):
    assert fail(ValueError("there is no file \x1b[2J")) == (2, "laya: there is no file \\x1b[2J\n")


@pytest.mark.slow
def test_warnings_are_one_line_and_shown_once():
    code = """
import warnings
from laya_jax.cli import process
process.own()
for name in ("jit_a", "jit_b"):
    warnings.warn(f"Error reading persistent compilation cache entry for '{name}': OSError: full")
for _ in range(2):
    warnings.warn("a file\\n  is odd")
"""
    run = subprocess.run(
        [sys.executable, "-W", "always", "-c", code], capture_output=True, text=True, check=True
    )
    first, second = run.stderr.splitlines()
    assert first.startswith("warning: compiled programs in ")
    assert first.endswith("which may be deleted, cannot be read, and are compiled again: OSError: full")
    assert second == "warning: a file is odd"
