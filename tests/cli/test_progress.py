"""Progress where there is a terminal, and where there is none."""

import io
import time

import pytest
from rich.console import Console as RichConsole

from laya_jax.cli import progress
from laya_jax.cli.progress import Progress, Stage


@pytest.fixture
def said(monkeypatch):
    """Lines that are said, with a minute of a twentieth of a second."""
    monkeypatch.setattr(progress, "MINUTE", 0.05)
    return []


def wait_for(condition):
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_silence_is_broken_without_a_terminal(said):
    shown = Progress(RichConsole(file=io.StringIO()), said.append, silent=False)
    shown.begin("training laya on digits")
    wait_for(lambda: said)
    assert said[0] == "training laya on digits: 1 min so far"
    shown.move("hidden states", "examples", 0, 5500)
    shown.move("hidden states", "examples", 2304, 5500)
    wait_for(lambda: said[-1].startswith("hidden states: 2,304 of 5,500 examples, about "))
    shown.close()
    time.sleep(0.1)
    number = len(said)
    time.sleep(0.2)
    assert len(said) == number


@pytest.mark.parametrize("silent", [True, False])
def test_no_line_is_printed_on_a_terminal_or_by_other_processes(said, silent):
    file = io.StringIO()
    shown = Progress(RichConsole(file=file, force_terminal=True), said.append, silent=silent)
    shown.move("training", "steps", 1, 10)
    shown.move("training", "steps", 5, 10)
    time.sleep(0.3)
    shown.close()
    assert said == []
    assert ("training" in file.getvalue()) == (not silent)


def test_earlier_progress_does_not_count_towards_the_time_left():
    resumed = Stage("hidden states", "examples", since=0, first=5000, done=5100, total=5500)
    assert resumed.line(now=60).endswith("about 4 min left")


def test_a_new_stage_of_the_same_name_begins_anew(said):
    shown = Progress(RichConsole(file=io.StringIO()), said.append, silent=False)
    for done in (100, 200, 10, 20):
        shown.move("hidden states", "examples", done, 200)
    assert (shown._stage.first, shown._stage.done) == (10, 20)
    shown.close()
