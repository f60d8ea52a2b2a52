"""The commands: each reads its arguments, calls ``laya_jax.training`` and shows what came out."""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from laya_jax import __version__
from laya_jax.checks import check_choice
from laya_jax.cli import explaining, preparing
from laya_jax.cli.arguments import (
    CompileCheck,
    Evaluate,
    Export,
    Predict,
    Resume,
    Train,
    parse,
    without_backbone,
)
from laya_jax.cli.console import Console
from laya_jax.cli.predictions import check_can_write, write_predictions
from laya_jax.cli.tensorboard import TensorBoard
from laya_jax.data import Examples, read_inputs
from laya_jax.training import (
    EXPERIMENTS,
    Config,
    export_model,
    find_runs,
    load_model,
    predict,
    resume,
    split_of,
    start,
)
from laya_jax.training.abstract import lower
from laya_jax.training.compile_check import compile_check
from laya_jax.training.experiments import config_for
from laya_jax.training.exported import TrainedModel
from laya_jax.training.loop import Interrupted
from laya_jax.training.metrics import measure
from laya_jax.training.parallel import connect
from laya_jax.training.recorder import faithfulness
from laya_jax.training.run import RunDirectory, check_is_new, free_path
from laya_jax.training.session import all_of

USAGE = f"""\
laya {__version__}: classifiers that read all layers of a network, and say which ones they used.

  laya train [EXPERIMENT | DATA]   trains and tests; EXPERIMENT is {", ".join(EXPERIMENTS)}
  laya prepare NAME                downloads fashion-mnist, cifar10 or imdb; train does so, too
  laya resume RUN                  goes on with a run that was stopped or killed
  laya evaluate RUN                tests the best parameters of a run
  laya predict RUN --data DATA     writes classes, probabilities and attention to a file
  laya attribute RUN [RUN ...]     measures which layers a model uses and how far to trust that
  laya report RUN [RUN ...]        the same as one HTML file, with samples to browse
  laya export RUN --out DIR        writes safetensors and config.json
  laya compile-check EXPERIMENT    compiles the training step for a TPU that is not there

DATA is images:FOLDER (a sub-folder a class), npz:FILE (inputs, labels) or texts:FILE (.csv, .tsv, .jsonl,
.json or .parquet with text and label). A pretrained backbone is --backbone vit:PATH or bert:PATH, with
--freeze to train the head alone. 'laya COMMAND --help' lists the options; every command takes --json."""


def run(arguments: Sequence[str]) -> None:
    """Runs the command that the arguments name.

    Raises:
      ValueError: there is no such command.
    """
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(USAGE)
    elif arguments[0] == "--version":
        print(__version__)
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
    console = Console(as_json=asked.output.json)
    connect(asked.parallel)
    listener = TensorBoard(console) if asked.tensorboard else console
    configs = _variants(asked)
    parent = Path(asked.run_dir) if asked.run_dir else free_path(Path("runs"), Path(named).stem or "run")
    check_is_new(parent)
    paths = [parent / f"{config.head.kind}-seed{config.seed}" for config in configs]
    paths = [parent] if len(configs) == 1 else paths
    heads = ", ".join(dict.fromkeys(config.head.kind for config in configs))
    console.start(f"training {heads} on {named}", asked.parallel.devices)
    preparing.ensure_prepared(asked.config.data, console)
    with _going_on(parent):
        results = start(configs, paths, asked.parallel, listener, side_by_side=asked.side_by_side)
    console.results(results)
    console.print_json({"runs": results})


def _variants(asked: Train) -> list[Config]:
    """The configs that are trained: every seed, and the same with the baseline's head."""
    seeds = tuple(dict.fromkeys(asked.seeds)) or (asked.config.seed,)
    config, configs = asked.config, [asked.config]
    if asked.baseline not in (None, config.head.kind):
        head, loss = dataclasses.replace(config.head, kind=asked.baseline), config.loss
        if head.kind != "laya":  # no other can be asked for it
            loss = dataclasses.replace(loss, attention_entropy=0.0)
        configs.append(dataclasses.replace(config, head=head, loss=loss))
    return [dataclasses.replace(each, seed=seed) for each in configs for seed in seeds]


