"""The page in a headless browser: without a driver, these are skipped."""

import re
from itertools import pairwise

import numpy as np
import pytest

from laya_jax.attribution.plots import depth_colours
from laya_jax.report import Explained, render

pytestmark = pytest.mark.slow

PIXELS = """
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    return arguments[0].map((colour) => {
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
    });
"""
SMALLEST = """
    const size = (each) => parseFloat(getComputedStyle(each).fontSize);
    const scale = (svg) => svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    const charts = [...document.querySelectorAll('.chart > svg')].map((svg) => size(svg) * scale(svg));
    return Math.min(...charts, ...[...document.querySelectorAll('main *:not(svg, svg *)')].map(size));
"""
FILLS = "return [...document.querySelectorAll('.hero .bar')].map((bar) => getComputedStyle(bar).fill)"
GROUND = "return getComputedStyle(document.body).backgroundColor"


def luminance(pixels):
    """Relative luminance as in WCAG 2."""
    shares = np.asarray(pixels) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(one, other):
    one, other = luminance(one), luminance(other)
    return (np.maximum(one, other) + 0.05) / (np.minimum(one, other) + 0.05)


@pytest.fixture
def sized(open_page):
    """Opens a page at a width in CSS pixels, also below the least width of a window."""

    def sized(text, width, scheme="light"):
        browser = open_page(text)
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        opened.append(browser)
        browser.refresh()
        return browser

    opened = []
    yield sized
    for browser in opened:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("width", [400, 1400])
def test_nothing_is_wider_than_the_window_and_all_letters_can_be_read(page, sized, width):
    browser = sized(page, width)
    browser.execute_script("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    beyond = "const { scrollWidth, clientWidth } = document.documentElement; return scrollWidth - clientWidth"
    assert browser.execute_script(beyond) == 0
    assert browser.execute_script(SMALLEST) >= 11
    assert browser.get_log("browser") == []


def test_the_answer_and_its_picture_are_on_the_first_screen(page, sized):
    browser = sized(page, 1400)
    bottom = "return document.querySelector(arguments[0]).getBoundingClientRect().bottom"
    assert browser.execute_script(bottom, ".claims") < 900
    assert browser.execute_script(bottom, ".hero svg[role=img]") < 900


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_one_palette_for_depth_is_ordered_by_lightness_and_stands_out(
    measured, explainer, digits, sized, scheme
):
    asked = ("laya", 0, (16, 12, 12, 8))
    browser = sized(
        render([measured(*asked)], explainer(*asked), digits, None, largest_gallery=9), 1400, scheme
    )
    fills, ground = browser.execute_script(FILLS), browser.execute_script(GROUND)
    *layers, behind = browser.execute_script(PIXELS, [*fills, ground])
    steps = np.diff(luminance(layers))
    assert len(set(np.sign(steps))) == 1
    assert np.all(contrast(layers, behind) >= 3)
    if scheme == "light":
        of_figures = depth_colours(len(layers))[:, :3] * 255
        np.testing.assert_allclose(layers, of_figures, atol=7)


def test_figures_have_names_and_headings_are_in_order(page, open_page):
    browser = open_page(page)
    levels = [int(each.tag_name[1]) for each in browser.find_elements("css selector", "h1, main h2, main h3")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    figures = browser.find_elements("css selector", "figure")
    assert len(figures) == 5
    for figure in figures:
        drawing = figure.find_element("css selector", "svg[role=img]")
        assert drawing.accessible_name.startswith(figure.find_element("css selector", "h3").text)
        assert figure.find_elements("css selector", "details table tbody tr")
    assert browser.find_element("css selector", "html").get_attribute("lang") == "en"


def test_the_keyboard_reaches_everything_visibly(page, sized):
    from selenium.webdriver.common.keys import Keys

    browser = sized(page, 1400)
    browser.execute_script(
        "document.querySelectorAll('.sample').forEach((each, i) => { if (i > 2) each.remove(); })"
    )
    expected = browser.execute_script(
        "return [...document.querySelectorAll('a, button, select, summary')]"
        ".filter((each) => each.checkVisibility() && !each.disabled).length"
    )
    reached, outlined = 0, "return getComputedStyle(document.activeElement).outlineStyle"
    browser.find_element("css selector", "body").send_keys(Keys.TAB)
    while (focused := browser.switch_to.active_element).tag_name != "body":
        assert browser.execute_script(outlined) != "none", focused.get_attribute("outerHTML")
        if focused.tag_name == "summary":
            folded = focused.find_element("xpath", "..")
            focused.send_keys(Keys.ENTER)
            assert folded.get_attribute("open")
            focused.send_keys(Keys.ENTER)
        reached += focused.tag_name in ("a", "button", "select", "summary")
        assert reached <= expected
        focused.send_keys(Keys.TAB)
    assert reached == expected


def test_a_reader_clicks_through_it(page, open_page):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select, WebDriverWait

    browser = open_page(page)
    find = lambda selector: browser.find_elements(By.CSS_SELECTOR, selector)  # noqa: E731
    one = lambda name: browser.find_element(By.ID, name)  # noqa: E731
    assert one("count").text == "150 of 150 samples, the first of 180 examples"
    assert len(find(".sample")) == 48
    first = [card.text.split()[0] for card in find(".sample")[:10]]
    assert len(set(first)) > 7  # the classes in turn
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
    shares = [int(re.search(r"(\d+)%", card.text)[1]) for card in find(".sample")]
    assert shares == sorted(shares)
    Select(one("order")).select_by_value("number")

    # By keyboard alone from here on.
    eventually = WebDriverWait(browser, 5).until
    find(".sample")[0].send_keys(Keys.ENTER)
    eventually(lambda _: one("detail").is_displayed())
    assert one("detail-title").text == "Sample 0"
    assert len(browser.find_elements(By.CSS_SELECTOR, "#detail tbody tr")) == 2
    browser.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    eventually(lambda _: one("detail-title").text == "Sample 1")
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    eventually(lambda _: not one("detail").is_displayed())
    eventually(lambda _: browser.switch_to.active_element == find(".sample")[1])

    ground = lambda: browser.execute_script("return getComputedStyle(document.body).backgroundColor")  # noqa: E731
    light = ground()
    one("theme").click()
    assert one("theme").get_attribute("aria-pressed") == "true"
    eventually(lambda _: ground() != light)
    assert browser.get_log("browser") == []


def test_ten_thousand_samples_stay_small_and_open_quickly(explainer, measured, digits, open_page):
    many = np.arange(10_000) % len(digits.labels)
    run = measured()
    explained = Explained(run.explained.logits[many], run.explained.explanation.take(many))
    repeated = run._replace(explained=explained, shapley=None, curves=None)
    text = render([repeated], explainer(), digits.take(many), None, largest_gallery=10_000)
    assert len(text) < 15e6
    browser = open_page(text)
    assert browser.find_element("id", "count").text == "10,000 of 10,000 samples"
