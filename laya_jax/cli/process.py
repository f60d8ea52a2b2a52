"""Set-up of a command's process: standard streams, signals, warnings, and environment variables of libraries.

All process-wide state that the command line changes is changed here, and only by the entry point.
"""

import io
import logging
import os
import platform
import re
import signal
import subprocess
import sys
import warnings
from functools import cache
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, TextIO

from laya_jax.cli.text import printable
from laya_jax.files import cache_home, check_writable

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_shown: set[str] = set()
"""Warnings that have been shown."""


class Stopped(BaseException):
    """Raised when a signal asks the process to stop."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
        self.signal_number = signal_number


def own() -> None:
    """Sets up streams, signals and warnings. Must be called once, before anything else."""
    _open_streams()
    warnings.showwarning = _show_warning
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores SIGHUP
            signal.signal(number, _stop)
    if not _has_home():
        os.environ.setdefault("MPLCONFIGDIR", str(cache_home() / "matplotlib"))


def prepare_jax() -> None:
    """Configures JAX, XLA and libtpu where the user has not. Must be called before JAX computes anything.

    Raises:
      ValueError: ``XLA_FLAGS`` or ``JAX_COMPILATION_CACHE_DIR`` has an unusable value.
    """
    _check_xla_flags(os.environ.get("XLA_FLAGS", ""))
    from laya_jax.tpu import expect_no_tpu, has_tpu

    # Orbax logs every save, and all threads' stacks if a save fails; the error itself is raised anyway.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    if not has_tpu():
        expect_no_tpu()
    keep_compilations()


def keep_compilations() -> None:
    """Enables JAX's persistent compilation cache, in a folder per machine: programs are processor-specific.

    Raises:
      ValueError: ``JAX_COMPILATION_CACHE_DIR`` is set to a folder that cannot be written.
    """
    import jax

    given = jax.config.values["jax_compilation_cache_dir"]
    folder = str(cache_home() / platform.node()) if given is None else given
    if "://" in folder:  # in the cloud, where only JAX can write
        return
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        check_writable(Path(folder) / "program")
    except OSError as error:
        if given is not None:
            raise ValueError(
                f"JAX_COMPILATION_CACHE_DIR is {given}, which cannot be written: {error.strerror}"
            ) from error
        warnings.warn(
            f"compiled programs are not cached: {folder} cannot be written: {error.strerror}", stacklevel=1
        )
        return
    if given is None:
        jax.config.update("jax_compilation_cache_dir", folder)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


class Standard(io.FileIO):
    """Standard output or error, whose reader may exit early.

    Output after the reader has exited (``laya evaluate RUN | head -1``) is dropped. Other errors are raised
    once, and not for standard error: a command does not fail because its progress cannot be shown.

    Attributes:
      label: Name of the stream in messages.
    """

    def __init__(self, descriptor: int, label: str) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.label = label
        self._lost = False

    def write(self, data: "ReadableBuffer") -> int:
        """Writes bytes, or drops them."""
        if not self._lost:
            try:
                return super().write(data)
            except OSError as error:
                self._lost = True
                if self.label != "standard error" and not isinstance(error, BrokenPipeError):
                    error.filename = self.label
                    raise
        return memoryview(data).nbytes


def _open_streams() -> None:
    """Reserves standard output for results: C++ libraries that write to it get standard error instead."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:  # closed; the next opened file must not get its number
            os.open(os.devnull, os.O_RDWR)
    output, error = os.dup(1), os.dup(2)
    os.dup2(2, 1)
    sys.stdout = _text(output, "standard output", sys.stdout)
    sys.stderr = _text(error, "standard error", sys.stderr)


def _text(descriptor: int, label: str, before: TextIO | None) -> TextIO:
    """Returns a text stream that escapes characters it cannot encode."""
    return io.TextIOWrapper(
        io.BufferedWriter(Standard(descriptor, label)),
        encoding=before.encoding if before else "utf-8",
        errors="backslashreplace",
        line_buffering=True,
    )


def _show_warning(message: Warning | str, *where: object, **more: object) -> None:
    """Shows a warning once, in one line, without its location in the source."""
    text = printable(" ".join(str(message).split()))
    # JAX warns about every program that a full disk rejects, or that a killed process has left damaged.
    found = re.match("Error (reading|writing) persistent compilation cache entry for '.*?': (.*)", text)
    if found:
        import jax

        folder = jax.config.values["jax_compilation_cache_dir"]
        lost = "read, and are compiled again" if found[1] == "reading" else "saved"
        text = f"compiled programs in {folder}, which may be deleted, cannot be {lost}: {found[2]}"
    if text not in _shown:
        _shown.add(text)
        print(f"warning: {text}", file=sys.stderr)


def _stop(signal_number: int, frame: FrameType | None) -> None:
    raise Stopped(signal_number)


def _has_home() -> bool:
    try:
        return bool(Path.home())
    except RuntimeError:
        return False


@cache
def _check_xla_flags(flags: str) -> None:
    """Raises if XLA rejects its flags. It would abort this process, so another one tries them."""
    if not flags:
        return
    code = "from jaxlib import xla_client; xla_client.CompileOptions()"
    tried = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if tried.returncode:
        reason = re.search(r"^[EF]\d{4} [^]]*\] (.*)$", tried.stderr, re.MULTILINE)
        raise ValueError(f"XLA_FLAGS is {flags!r}, which XLA rejects" + (f": {reason[1]}" if reason else ""))
