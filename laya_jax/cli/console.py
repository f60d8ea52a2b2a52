"""Human-readable output: results on standard output; progress, warnings and notes on standard error."""

import json
from collections.abc import Sequence

import jax
from rich.console import Console as RichConsole
from rich.table import Table

from laya_jax.cli.progress import Progress
from laya_jax.cli.text import printable
from laya_jax.data import Dataset
from laya_jax.training import Listener, RunDirectory
from laya_jax.typing import JsonObject

BAR = 24
"""Number of characters of a bar for an attention of 1."""

SHOWN_CLASSES = 20
"""Maximum number of classes that are listed with their number of examples."""

WIDEST = 160
"""Width of tables in characters if the output is not a terminal."""


class Console(Listener):
    """Shows progress and results. Of several processes, only the first one shows anything.

    Attributes:
      as_json: True if standard output is reserved for one JSON object; everything else then goes to standard
        error.
      known: Notes that have been shown, for the JSON object.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.known: list[str] = []
        self._silent = jax.process_index() != 0
        self._err, self._out = _stream(error=True), _stream(error=as_json)
        self._progress = Progress(self._err, self.say, silent=self._silent)
        self._classes = ""

    def say(self, message: str) -> None:
        """Prints a line to standard error."""
        if not self._silent:
            self._err.print(printable(message))
            self._progress.heard()

    def tell(self, result: str | Table) -> None:
        """Prints a line or a table of results."""
        self._progress.stop()
        if not self._silent:
            self._out.print(printable(result) if isinstance(result, str) else result)

    def close(self) -> None:
        """Stops showing progress."""
        self._progress.close()

    def work(self, what: str) -> None:
        """Announces long work of unknown length."""
        self._progress.begin(what)

    def start(self, what: str, number: int | None) -> None:
        """Announces the work, the backend and the devices, all of them or a given number."""
        devices = jax.devices()[:number]
        kinds = ", ".join(sorted({device.device_kind for device in devices}))
        plural = "s" if len(devices) > 1 else ""
        self.say(f"{what}; backend {jax.default_backend()}, {len(devices)} device{plural} ({kinds})")
        self._progress.begin(what)

    def loaded(self, dataset: Dataset) -> None:
        """Prints the number of examples of each class, and the notes on the data."""
        counted = zip(dataset.class_names, dataset.class_counts, strict=True)
        shown = [f"{name} {count:,}" for name, count in counted]
        more = f" and {len(shown) - SHOWN_CLASSES} more" if len(shown) > SHOWN_CLASSES else ""
        classes = f"classes: {', '.join(shown[:SHOWN_CLASSES])}{more}"
        if classes != self._classes:  # several runs on the same data may be resumed at once
            self.say(classes)
            self._classes = classes
        self.notes(dataset.notes)

    def notes(self, notes: Sequence[str]) -> None:
        """Prints notes on data that a reader skipped, changed or found suspicious, each once."""
        for note in notes:
            if note not in self.known:
                self.say(f"note: {note}")
                self.known.append(note)

    def noted(self, note: str) -> None:
        """Prints a note."""
        self.notes([note])

    def preparing(self, what: str, unit: str, done: int, total: int) -> None:
        """Shows the progress of downloading and writing a data set."""
        self._progress.move(what, unit, done, total)
        if done == total:
            self._progress.stop()

    def extracted(self, done: int, total: int) -> None:
        """Shows the number of examples with hidden states, and reports when all are done."""
        self._progress.move("hidden states", "examples", done, total)
        if done == total:
            self._progress.stop()
            self.say(f"hidden states of {total:,} examples are cached")

    def predicted(self, done: int, total: int) -> None:
        """Shows the number of predicted examples."""
        self._progress.move("predictions", "examples", done, total)

    def measured(self, what: str, done: int, total: int) -> None:
        """Shows the current measurement of attention."""
        self._progress.move(f"measuring {what}", "measurements done", done, total)

    def steps(self, done: int, total: int) -> None:
        """Shows the progress of the epoch."""
        self._progress.move("training", "steps of the epoch", done, total)

    def epoch(self, run: RunDirectory, line: JsonObject) -> None:
        """Prints a line for an epoch of a run."""
        self._progress.stop()
        validation, depth = line["validation"], line["validation"]["effective_depth"]
        self.say(
            f"{run.config.head.kind} seed {run.config.seed}  epoch {line['epoch']:>3}"
            f"  loss {line['train']['loss']:.4f}"
            f"  validation loss {validation['loss']:.4f}  accuracy {validation['accuracy']:.4f}"
            + ("" if depth is None else f"  effective depth {depth:.2f}")
            + f"  {line['examples_per_second']:,} examples/s"
        )

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], title: str | None = None) -> None:
        """Prints a table of results."""
        table = Table(*columns, title=title)
        for row in rows:
            table.add_row(*map(printable, row))
        self.tell(table)

    def profile(self, title: str, attention: Sequence[float]) -> None:
        """Prints the mean attention to each layer, with bars."""
        self.tell(f"mean attention of {title}")
        block = "#" if self._out.options.ascii_only else "█"
        for layer, share in enumerate(attention, 1):
            self.tell(f"  h{layer:<3}{share:.2f} {block * round(BAR * share)}")

    def print_json(self, value: JsonObject) -> None:
        """Prints the command's JSON object, including the notes, if requested."""
        if self.as_json and not self._silent:
            print(json.dumps({**value, "notes": self.known}), flush=True)


def _stream(*, error: bool) -> RichConsole:
    """Returns the console of a standard stream; lines are not wrapped, and tables only to fit a terminal."""
    console = RichConsole(stderr=error, highlight=False, soft_wrap=True, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = WIDEST
    return console
