import shutil

import pytest

from laya_jax.data import load
from laya_jax.report import Explainer, attribute, render, stability
from laya_jax.training import (
    BackboneConfig,
    Config,
    HeadConfig,
    OptimizerConfig,
    ParallelConfig,
    load_model,
    start,
)

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
ONE_DEVICE = ParallelConfig(devices=1)
HEADS = {
    "laya": HeadConfig(dim=8),
    "uniform_start": HeadConfig(dim=8, uniform_start=True),
    "scalar_mix": HeadConfig(kind="scalar_mix", dim=8),
    "concat": HeadConfig(kind="concat", dim=8),
    "last_layer": HeadConfig(kind="last_layer"),
}


@pytest.fixture(scope="session")
def train(tmp_path_factory):
    """Trains a head on the digits for two epochs, once."""
    paths = {}

    def train(kind="laya", seed=0, widths=(16, 12)):
        asked = (kind, seed, widths)
        if asked not in paths:
            config = Config(
                backbone=BackboneConfig(widths=widths),
                head=HEADS[kind],
                optimizer=OptimizerConfig(learning_rate=1e-2),
                seed=seed,
                epochs=2,
                batch_size=64,
            )
            paths[asked] = tmp_path_factory.mktemp("runs") / f"{kind}-seed{seed}"
            start([config], [paths[asked]], ONE_DEVICE)
        return paths[asked]

    return train


@pytest.fixture(scope="session")
def digits():
    return load(Config().data).test


@pytest.fixture(scope="session")
def explainer(train):
    """The explainer of a run."""
    return lambda *asked: Explainer(load_model(train(*asked)), ONE_DEVICE)


@pytest.fixture(scope="session")
def measured(explainer, digits):
    """What was measured of a run, once."""
    found = {}

    def measured(*asked):
        if asked not in found:
            found[asked] = attribute(explainer(*asked), digits)
            found[asked].numbers.update(run="digits", data="digits, test split")
        return found[asked]

    return measured


@pytest.fixture(scope="session")
def few():
    """The first examples of a split."""
    return lambda examples, number: examples.take(slice(number))


@pytest.fixture(scope="session")
def page(measured, explainer, digits):
    """The report on two runs."""
    runs = [measured(), measured("laya", 1)]
    return render(runs, explainer(), digits, stability(runs), largest_gallery=150)


@pytest.fixture(scope="session")
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
