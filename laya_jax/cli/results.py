"""Human-readable results of the commands."""

from collections.abc import Mapping, Sequence

from laya_jax.cli.console import Console
from laya_jax.report import WORDS, Finding
from laya_jax.typing import JsonObject


def show_trainings(console: Console, results: Sequence[JsonObject]) -> None:
    """Prints accuracies, depth profiles with their faithfulness, warnings, and the paths of the runs."""
    columns = ("head", "seed", "accuracy", "macro-F1", "calibration error", "best epoch", "seconds")
    rows = []
    for result in results:
        test = result["test"]
        numbers = (test["accuracy"], test["macro_f1"], test["calibration_error"])
        shown = (f"{number:.4f}" for number in numbers)
        rows.append(
            (result["head"], str(result["seed"]), *shown, str(result["best_epoch"]), str(result["seconds"]))
        )
    console.table(columns, rows, title="test split")
    for result in results:
        title = f"{result['head']}, seed {result['seed']}"
        _profile(console, title, result["test"]["attention"], result["faithfulness"])
        for warning in result["warnings"]:
            console.say(f"warning: {title}: {warning}")
    for result in results:
        console.tell(f"wrote {result['run']}")


def show_evaluation(console: Console, result: JsonObject) -> None:
    """Prints the metrics of one evaluation."""
    metrics = result["metrics"]
    console.tell(f"{result['run']} on {result['data']}: {metrics['examples']:,} examples")
    for name in ("accuracy", "macro_f1", "calibration_error", "loss"):
        console.tell(f"  {name.replace('_', ' '):<20}{metrics[name]:.4f}")
    if metrics["effective_depth"] is not None:
        console.tell(f"  {'effective depth':<20}{metrics['effective_depth']:.2f}")
    _profile(console, result["head"], metrics["attention"], result["faithfulness"])


def show_prediction(console: Console, result: JsonObject, class_names: Sequence[str]) -> None:
    """Prints the number of predictions of each class, and the faithfulness of the attention."""
    console.tell(f"predicted {result['examples']:,} examples of {result['data']}, wrote {result['out']}")
    for name, number in zip(class_names, result["classes"], strict=True):
        console.tell(f"  {name:<20}{number:>8,}")
    _faithfulness(console, result["faithfulness"])


def show_findings(console: Console, findings: Sequence[Finding], summary: str) -> None:
    """Prints the measurements of attention, whether each is a reason to trust it, and a summary."""
    if findings:
        columns = ("measured", "value", "compare with", "reason to trust it?")
        rows = [(each.name, each.value, each.reference, WORDS[each.verdict]) for each in findings]
        console.table(columns, rows)
    console.tell(summary)


def _profile(
    console: Console, title: str, attention: Sequence[float] | None, measured: Mapping[str, float] | None
) -> None:
    if attention is not None and measured is not None:
        console.profile(title, attention)
        _faithfulness(console, measured)


def _faithfulness(console: Console, measured: Mapping[str, float] | None) -> None:
    if measured is not None:
        console.tell(
            f"  faithfulness: {measured['flips_without_top_layer']:.0%} of predictions change without the "
            f"layer with the most attention, {measured['flips_without_another_layer']:.0%} without another"
        )
