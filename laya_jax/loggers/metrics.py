"""Code shared by all trackers: names of metrics, identities of runs, and optional packages."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from types import ModuleType

from laya_jax.files import read_json, write_json
from laya_jax.training import RunDirectory
from laya_jax.typing import JsonObject

IDENTITIES = "trackers.json"
"""File in a run directory with the run's identity in each tracker, by which a resumed run continues."""


def scalars(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yields the names and values of all numbers in metrics.

    >>> dict(scalars({"train": {"loss": 0.5}, "attention": [0.25, 0.75]}))
    {'train/loss': 0.5, 'attention/h1': 0.25, 'attention/h2': 0.75}
    """
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from scalars(value, f"{prefix}{name}/")
        elif isinstance(value, list):
            yield from ((f"{prefix}{name}/h{layer}", share) for layer, share in enumerate(value, 1))
        elif isinstance(value, int | float):
            yield f"{prefix}{name}", value


def results(result: JsonObject) -> dict[str, float]:
    """Extracts the numbers from a run's result: metrics on the test split, and faithfulness.

    >>> results({"run": "runs/digits", "seed": 0, "test": {"accuracy": 0.9}, "faithfulness": None})
    {'test/accuracy': 0.9}
    """
    shown = {name: result[name] for name in ("test", "faithfulness") if result[name] is not None}
    return dict(scalars(shown))


def identity(run: RunDirectory, tracker: str) -> str | None:
    """Returns a run's identity in a tracker; None if the tracker does not know the run yet."""
    found: str | None = _identities(run).get(tracker)
    return found


def remember(run: RunDirectory, tracker: str, known: str) -> None:
    """Saves a run's identity in a tracker."""
    write_json(run.path / IDENTITIES, {**_identities(run), tracker: known})


def optional(package: str) -> ModuleType:
    """Imports an optional package, which the extra of the same name installs.

    Raises:
      ModuleNotFoundError: The package is missing.
    """
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error.name} is not installed; --log {package} needs it: pip install 'laya-jax[{package}]'",
            name=error.name,
        ) from None


def _identities(run: RunDirectory) -> JsonObject:
    path = run.path / IDENTITIES
    return dict(read_json(path)) if path.exists() else {}
