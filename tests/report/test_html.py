import base64
import hashlib
import html
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from laya_jax.data import Preprocessing, Schema
from laya_jax.data.vocabulary import Vocabulary
from laya_jax.report import render
from laya_jax.report.gallery import COARSE, FINE, excerpts, gallery, sprite_sheets
from laya_jax.training import ParallelConfig


def test_the_file_needs_nothing_from_elsewhere(page):
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert "http://" not in page
    assert "https://" not in page
    assert "@import" not in page


def test_every_finding_and_every_profile_is_shown(page, measured):
    for text in (
        "Within this model, contributions are",
        "Within this model, attention is",
        "Same layer contributes most over 2 runs",
        "Same top layer over 2 runs",
        "Detecting mistakes",
        "lens disagreement",
    ):
        assert text in page
    for profile in ("contribution_profiles", "profiles"):
        for share in measured().numbers[profile]["mean"]:
            assert f"{share:.3f}" in page


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "charts"), [(("concat",), 0), (("scalar_mix",), 5), (("laya", 0, (16,)), 3)]
)
def test_every_head_has_a_report(measured, explainer, digits, asked, charts):
    text = render([measured(*asked)], explainer(*asked), digits, None, largest_gallery=20)
    assert ("has no attention over layers" in text) == (asked[0] == "concat")
    assert text.count("<svg viewBox") == (
        0 if asked[0] == "concat" else 5 if asked != ("laya", 0, (16,)) else 3
    )
    assert "nan" not in re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL).lower()
    if asked[0] == "scalar_mix":
        assert re.search(r"scorer</th><td>\N{EN DASH}</td><td>\N{EN DASH}</td>", text)


HOSTILE = (
    "</script><script>window.hacked = 1</script>",
    '"><img src="PLACE/a" onerror="window.hacked = 2">',
    "<style>@import 'PLACE/b'; body { background: url(PLACE/c) }</style>",
    "<iframe src='PLACE/d'></iframe><link rel=stylesheet href='PLACE/e'>",
    "' onmouseover='window.hacked = 3' style='background: url(PLACE/f)",
    "<!--<script>",
    "{{ 7 * 7 }} {% raw %}",
    "javascript:window.hacked = 4",
    "\u2028\u2029caf\udce9",
    "<base href='PLACE/'><form action='PLACE/g'><svg onload='window.hacked = 5'>",
)
"""Names of ten classes; PLACE is the address of a server."""


@pytest.fixture
def hostile_page(measured, explainer, digits):
    """The report on a run whose classes have hostile names."""

    def hostile_page(place="http://localhost:1"):
        names = tuple(name.replace("PLACE", place) for name in HOSTILE)
        explain = explainer()
        explain.model = explain.model._replace(schema=Schema(names, explain.model.schema.preprocessing, None))
        return render([measured()], explain, digits, None, largest_gallery=20)

    return hostile_page


def test_class_names_and_texts_cannot_break_the_page(hostile_page):
    text = hostile_page()
    assert text.count("</script>") == text.count("<script") == 2
    for tag in ("<img", "<iframe", "<base", "<svg onload", "<link rel=stylesheet", "<!--"):
        assert tag not in text
    assert text.count("<style>") == 1
    assert "{{ 7 * 7 }}" in text


@pytest.mark.slow
def test_nothing_is_loaded_and_nothing_runs_whatever_the_names(hostile_page, open_page):
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("localhost", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = f"http://localhost:{server.server_port}"
        browser = open_page(hostile_page(place))
        shown = [option.text for option in browser.find_elements("css selector", "#class option")]
        assert HOSTILE[0] in shown
        for sample in browser.find_elements("css selector", ".sample")[:3]:
            browser.execute_script("arguments[0].click()", sample)
        assert browser.get_log("browser") == []
        # Even if a name got through as HTML, the policy would stop it.
        attempt = f"""
            const done = arguments[arguments.length - 1];
            const script = document.createElement('script');
            script.textContent = 'window.hacked = 6';
            document.body.append(script);
            const made = document.createElement('div');
            made.innerHTML = `<img src="{place}/h" onerror="window.hacked = 7">
                <iframe src="{place}/i"></iframe>
                <style>body {{ background: url({place}/j) }}</style>
                <p style="background: url({place}/k)">x</p>`;
            document.body.append(made);
            fetch('{place}/l').then(() => done('loaded'), () => setTimeout(() => done('refused'), 300));
        """
        assert browser.execute_async_script(attempt) == "refused"
        server.shutdown()
    assert browser.execute_script("return window.hacked") is None
    assert requests == []
    refused = browser.get_log("browser")
    assert refused
    assert all("Content Security Policy" in each["message"] for each in refused)


def test_the_policy_allows_the_pages_own_script_and_style_alone(page):
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="(.*?)">', page)
    rules = dict(rule.split(" ", 1) for rule in html.unescape(policy).split("; "))
    assert rules["default-src"] == "'none'"
    for tag, rule in (("script", "script-src"), ("style", "style-src-elem")):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert page.index("Content-Security-Policy") < page.index("<style>")


def test_pictures_are_cut_from_sheets():
    images = np.random.default_rng(0).integers(0, 255, (501, 8, 8, 3), np.uint8)
    sheets = sprite_sheets(images)
    assert (len(sheets["sheets"]), sheets["on_sheet"], sheets["columns"]) == (2, 500, 20)
    large = sprite_sheets(np.zeros((2, 224, 200, 3), np.uint8), COARSE)
    assert (large["height"], large["width"]) == (64, 57)
    assert sprite_sheets(np.zeros((1, 224, 200, 1), np.uint8))["height"] == FINE


def test_texts_are_shown_as_words(measured):
    tokens = np.array([[2, 3, 1, 0, 0], [0, 0, 0, 3, 2]])
    assert excerpts(tokens, Vocabulary(("a", "film"))) == ["a film …", "film a"]
    (long,) = excerpts(np.full((1, 100), 2), Vocabulary(("a", "film")))
    assert long.split() == ["a"] * 60 + ["…"]
    schema = Schema(("no", "yes"), Preprocessing("tokens", (5,)), Vocabulary(("a", "film")))
    run = measured()
    shown = gallery(run, tokens, np.array([0, 1]), schema)
    assert shown["pictures"] is None
    assert shown["texts"] == ["a film …", "film a"]


def test_features_have_no_picture(measured):
    schema = Schema(("no", "yes"), Preprocessing("features", (3,)), None)
    shown = gallery(measured(), np.zeros((2, 3)), np.array([0, 1]), schema)
    assert (shown["pictures"], shown["texts"]) == (None, None)
    assert len(shown["layers"]["attention"]) == 2


@pytest.mark.slow
def test_explaining_runs_on_several_devices_as_on_one(train, digits):
    from laya_jax.report import Explainer
    from laya_jax.training import load_model

    model = load_model(train())
    one, several = (Explainer(model, ParallelConfig(devices=devices))(digits) for devices in (1, 2))
    np.testing.assert_allclose(one.logits, several.logits, atol=1e-5)
    np.testing.assert_allclose(one.explanation.scores, several.explanation.scores, atol=1e-5)
