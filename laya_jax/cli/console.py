"""What a person sees: progress and tables, on standard error to leave standard output to scripts."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from rich.console import Console as RichConsole
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from laya_jax.data import Dataset
from laya_jax.report.findings import WORDS, Finding
from laya_jax.training.loop import Listener
from laya_jax.training.run import RunDirectory

BAR = 24
"""Characters of a bar that stands for all of the attention."""

SHOWN_CLASSES = 20
"""Classes that are listed with their number of examples."""


class Console(Listener):
    """Shows how training goes on and what came out.

    Attributes:
      as_json: whether the result is printed as one JSON object, on standard output.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._out = sys.stdout
        if as_json and sys.stdout is sys.__stdout__:
            # Libraries in C++ (Gloo) write there, too: they get standard error.
            self._out = os.fdopen(os.dup(1), "w")
            os.dup2(2, 1)
        self.err = RichConsole(stderr=True, highlight=False, soft_wrap=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            MofNCompleteColumn(),
            BarColumn(),
            TimeRemainingColumn(),
            console=self.err,
            transient=True,
            disable=not self.err.is_terminal,
        )
        self._task = self._progress.add_task("step", visible=False)

    def say(self, message: str) -> None:
        """Prints a line for people."""
        if jax.process_index() == 0:
            self.err.print(message, markup=False)

    def start(self, what: str, number: int | None) -> None:
        """Names what is trained, the backend and the devices, of which a number may be given."""
        devices = jax.devices()[:number]
        kinds = ", ".join(sorted({device.device_kind for device in devices}))
        plural = "s" if len(devices) > 1 else ""
        self.say(f"{what}; backend {jax.default_backend()}, {len(devices)} device{plural} ({kinds})")

    def loaded(self, dataset: Dataset) -> None:
        """Prints the classes with the number of examples of each, and what the reader has to tell."""
        counted = zip(dataset.class_names, dataset.class_counts, strict=True)
        shown = [f"{name} {count:,}" for name, count in counted]
        more = f" and {len(shown) - SHOWN_CLASSES} more" if len(shown) > SHOWN_CLASSES else ""
        self.say(f"classes: {', '.join(shown[:SHOWN_CLASSES])}{more}")
        self.notes(dataset.notes)

    def notes(self, notes: Sequence[str]) -> None:
        """Prints what a reader of data left out, changed or found odd."""
        for note in notes:
            self.say(f"note: {note}")

    def preparing(self, what: str, unit: str, done: int, total: int) -> None:
        """Shows how far a data set is downloaded and written."""
        self._move(f"{what}, {unit}", done, total)
        if done == total:
            self._progress.stop()

    def extracted(self, done: int, total: int) -> None:
        """While hidden states are computed: moves the progress bar, and says at the end what was done."""
        self._move("hidden states", done, total)
        if done == total:
            self._progress.stop()
            self.say(f"hidden states of {total:,} examples are in the cache")

    def steps(self, done: int, total: int) -> None:
        """After every chunk: moves the progress bar, if there is a terminal."""
        self._move("step", done, total)

    def epoch(self, run: RunDirectory, line: Mapping[str, Any]) -> None:
        """After every epoch of a run: one line."""
        self._progress.stop()
        validation, depth = line["validation"], line["validation"]["effective_depth"]
        self.say(
            f"{run.config.head.kind} seed {run.config.seed}  epoch {line['epoch']:>3}"
            f"  loss {line['train']['loss']:.4f}"
            f"  validation loss {validation['loss']:.4f}  accuracy {validation['accuracy']:.4f}"
            + ("" if depth is None else f"  effective depth {depth:.2f}")
            + f"  {line['examples_per_second']:,} examples/s"
        )

    def results(self, results: Sequence[Mapping[str, Any]]) -> None:
        """Prints accuracies, depth profiles with how far to believe them, warnings, and where all is."""
        self._progress.stop()
        columns = ("head", "seed", "accuracy", "macro-F1", "calibration error", "best epoch", "seconds")
        table = Table(*columns, title="test split")
        for result in results:
            test = result["test"]
            numbers = (test["accuracy"], test["macro_f1"], test["calibration_error"])
            table.add_row(
                result["head"],
                str(result["seed"]),
                *(f"{number:.4f}" for number in numbers),
                str(result["best_epoch"]),
                str(result["seconds"]),
            )
        if jax.process_index() == 0:
            self.err.print(table)
        for result in results:
            title = f"{result['head']}, seed {result['seed']}"
            self._profile(title, result["test"]["attention"], result["faithfulness"])
            for warning in result["warnings"]:
                self.say(f"  warning: {warning}")
        for result in results:
            self.say(f"written to {result['run']}")

    def evaluation(self, result: Mapping[str, Any]) -> None:
        """Prints the metrics of one evaluation."""
        metrics = result["metrics"]
        self.say(f"{result['run']} on {result['data']}: {metrics['examples']:,} examples")
        for name in ("accuracy", "macro_f1", "calibration_error", "loss"):
            self.say(f"  {name.replace('_', ' '):<20}{metrics[name]:.4f}")
        if metrics["effective_depth"] is not None:
            self.say(f"  {'effective depth':<20}{metrics['effective_depth']:.2f}")
        self._profile(result["head"], metrics["attention"], result["faithfulness"])

    def prediction(self, result: Mapping[str, Any], class_names: Sequence[str]) -> None:
        """Prints what was predicted how often, and how far its attention can be believed."""
        self.say(f"{result['examples']:,} examples of {result['data']} predicted, written to {result['out']}")
        for name, number in zip(class_names, result["classes"], strict=True):
            self.say(f"  {name:<20}{number:>8,}")
        self._believe(result["faithfulness"])

    def findings(self, findings: Sequence[Finding]) -> None:
        """Prints what was measured of attention, and whether it is a reason to trust it."""
        table = Table("measured", "value", "compare with", "a reason to trust it")
        for finding in findings:
            table.add_row(finding.name, finding.value, finding.reference, WORDS[finding.verdict])
        if findings and jax.process_index() == 0:
            self.err.print(table)

    def print_json(self, value: Any) -> None:
        """Prints the command's JSON object, if that was asked for."""
        if self.as_json and jax.process_index() == 0:
            self._out.write(json.dumps(value) + "\n")
            self._out.flush()

    def _move(self, what: str, done: int, total: int) -> None:
        self._progress.update(self._task, description=what, completed=done, total=total, visible=True)
        self._progress.start()

    def _profile(
        self, title: str, attention: Sequence[float] | None, measured: Mapping[str, float] | None
    ) -> None:
        if attention is None or measured is None:
            return
        self.say(f"attention of {title}, mean over the examples")
        for layer, share in enumerate(attention, 1):
            self.say(f"  h{layer:<3}{share:.2f} {'█' * round(BAR * share)}")
        self._believe(measured)

    def _believe(self, measured: Mapping[str, float] | None) -> None:
        if measured is not None:
            self.say(
                f"  how far to believe it: {measured['flips_without_top_layer']:.0%} of predictions change "
                f"without their layer of most attention, {measured['flips_without_another_layer']:.0%} "
                "without another one"
            )
