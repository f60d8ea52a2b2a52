"""Self-contained HTML report of the measurements from ``attribute``.

Names and texts in it are untrusted. They are escaped, and a Content-Security-Policy blocks external resources
and any script but the page's own.
"""

import base64
import hashlib
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
from laya_jax.report.explainer import Explainer
from laya_jax.report.gallery import gallery
from laya_jax.report.measuring import Attributed
from laya_jax.report.verdicts import WORDS, findings, stable, summary

DETECTIONS = (("mistakes", "Detecting mistakes"), ("outliers", "Detecting out-of-distribution inputs"))


def render(
    runs: Sequence[Attributed],
    explainer: Explainer,
    examples: Examples,
    stability: dict[str, Any] | None,
    *,
    largest_gallery: int,
) -> str:
    """Renders the report as HTML.

    Args:
      runs: Measurements of each run; most of the report is about the first.
      explainer: Explainer of the first run.
      examples: Measured examples.
      stability: Stability across runs; None if it was not measured.
      largest_gallery: Maximum number of samples in the gallery.

    Returns:
      The page. File names that are not UTF-8 leave surrogate escapes in it; write it with
      ``errors="backslashreplace"``.
    """
    first = runs[0].numbers
    number = min(len(examples.labels), largest_gallery)
    schema, config = explainer.model.schema, explainer.model.config
    layers = [f"h{layer}" for layer in range(1, len(first["metrics"]["attention"] or ()) + 1)]
    samples = gallery(runs[0], np.asarray(examples.inputs[:number]), examples.labels[:number], schema)
    faithfulness = first["faithfulness"] or {}
    template, css, script = (
        files("laya_jax.report").joinpath("page", name).read_text("utf-8")
        for name in ("page.html.jinja", "page.css", "page.js")
    )
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    embedded = {
        "samples": samples,
        "class_names": schema.class_names,
        "layers": layers,
        "examples": len(examples.labels),
    }
    return environment.from_string(template).render(
        policy=_policy(css, script),
        title=f"Layers that {config.head.kind} uses on {config.data.source}",
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
        css=_verbatim(css),
        script=_verbatim(script),
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
        facts.append(("shared width of the layers", str(head.dim)))
    if head.kind == "laya":
        facts += [("temperature", str(head.temperature)), ("psi", head.psi)]
    return facts + [("warning", warning) for warning in explainer.model.warnings]


def _policy(css: str, script: str) -> str:
    """Returns the Content-Security-Policy: the page's own style and script, by hash, and data images.

    Style attributes contain only numbers, and injected CSS could not load anything.
    """
    style, code = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (css, script)
    )
    return (
        f"default-src 'none'; script-src 'sha256-{code}'; style-src-elem 'sha256-{style}'; "
        "style-src-attr 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    )


def _verbatim(text: str) -> Markup:
    """Marks trusted text as exempt from escaping."""
    return Markup(text)
