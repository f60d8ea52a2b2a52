"""Commands that use a trained model: ``laya evaluate``, ``laya predict`` and ``laya export``."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from laya_jax.cli.arguments import Evaluate, Export, Predict
from laya_jax.cli.outputs import check_new_directory, check_new_file
from laya_jax.cli.parsing import parse
from laya_jax.cli.predictions import SUFFIXES, write_predictions
from laya_jax.cli.results import show_evaluation, show_prediction
from laya_jax.cli.starting import started
from laya_jax.data import Examples, Unlabelled, read_inputs
from laya_jax.engine import measure
from laya_jax.training import TrainedModel, export_model, faithfulness, load_model, predict, read_split


def evaluate_command(arguments: Sequence[str]) -> None:
    """Tests a model on labelled examples."""
    asked = parse(Evaluate, arguments, program="laya evaluate")
    with started(asked.output, asked.parallel) as console:
        model = load_model(asked.run)
        given = _labelled(model, asked)
        console.notes(given.notes)
        console.work(f"evaluating {asked.run}")
        examples = Examples(given.inputs, given.labels)
        outputs = predict(model, examples, asked.parallel, explain=True, listener=console)
        metrics = measure(outputs.logits, outputs.attention, examples.labels)
        result = {
            "run": asked.run,
            "data": given.named(asked.data or model.config.data.source),
            "head": model.config.head.kind,
            "metrics": dataclasses.asdict(metrics),
            "faithfulness": None if outputs.flips is None else faithfulness(outputs.flips),
            "warnings": list(model.warnings),
        }
        show_evaluation(console, result)
        console.print_json(result)


def predict_command(arguments: Sequence[str]) -> None:
    """Writes a model's predictions for examples to a file."""
    asked = parse(Predict, arguments, program="laya predict")
    out = Path(asked.out)
    with started(asked.output, asked.parallel) as console:
        check_new_file(out, SUFFIXES)
        model = load_model(asked.run)
        given = read_inputs(asked.data, model.schema, model.config.data)
        console.notes(given.notes)
        console.work(f"predicting {asked.data}")
        examples = Examples(given.inputs, np.zeros(len(given.inputs), np.int32))
        outputs = predict(model, examples, asked.parallel, explain=True, listener=console)
        console.work(f"writing {asked.out}")
        class_names = model.schema.class_names
        write_predictions(out, given, outputs, class_names)
        predicted = np.argmax(outputs.logits, axis=1)
        result = {
            "out": str(out),
            "data": given.named(asked.data),
            "examples": len(given.ids),
            "classes": np.bincount(predicted, minlength=len(class_names)).tolist(),
            "faithfulness": None if outputs.flips is None else faithfulness(outputs.flips),
            "warnings": list(model.warnings),
        }
        show_prediction(console, result, class_names)
        console.print_json(result)


def export_command(arguments: Sequence[str]) -> None:
    """Writes a run's best parameters to a self-contained directory."""
    asked = parse(Export, arguments, program="laya export")
    with started(asked.output) as console:
        check_new_directory(Path(asked.out))
        model = load_model(asked.run)
        export_model(model, asked.out)
        console.tell(f"wrote {asked.out}: model.safetensors, config.json, data.json")
        console.print_json({"out": asked.out, "warnings": list(model.warnings)})


def _labelled(model: TrainedModel, asked: Evaluate) -> Unlabelled:
    """Reads the examples to evaluate.

    Raises:
      ValueError: The examples have no labels.
    """
    if asked.data is None:
        return read_split(model, asked.split)
    given = read_inputs(asked.data, model.schema, model.config.data, labelled=True)
    if given.labels is None:
        raise ValueError(f"data is {asked.data!r}, which has no labels, expected labelled data")
    return given


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "evaluate": evaluate_command,
    "predict": predict_command,
    "export": export_command,
}
