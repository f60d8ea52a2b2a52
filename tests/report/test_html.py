import base64
import hashlib
import html
import re
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from laya_jax.data import Preprocessing, Schema
from laya_jax.data.vocabulary import Vocabulary
from laya_jax.report import Attributed, Explained, render, stability
from laya_jax.report.gallery import excerpts, gallery, sprite_sheets
from laya_jax.training import ParallelConfig

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


@pytest.fixture(scope="module")
def page(measured, explainer, digits):
    """The report on two runs."""
    runs = [measured(), measured("laya", 1)]
    return render(runs, explainer(), digits, stability(runs), largest_gallery=150)


@pytest.fixture(scope="module")
def open_page(tmp_path_factory):
    """Opens a page in a headless browser."""
    if not (CHROMIUM and DRIVER):
        pytest.skip("there is no Chromium with its driver")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1200,900"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))

    def open_page(text):
        path = tmp_path_factory.mktemp("page") / "report.html"
        path.write_text(text, "utf-8", "backslashreplace")
        browser.get(path.as_uri())
        return browser

    yield open_page
    browser.quit()


def test_the_file_needs_nothing_from_elsewhere(page):
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert "http://" not in page
    assert "https://" not in page
    assert "@import" not in page


def test_every_finding_and_every_profile_is_shown(page, measured):
    for text in (
        "Within this model, attention",
        "Same top layer over 2 runs",
        "Detecting mistakes",
        "lens disagreement",
    ):
        assert text in page
    for share in measured().numbers["profiles"]["mean"]:
        assert f"{share:.3f}" in page


@pytest.mark.parametrize("asked", [("concat",), ("scalar_mix",), ("laya", 0, (16,))])
def test_every_head_has_a_report(measured, explainer, digits, asked):
    text = render([measured(*asked)], explainer(*asked), digits, None, largest_gallery=20)
    assert ("A head without attention" in text) == (asked[0] == "concat")
    assert "nan" not in re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
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
    for tag in ("<img", "<iframe", "<base", "<svg", "<link rel=stylesheet", "<!--"):
        assert tag not in text
    assert text.count("<style>") == 1
    assert "{{ 7 * 7 }}" in text


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


def test_a_reader_clicks_through_it(page, open_page):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select, WebDriverWait

    browser = open_page(page)
    find = lambda selector: browser.find_elements(By.CSS_SELECTOR, selector)  # noqa: E731
    one = lambda name: browser.find_element(By.ID, name)  # noqa: E731
    assert one("count").text == "150 of 150 samples, the first of 180 examples"
    assert len(find(".sample")) == 48
    one("next").click()
    assert one("page").text == "page 2 of 4"

    Select(one("class")).select_by_visible_text("3")
    threes = int(one("count").text.split()[0])
    assert 5 < threes < 30
    assert one("page").text == "page 1 of 1"
    Select(one("outcome")).select_by_value("wrong")
    wrong = int(one("count").text.split()[0])
    assert len(find(".sample[data-wrong]")) == len(find(".sample")) == wrong < threes
    Select(one("outcome")).select_by_value("correct")
    assert int(one("count").text.split()[0]) == threes - wrong
    counts = []
    for top in ("0", "1"):
        Select(one("top")).select_by_value(top)
        counts.append(int(one("count").text.split()[0]))
    assert sum(counts) == threes - wrong
    for name in ("class", "outcome", "top"):
        Select(one(name)).select_by_value("")
    Select(one("order")).select_by_value("unsure")
    shares = [int(re.search(r"(\d+) %", card.text)[1]) for card in find(".sample")]
    assert shares == sorted(shares)
    Select(one("order")).select_by_value("number")

    # By keyboard alone from here on.
    find(".sample")[0].send_keys(Keys.ENTER)
    assert one("detail").is_displayed()
    assert one("detail-title").text == "Sample 0"
    assert len(browser.find_elements(By.CSS_SELECTOR, "#detail tbody tr")) == 2
    browser.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert one("detail-title").text == "Sample 1"
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    WebDriverWait(browser, 5).until(lambda _: not one("detail").is_displayed())
    assert browser.switch_to.active_element == find(".sample")[1]

    ground = lambda: browser.execute_script("return getComputedStyle(document.body).backgroundColor")  # noqa: E731
    light = ground()
    one("theme").click()
    assert one("theme").get_attribute("aria-pressed") == "true"
    assert ground() != light
    assert browser.get_log("browser") == []


def test_ten_thousand_samples_stay_small_and_open_quickly(explainer, measured, digits, open_page):
    many = np.arange(10_000) % len(digits.labels)
    run = measured()
    explained = Explained(run.explained.logits[many], run.explained.explanation.take(many))
    repeated = Attributed(run.numbers, explained, run.profiles, None, None)
    text = render([repeated], explainer(), digits.take(many), None, largest_gallery=10_000)
    assert len(text) < 15e6
    browser = open_page(text)
    assert browser.find_element("id", "count").text == "10,000 of 10,000 samples"


def test_pictures_are_cut_from_sheets():
    images = np.random.default_rng(0).integers(0, 255, (501, 8, 8, 3), np.uint8)
    sheets = sprite_sheets(images)
    assert (len(sheets["sheets"]), sheets["on_sheet"], sheets["columns"]) == (2, 500, 20)
    large = sprite_sheets(np.zeros((2, 224, 200, 3), np.uint8))
    assert (large["height"], large["width"]) == (56, 50)


def test_texts_are_shown_as_words(measured):
    tokens = np.array([[2, 3, 1, 0, 0], [0, 0, 0, 3, 2]])
    assert excerpts(tokens, Vocabulary(("a", "film"))) == ["a film …", "film a"]
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


def test_explaining_runs_on_several_devices_as_on_one(train, digits):
    from laya_jax.report import Explainer
    from laya_jax.training import load_model

    model = load_model(train())
    one, several = (Explainer(model, ParallelConfig(devices=devices))(digits) for devices in (1, 2))
    np.testing.assert_allclose(one.logits, several.logits, atol=1e-5)
    np.testing.assert_allclose(one.explanation.scores, several.explanation.scores, atol=1e-5)
