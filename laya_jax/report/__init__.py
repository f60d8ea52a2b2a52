"""Measurements of a trained model's attention, as files and as one page."""

from laya_jax.report.attribute import Attributed, attribute, stability
from laya_jax.report.explainer import Explained, Explainer
from laya_jax.report.files import write_figures, write_numbers, write_samples
from laya_jax.report.findings import Finding, findings, summary
from laya_jax.report.html import render

__all__ = [
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
