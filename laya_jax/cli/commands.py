"""Table of all commands, and those that train: ``laya train``, ``resume`` and ``compile-check``."""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from laya_jax import __version__
from laya_jax.checks import check_choice
from laya_jax.cli import explaining, predicting, preparing
from laya_jax.cli.arguments import CompileCheck, Resume, Train
from laya_jax.cli.console import Console
from laya_jax.cli.outputs import check_new_directory
from laya_jax.cli.parsing import parse, without_backbone
from laya_jax.cli.results import show_trainings
from laya_jax.cli.starting import started
from laya_jax.engine import HEADS, config_for
from laya_jax.loggers import LOGGERS
from laya_jax.tpu import DoesNotFitError, compile_check, lower
from laya_jax.training import (
    EXPERIMENTS,
    Config,
    Interrupted,
    Listener,
    Listeners,
    NonFiniteLossError,
    RunDirectory,
    all_of,
    find_runs,
    free_path,
    resume,
    start,
)
from laya_jax.typing import JsonObject

USAGE = f"""\
laya {__version__}: classifiers that read all layers of a network and show which ones they use.

  laya train [EXPERIMENT | DATA]   trains and tests; EXPERIMENT: {", ".join(EXPERIMENTS)}
  laya prepare NAME                downloads fashion-mnist, cifar10 or imdb; train also does this if needed
  laya resume RUN                  continues a run that was stopped or killed
  laya evaluate RUN                tests the best parameters of a run
  laya predict RUN --data DATA     writes classes, probabilities and attention to a file
  laya attribute RUN [RUN ...]     measures which layers a model uses, and how faithful its attention is
  laya report RUN [RUN ...]        writes the same as a single HTML file, with samples to browse
  laya export RUN --out DIR        writes the best parameters as safetensors, ready for prediction
  laya compile-check EXPERIMENT    compiles training for a TPU, without needing one

DATA is images:FOLDER (one sub-folder per class), npz:FILE (inputs and labels) or texts:FILE (.csv, .tsv,
.jsonl, .json or .parquet with text and label). For a pretrained backbone, add --backbone vit:PATH or
bert:PATH, and --freeze to train only the head. 'laya COMMAND --help' lists the options. Results go to
standard output, progress and warnings to standard error; with --json, standard output is a single JSON
object. Set LAYA_TRACEBACK=1 to see the traceback of an error."""

FAILURES = (NonFiniteLossError, DoesNotFitError)
"""Failures of training with valid input."""


def run(arguments: Sequence[str]) -> None:
    """Runs the command named by the first argument.

    Raises:
      ValueError: There is no such command.
    """
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(USAGE)
    else:
        command, rest = arguments[0], arguments[1:]
        check_choice("command", command, tuple(COMMANDS))
        COMMANDS[command](rest)


def _train(arguments: Sequence[str]) -> None:
    arguments, backbone = without_backbone(arguments)
    named = _experiment(arguments)
    baseline = "last_layer" if named == "digits" else None
    config = config_for(named, backbone.pretrained, freeze=backbone.freeze)
    default = Train(experiment=named, config=config, baseline=baseline)  # type: ignore[arg-type]
    asked = parse(Train, arguments, program="laya train", default=default)
    _check_first(named, asked.experiment)
    with started(asked.output, asked.parallel) as console:
        listener = _listeners(console, asked.log)
        configs = _variants(asked)
        parent = Path(asked.run_dir) if asked.run_dir else free_path(Path("runs"), Path(named).stem or "run")
        check_new_directory(parent, "run_dir")
        paths = [parent / f"{config.head.kind}-seed{config.seed}" for config in configs]
        paths = [parent] if len(configs) == 1 else paths
        heads = ", ".join(dict.fromkeys(config.head.kind for config in configs))
        console.start(f"training {heads} on {named}", asked.parallel.devices)
        preparing.ensure_prepared(asked.config.data, console)
        with _going_on(parent):
            results = start(configs, paths, asked.parallel, listener, side_by_side=asked.side_by_side)
        show_trainings(console, results)
        console.print_json({"runs": results})


def _listeners(console: Console, log: Sequence[str]) -> Listener:
    """Returns the console, joined by the trackers of these names."""
    for name in log:
        check_choice("log", name, tuple(LOGGERS))
    return Listeners([console, *(LOGGERS[name]() for name in dict.fromkeys(log))])


def _variants(asked: Train) -> list[Config]:
    """Lists the configs that are trained: every seed, and the same with the baseline's head."""
    seeds = tuple(dict.fromkeys(asked.seeds)) or (asked.config.seed,)
    config, configs = asked.config, [asked.config]
    if asked.baseline not in (None, config.head.kind):
        head, loss = dataclasses.replace(config.head, kind=asked.baseline), config.loss
        if not HEADS[head.kind].weighs_per_input:  # only such attention can be regularised
            loss = dataclasses.replace(loss, attention_entropy=0.0)
        configs.append(dataclasses.replace(config, head=head, loss=loss))
    return [dataclasses.replace(each, seed=seed) for each in configs for seed in seeds]


def _resume(arguments: Sequence[str]) -> None:
    # Parsed with the run's own config as defaults, because some options need others: --backbone.path a kind.
    named = find_runs(arguments[0])[0] if arguments and not arguments[0].startswith("-") else None
    default = None if named is None else Resume(run=arguments[0], config=named.config)
    asked = parse(Resume, arguments, program="laya resume", default=default)
    with started(asked.output, asked.parallel) as console:
        listener = _listeners(console, asked.log)

        def go_on(run: RunDirectory) -> JsonObject:
            default = Resume(run=asked.run, config=run.config, parallel=run.started_on())
            given = parse(Resume, arguments, program="laya resume", default=default)
            console.start(f"resuming {run.path}", given.parallel.devices)
            return resume(run, given.parallel, listener, given.config)

        with _going_on(Path(asked.run)):
            results = all_of(partial(go_on, run) for run in find_runs(Path(asked.run)))
        show_trainings(console, results)
        console.print_json({"runs": results})


@contextmanager
def _going_on(path: Path) -> Iterator[None]:
    """Makes an interruption of one run name the directory of all runs."""
    try:
        yield
    except Interrupted as interrupted:
        raise Interrupted(interrupted.signal_number, path) from None


def _compile_check(arguments: Sequence[str]) -> None:
    arguments, backbone = without_backbone(arguments)
    named = _experiment(arguments)
    config = config_for(named, backbone.pretrained, freeze=backbone.freeze)
    default = CompileCheck(experiment=named, config=config)
    asked = parse(CompileCheck, arguments, program="laya compile-check", default=default)
    _check_first(named, asked.experiment)
    with started(asked.output) as console:
        console.work(f"compiling {named} for {asked.topology}")
        report = compile_check(asked.config, asked.topology)
        others = ", ".join(lower(asked.config, "cuda").platforms)
        for line in (*str(report).splitlines(), f"also lowers for {others}"):
            console.tell(line)
        console.print_json(report.to_json())


def _experiment(arguments: Sequence[str]) -> str:
    """Returns the experiment, the first argument, whose defaults tyro needs to parse the rest."""
    return arguments[0] if arguments and not arguments[0].startswith("-") else "digits"


def _check_first(named: str, asked: str) -> None:
    if asked != named:
        raise ValueError(f"experiment is {asked!r}, given after the options, expected before them")


COMMANDS = {
    "train": _train,
    **preparing.COMMANDS,
    "resume": _resume,
    **predicting.COMMANDS,
    **explaining.COMMANDS,
    "compile-check": _compile_check,
}
