"""Progress of long work: a bar on a terminal, otherwise a line per minute."""

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

MINUTE = 60.0
"""Seconds of silence after which a line reports the progress."""


class Stage(NamedTuple):
    """Work in progress.

    Attributes:
      what: Name of the work.
      unit: Plural noun for the items that are counted.
      since: Start time, from ``time.monotonic``.
      first: Number of items that were done at the start.
      done: Number of items that are done.
      total: Total number of items; 0 if unknown.
    """

    what: str
    unit: str
    since: float
    first: int
    done: int
    total: int

    def line(self, now: float) -> str:
        """Formats the progress.

        >>> Stage("hidden states", "examples", since=0, first=0, done=2304, total=5500).line(now=125)
        'hidden states: 2,304 of 5,500 examples, about 3 min left'
        >>> Stage("training laya", "", since=0, first=0, done=0, total=0).line(now=61)
        'training laya: 1 min so far'
        """
        count = f"{self.done:,} of {self.total:,} {self.unit}, " if self.total else ""
        passed, new = now - self.since, self.done - self.first
        if new > 0 and self.done < self.total:
            return f"{self.what}: {count}about {duration(passed / new * (self.total - self.done))} left"
        return f"{self.what}: {count}{duration(passed)} so far"


def duration(seconds: float) -> str:
    """Formats a duration for humans.

    >>> duration(20), duration(200), duration(9000)
    ('1 min', '3 min', '2.5 h')
    """
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 90 else f"{seconds / 3600:.1f} h"


class Progress:
    """Shows the progress of long work.

    Without a terminal, a thread reports it, since some work is silent for minutes.
    """

    def __init__(self, console: Console, say: Callable[[str], None], *, silent: bool) -> None:
        self._say = say
        self._stage: Stage | None = None
        self._heard = time.monotonic()
        self._closed = threading.Event()
        self._bar = Bar(
            TextColumn("{task.description}"),
            MofNCompleteColumn(),
            BarColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=silent or not console.is_terminal,
        )
        self._task = self._bar.add_task("", visible=False)
        self._thread: threading.Thread | None = None
        if self._bar.disable and not silent:
            self._thread = threading.Thread(target=self._speak, daemon=True)
            self._thread.start()

    def begin(self, what: str) -> None:
        """Starts work of unknown length."""
        self.stop()
        self._stage = Stage(what, "", time.monotonic(), 0, 0, 0)

    def move(self, what: str, unit: str, done: int, total: int) -> None:
        """Records that ``done`` of ``total`` items are done."""
        stage = self._stage
        if stage is None or (stage.what, stage.total) != (what, total) or done < stage.done:
            stage = Stage(what, unit, time.monotonic(), done, done, total)
            self._bar.reset(self._task, total=total)
        self._stage = stage._replace(done=done)
        self._bar.update(self._task, description=what, completed=done, total=total, visible=True)
        self._bar.start()

    def stop(self) -> None:
        """Removes the bar, so that something else can be printed."""
        self._bar.stop()

    def close(self) -> None:
        """Stops reporting."""
        self._bar.stop()
        self._closed.set()
        if self._thread is not None:
            self._thread.join()

    def heard(self) -> None:
        """Records that something was printed, so that the next line is due in a minute."""
        self._heard = time.monotonic()

    def _speak(self) -> None:
        while not self._closed.wait(max(self._heard + MINUTE - time.monotonic(), MINUTE / 60)):
            now = time.monotonic()
            if self._stage is not None and now - self._heard >= MINUTE:
                self._say(self._stage.line(now))