def _resume(arguments: Sequence[str]) -> None:
    # Beside any config but the run's own, what is said of it may be wrong: --backbone.path without a kind.
    named = find_runs(arguments[0])[0] if arguments and not arguments[0].startswith("-") else None
    default = named and Resume(run=arguments[0], config=named.config)
    asked = parse(Resume, arguments, program="laya resume", default=default)
    console = Console(as_json=asked.output.json)
    connect(asked.parallel)
    listener = TensorBoard(console) if asked.tensorboard else console

    def go_on(run: RunDirectory) -> dict[str, Any]:
        default = Resume(run=asked.run, config=run.config, parallel=run.started_on())
        given = parse(Resume, arguments, program="laya resume", default=default)
        console.start(f"resuming {run.path}", given.parallel.devices)
        return resume(run, given.parallel, listener, given.config)

    with _going_on(Path(asked.run)):
        results = all_of(partial(go_on, run) for run in find_runs(Path(asked.run)))
    console.results(results)
    console.print_json({"runs": results})


@contextmanager
def _going_on(path: Path) -> Iterator[None]:
    """Lets an interruption name the path of all runs, of which one was interrupted."""
    try:
        yield
    except Interrupted as interrupted:
        raise Interrupted(interrupted.signal_number, path) from None


def _evaluate(arguments: Sequence[str]) -> None:
    asked = parse(Evaluate, arguments, program="laya evaluate")
    console = Console(as_json=asked.output.json)
    connect(asked.parallel)
    model = load_model(asked.run)
    examples, data = _labelled(model, asked, console)
    outputs = predict(model, examples, asked.parallel, explain=True)
    metrics = measure(outputs.logits, outputs.attention, examples.labels)
    result = {
        "run": asked.run,
        "data": data,
        "head": model.config.head.kind,
        "metrics": dataclasses.asdict(metrics),
        "faithfulness": None if outputs.flips is None else faithfulness(outputs.flips),
    }
    console.evaluation(result)
    console.print_json(result)


def _labelled(model: TrainedModel, asked: Evaluate, console: Console) -> tuple[Examples, str]:
    """The examples that a model is tested on, and what they are."""
    if asked.data is None:
        return split_of(model, asked.split), f"{model.config.data.source}, {asked.split} split"
    unlabelled = read_inputs(asked.data, model.schema, model.config.data, labelled=True)
    if unlabelled.labels is None:
        raise ValueError(f"data is {asked.data!r}, which has no labels to test against")
    console.notes(unlabelled.notes)
    return Examples(unlabelled.inputs, unlabelled.labels), unlabelled.named(asked.data)


def _predict(arguments: Sequence[str]) -> None:
    asked = parse(Predict, arguments, program="laya predict")
    console = Console(as_json=asked.output.json)
    out = Path(asked.out)
    check_can_write(out)
    model = load_model(asked.run)
    given = read_inputs(asked.data, model.schema, model.config.data)
    console.notes(given.notes)
    labels = np.zeros(len(given.inputs), np.int32)
    outputs = predict(model, Examples(given.inputs, labels), asked.parallel, explain=True)
    write_predictions(out, given, outputs, model.schema.class_names)
    result = {
        "out": str(out),
        "data": given.named(asked.data),
        "examples": len(given.ids),
        "classes": np.bincount(
            np.argmax(outputs.logits, axis=1), minlength=len(model.schema.class_names)
        ).tolist(),
        "faithfulness": None if outputs.flips is None else faithfulness(outputs.flips),
    }
    console.prediction(result, model.schema.class_names)
    console.print_json(result)


def _export(arguments: Sequence[str]) -> None:
    asked = parse(Export, arguments, program="laya export")
    console = Console(as_json=asked.output.json)
    export_model(load_model(asked.run), asked.out)
    console.say(f"written to {asked.out}: model.safetensors, config.json, data.json")
    console.print_json({"out": asked.out})


def _compile_check(arguments: Sequence[str]) -> None:
    arguments, backbone = without_backbone(arguments)
    named = _experiment(arguments)
    config = config_for(named, backbone.pretrained, freeze=backbone.freeze)
    default = CompileCheck(experiment=named, config=config)
    asked = parse(CompileCheck, arguments, program="laya compile-check", default=default)
    _check_first(named, asked.experiment)
    console = Console(as_json=asked.output.json)
    report = compile_check(asked.config, asked.topology)
    console.say(str(report))
    console.say(f"and it lowers for {', '.join(lower(asked.config, 'cuda').platforms)}")
    console.print_json(report.to_json())


def _experiment(arguments: Sequence[str]) -> str:
    """The experiment that is named first, before tyro can read the rest with its defaults."""
    return arguments[0] if arguments and not arguments[0].startswith("-") else "digits"


def _check_first(named: str, asked: str) -> None:
    if asked != named:
        raise ValueError(f"experiment is {asked!r} after the options, expected before them")


COMMANDS = {
    "train": _train,
    **preparing.COMMANDS,
    "resume": _resume,
    "evaluate": _evaluate,
    "predict": _predict,
    **explaining.COMMANDS,
    "export": _export,
    "compile-check": _compile_check,
}
