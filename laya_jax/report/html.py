"""Self-contained HTML report of the measurements from ``attribute``.

Names and texts in it are untrusted. They are escaped, and a Content-Security-Policy blocks external resources
and any script but the page's own.
"""

import base64
import dataclasses
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
from laya_jax.data import Examples, title_of
from laya_jax.engine import Config, TrainedModel
from laya_jax.report.answers import PROFILES, Answer, answer
from laya_jax.report.charts import Figure, curve_figures, depth_figure, profile_figure
from laya_jax.report.checklist import findings
from laya_jax.report.explainer import Explainer
from laya_jax.report.gallery import gallery
from laya_jax.report.measuring import Attributed
from laya_jax.report.seeds import other_seeds
from laya_jax.report.verdicts import WORDS, Numbers
from laya_jax.report.wording import joined

FEW_CLASSES = 5
"""Maximum number of classes whose names are in the title."""

LONGEST_TITLE = 80
"""Maximum number of characters of a title that has the names of the classes."""

DETECTIONS = (("mistakes", "Detecting mistakes"), ("outliers", "Detecting out-of-distribution inputs"))

KINDS = {"vit": "ViT", "bert": "BERT", "mlp": "MLP", "bilstm": "BiLSTM", "separable_cnn": "separable CNN"}

HEADS = {
    "kernel": "Kernel head",
    "laya": "LAYA head",
    "scalar_mix": "Scalar-mix head",
    "concat": "Concatenation head",
    "last_layer": "Last-layer head",
}


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
    first, model = runs[0].numbers, explainer.model
    layers = [f"h{layer}" for layer in range(1, len(first["metrics"]["attention"] or ()) + 1)]
    found = answer(first, stability)
    css, script = (
        files("laya_jax.report").joinpath("page", name).read_text("utf-8") for name in ("page.css", "page.js")
    )
    return _template().render(
        policy=_policy(css, script),
        title=_title(model),
        subject=_subject(model.config, first["metrics"]["examples"]),
        answer=found,
        figures=_figures(runs, found, layers),
        maps=_maps(first),
        facts=_facts(model),
        runs=[run.numbers for run in runs],
        numbers=first,
        class_names=model.schema.class_names,
        layers=layers,
        findings=findings(first, stability),
        words=WORDS,
        detections=[(title, first[name]) for name, title in DETECTIONS if first[name] is not None],
        version=laya_jax.__version__,
        date=date.today().isoformat(),
        css=Markup(css),
        script=Markup(script),
        data=_embedded(runs[0], model, examples, layers, largest_gallery),
    )


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("laya_jax.report", "page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.jinja")


def _title(model: TrainedModel) -> str:
    """Returns the title of the data with its classes, or with their number if there are many."""
    names, data = model.schema.class_names, title_of(model.config.data.source)
    if len(names) <= FEW_CLASSES and len(named := f"{data}: {joined(names)}") <= LONGEST_TITLE:
        return named
    return f"{data}: {len(names)} classes"


def _subject(config: Config, examples: int) -> str:
    """Describes the model and the examples in a few words."""
    backbone = config.backbone
    head = HEADS.get(config.head.kind, f"{config.head.kind} head")
    frozen = "frozen " if backbone.freeze else ""
    parts = (head, f"{frozen}{KINDS.get(backbone.kind, backbone.kind)} backbone", f"{examples:,} examples")
    return " \N{MIDDLE DOT} ".join(parts)


def _figures(runs: Sequence[Attributed], found: Answer, layers: Sequence[str]) -> dict[str, Any]:
    """Draws all figures of a head with attention; none of any other head."""
    if found.contributions is None or found.attention is None:
        return {}
    first, others = runs[0].numbers, other_seeds(runs)[1:]
    profiles: dict[str, Figure] = {}
    for reading in (found.contributions, found.attention):
        means = [run.numbers[PROFILES[reading.name]]["mean"] for run in others]
        profiles[reading.name] = profile_figure(reading, layers, means)
    measured = first["faithfulness"]
    over_depth = depth_figure(
        measured["accuracy_over_depth"], layers, first["metrics"]["accuracy"], len(first["class_names"])
    )
    return {**profiles, "curves": curve_figures(measured["curves"]), "depth": over_depth}


def _maps(numbers: Numbers) -> list[dict[str, Any]]:
    """Collects the profiles by class, and the largest value of each attribution for the scale of colours."""
    maps = []
    for name, key in PROFILES.items():
        if numbers[key] is None:
            continue
        groups = {group: numbers[key][group] for group in ("all", "correct", "wrong")}
        shares = [share for group in groups.values() for row in group["by_class"] if row for share in row]
        maps.append({"name": name, "groups": groups, "largest": max(shares, default=1.0)})
    return maps


def _facts(model: TrainedModel) -> list[tuple[str, str]]:
    backbone, head = model.config.backbone, model.config.head
    sizes = backbone.path or " - ".join(map(str, backbone.widths))
    trained = "frozen" if backbone.freeze else "trained"
    facts = [("backbone", f"{backbone.kind} {sizes}, {trained}"), ("head", head.kind)]
    names = (field.name for field in dataclasses.fields(head))
    has = [name for name in names if hasattr(model.classifier.head, name)]
    facts += [(name.replace("_", " "), str(getattr(head, name))) for name in has]
    facts.append(("data", model.config.data.source))
    return facts + [("warning", warning) for warning in model.warnings]


def _embedded(
    run: Attributed, model: TrainedModel, examples: Examples, layers: Sequence[str], largest_gallery: int
) -> Markup:
    """Encodes what the page's script reads as JSON that cannot end its element."""
    number = min(len(examples.labels), largest_gallery)
    samples = gallery(run, np.asarray(examples.inputs[:number]), examples.labels[:number], model.schema)
    embedded = {
        "samples": samples,
        "class_names": model.schema.class_names,
        "layers": layers,
        "examples": len(examples.labels),
    }
    text = json.dumps(embedded, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


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
