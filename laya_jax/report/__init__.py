"""Measurements of a trained model's attention, as files and as an HTML report."""

from laya_jax.report.answers import summary
from laya_jax.report.checklist import Finding, findings
from laya_jax.report.explainer import Explained, Explainer
from laya_jax.report.files import write_figures, write_numbers, write_samples
from laya_jax.report.html import render
from laya_jax.report.measuring import Attributed, attribute
from laya_jax.report.seeds import stability
from laya_jax.report.verdicts import WORDS

__all__ = [
    "WORDS",
    "Attributed",
    "Explained",
    "Explainer",
    "Finding",
    "attribute",
    "findings",
    "render",
    "stability",
    "summary",
    "write_figures",
    "write_numbers",
    "write_samples",
]
