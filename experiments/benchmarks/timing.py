"""Interleaved timing of alternatives, so that drifts in the machine's speed affect all of them equally."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

RESULTS = Path(__file__).parents[1] / "results"


def compare(alternatives: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, dict[str, float]]:
    """Times alternatives in turn, and computes the ratio of each one's time to the first one's in each round.

    Args:
      alternatives: Functions without arguments, by name. Each is called twice before timing starts.
      rounds: Number of times that each alternative is timed.

    Returns:
      Dictionary by name with the medians over rounds, ``milliseconds`` and ``ratio``, the shortest time,
      ``fastest_milliseconds``, and the range of the ratio, ``lowest_ratio`` and ``highest_ratio``.
    """
    seconds: dict[str, list[float]] = {name: [] for name in alternatives}
    for run in alternatives.values():
        for _ in range(2):
            jax.block_until_ready(run())
    for _ in range(rounds):
        for name, run in alternatives.items():
            start = time.perf_counter()
            jax.block_until_ready(run())
            seconds[name].append(time.perf_counter() - start)
    return table(seconds)


def table(seconds: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    """Summarizes interleaved times in seconds in the form that ``compare`` returns."""
    first = next(iter(seconds.values()))
    rows = {}
    for name, times in seconds.items():
        ratios = [mine / reference for mine, reference in zip(times, first, strict=True)]
        rows[name] = {
            "milliseconds": round(1e3 * statistics.median(times), 3),
            "fastest_milliseconds": round(1e3 * min(times), 3),
            "ratio": round(statistics.median(ratios), 3),
            "lowest_ratio": round(min(ratios), 3),
            "highest_ratio": round(max(ratios), 3),
        }
    return rows


def results(name: str) -> dict[str, dict[str, dict[str, float]]]:
    """Reads the tables that a benchmark has written so far."""
    path = RESULTS / f"benchmark_{name}.json"
    return json.loads(path.read_text())["tables"] if path.exists() else {}


def report(name: str, tables: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    """Prints the tables and writes them to the results, with a description of the machine."""
    for title, rows in tables.items():
        print(f"\n{title}")
        for alternative, row in rows.items():
            spread = f"{row['lowest_ratio']} - {row['highest_ratio']}"
            print(f"  {alternative:<32}{row['milliseconds']:>12} ms   x {row['ratio']:<7} ({spread})")
    machine = {
        "platform": jax.default_backend(),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "jax": jax.__version__,
    }
    path = RESULTS / f"benchmark_{name}.json"
    path.write_text(json.dumps({"machine": machine, "tables": tables}, indent=1) + "\n")
    print(f"\nwritten to {path.relative_to(RESULTS.parents[1])}")
