"""Verdicts on the numbers of an attribution, and the formatting of numbers."""

from collections.abc import Mapping
from typing import Any, Literal

Numbers = Mapping[str, Any]

Verdict = Literal["supports", "mixed", "against", "unknown"]
"""Verdict on whether a number is a reason to trust an attribution."""

WORDS: Mapping[Verdict, str] = {
    "supports": "yes",
    "mixed": "partly",
    "against": "no",
    "unknown": "unknown",
}
"""Verdicts as answers to the question of whether a number is a reason for trust."""


def judged(value: float | None, good: float, bad: float) -> Verdict:
    """Compares a number with the lowest good value and the highest bad value.

    >>> judged(0.5, 0.6, 0.2), judged(None, 0.6, 0.2)
    ('mixed', 'unknown')
    """
    if value is None:
        return "unknown"
    return "supports" if value >= good else "mixed" if value > bad else "against"


def percent(share: float) -> str:
    """Formats a fraction as a percentage, without rounding values near 0 or 1 to 0% or 100%.

    >>> percent(0.004), percent(0.5), percent(0.999)
    ('0.4%', '50%', '99.9%')
    """
    return f"{100 * share:.1f}%" if 0 < share < 0.01 or 0.99 < share < 1 else f"{100 * share:.0f}%"


def top_layer(likeness: Numbers) -> str:
    """Formats the fraction with the same top layer; undefined for attention that is constant over samples.

    >>> top_layer({"same_top_layer": 1.0, "centred_correlation": None})
    'undefined'
    """
    return "undefined" if likeness["centred_correlation"] is None else percent(likeness["same_top_layer"])


def number(value: float | None) -> str:
    """Formats a number that may be undefined.

    >>> number(0.123), number(None)
    ('0.12', 'undefined')
    """
    return "undefined" if value is None else f"{value:.2f}"
