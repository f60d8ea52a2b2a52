"""The report: one HTML file that needs nothing else, made of what ``attribute`` measured."""

import json
from collections.abc import Sequence
from datetime import date
from importlib.resources import files
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

import laya_jax
from laya_jax.data import Examples
from laya_jax.report.attribute import Attributed
from laya_jax.report.explainer import Explainer
from laya_jax.report.findings import WORDS, findings, stable, summary
from laya_jax.report.gallery import gallery

DETECTIONS = (("mistakes", "Telling mistakes"), ("outliers", "Telling inputs of another kind"))


def render(
    runs: Sequence[Attributed],
    explainer: Explainer,
    examples: Examples,
    stability: dict[str, Any] | None,
    *,
    largest_gallery: int,
) -> str:
    """The report as HTML.

    Args:
      runs: what was measured of each run; most of the report is about the first.
      explainer: of the first run.
      examples: that it was measured on.
      stability: over the runs, None where it was not measured.
      largest_gallery: samples that can be browsed, at most.
    """
    first = runs[0].numbers
    number = min(len(examples.labels), largest_gallery)
    schema, config = explainer.model.schema, explainer.model.config
    layers = [f"h{layer}" for layer in range(1, len(first["metrics"]["attention"] or ()) + 1)]
    samples = gallery(runs[0], np.asarray(examples.inputs[:number]), examples.labels[:number], schema)
    faithfulness = first["faithfulness"] or {}
    page = files("laya_jax.report") / "page"
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    embedded = {
        "samples": samples,
        "class_names": schema.class_names,
        "layers": layers,
        "examples": len(examples.labels),
    }
    return environment.from_string((page / "page.html.jinja").read_text()).render(
        title=f"What {config.head.kind} used on {config.data.source}",
        summary=summary(first, stability),
        overall="unknown" if stability is None else stable(stability).verdict,
        facts=_facts(explainer),
        runs=[run.numbers for run in runs],
        class_names=schema.class_names,
        layers=layers,
        profiles=first["profiles"],
        findings=findings(first, stability),
        words=WORDS,
        curves=faithfulness.get("curves"),
        replaced=faithfulness.get("replaced_attention"),
        randomized=faithfulness.get("randomization"),
        detections=[(title, first[name]) for name, title in DETECTIONS if first[name] is not None],
        version=laya_jax.__version__,
        date=date.today().isoformat(),
        css=_verbatim((page / "page.css").read_text()),
        script=_verbatim((page / "page.js").read_text()),
        data=_verbatim(
            json.dumps(embedded, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
        ),
    )


def _facts(explainer: Explainer) -> list[tuple[str, str]]:
    config = explainer.model.config
    head = config.head
    backbone = config.backbone
    sizes = backbone.path or " - ".join(map(str, backbone.widths))
    frozen = ", frozen" if backbone.freeze else ""
    facts = [("backbone", f"{backbone.kind} {sizes}{frozen}"), ("head", head.kind)]
    if head.kind != "last_layer":
        facts.append(("width shared by the layers", str(head.dim)))
    if head.kind == "laya":
        facts += [("temperature", str(head.temperature)), ("psi", head.psi)]
    return facts


def _verbatim(text: str) -> Markup:
    """Text of our own that is no HTML to escape."""
    return Markup(text)
