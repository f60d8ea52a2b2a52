"""The process of a command, as a shell starts it: streams, environment, signals, full disks."""

import csv
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
from real_processes import COMPILATION

from laya_jax.cli import main

pytestmark = pytest.mark.slow

LAYA = [sys.executable, "-m", "laya_jax"]


@pytest.fixture
def environment():
    """One device, nothing of the user's, and compilations that are kept."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME") if name in os.environ}
    return {**kept, **COMPILATION}


@pytest.fixture
def shell(environment, tmp_path):
    """Runs a line of bash in an empty folder; gives exit status, standard output, standard error."""

    def shell(line, *arguments, **more):
        words = ["bash", "-o", "pipefail", "-c", line, "bash", *map(str, arguments)]
        run = subprocess.run(
            words, cwd=tmp_path, env=environment | more, capture_output=True, check=False, timeout=300
        )
        return run.returncode, run.stdout.decode(), run.stderr.decode()

    return shell


def laya(*words):
    """A command as a line of bash; "$1" is the run."""
    return " ".join([f"'{sys.executable}'", "-m", "laya_jax", *words])


EVALUATE = laya("evaluate", '"$1"')


def test_results_are_on_standard_output_and_progress_on_standard_error(shell, tmp_path):
    small = ["--epochs", "1", "--batch-size", "64", "--backbone.widths", "8", "--head.dim", "8"]
    status, out, err = shell(laya("train", "digits", "--run-dir", "r", "--baseline", "None", *small))
    assert status == 0, err
    assert err.startswith("training laya on digits; backend cpu, 1 device (cpu)\nclasses: 0 178, 1 182")
    assert len(re.findall("epoch   1", err)) == 1
    assert "epoch   1" not in out
    assert "attention of laya, seed 0" in out
    assert out.endswith("wrote r\n")
    # With libtpu installed, and no TPU, there is no word of it.
    assert len(err.splitlines()) == 3


def test_no_runtime_of_a_tpu_is_heard_where_there_is_none(shell, run):
    if importlib.util.find_spec("libtpu") is None:
        pytest.skip("libtpu is not installed")
    status, out, err = shell(EVALUATE, run)
    assert (status, err) == (0, "")
    assert "accuracy" in out
    status, out, err = shell(EVALUATE + " --require-backend tpu", run)
    assert (status, out) == (2, "")
    assert "require_backend is 'tpu', but JAX found only" in err
    assert "TPU initialization failed" in err


@pytest.mark.parametrize(
    ("line", "status", "first", "error"),
    [
        (f"{EVALUATE} | head -n 1", 0, " on digits, test split: 359 examples\n", ""),
        (f"{EVALUATE} >&-", 0, "", ""),
        (f"{EVALUATE} >&- 2>&- <&-", 0, "", ""),
        (f"{EVALUATE} > /dev/full", 2, "", "laya: standard output: No space left on device\n"),
        (f"{EVALUATE} --json 2>/dev/full | cut -c 1-6", 0, '{"run"\n', ""),
        (f"PYTHONIOENCODING=ascii {EVALUATE} | tail -n 3 | head -n 1 | cut -c 13-", 0, "##\n", ""),
    ],
)
def test_streams_may_be_closed_full_or_of_another_encoding(shell, run, line, status, first, error):
    found, out, err = shell(line, run)
    assert (found, err) == (status, error)
    assert out.strip("#\n").endswith(first.strip("#\n"))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("JAX_PLATFORMS", "nonsense", "JAX_PLATFORMS is 'nonsense': Unable to initialize backend"),
        ("JAX_PLATFORMS", "cuda", "JAX_PLATFORMS is 'cuda': "),
        ("XLA_FLAGS", "--nonsense", "XLA_FLAGS is '--nonsense', which XLA rejects: Unknown flag"),
        (
            "JAX_COMPILATION_CACHE_DIR",
            "/dev/null/x",
            "which cannot be written: Not a directory",
        ),
        ("JAX_ENABLE_X64", "maybe", "JAX_ENABLE_X64"),
    ],
)
def test_an_environment_in_which_nothing_can_be_computed_is_one_line(shell, run, name, value, message):
    status, out, err = shell(EVALUATE, run, **{name: value})
    assert (status, out) == (2, "")
    assert err.startswith("laya: ")
    assert message in err
    assert err.count("\n") == 1


def test_the_version_is_printed_without_importing_jax(shell):
    code = "import sys; from laya_jax.cli import main; main(['--version']); print('jax' in sys.modules)"
    status, out, _ = shell(f"'{sys.executable}' -c \"{code}\"")
    assert (status, out.splitlines()[1]) == (0, "False")


def test_every_command_works_without_a_home(shell, run, tmp_path):
    unknown = ["unshare", "--user", "--map-user=54321", "--map-group=54321"]
    if not shutil.which("unshare") or subprocess.run([*unknown, "true"], check=False).returncode:
        pytest.skip("there are no user namespaces")
    prefix = " ".join([*unknown, "env", "-u", "HOME", "TMPDIR=$PWD"])
    for words in (["--version"], ["attribute", '"$1"', "--out", "a"]):
        status, _, err = shell(f"{prefix} {laya(*words)}", run)
        assert status == 0, err
        assert "Traceback" not in err
        assert "home directory" not in err
    assert (tmp_path / "a" / "profile.png").exists()


def test_sigterm_leaves_nothing(environment, run, tmp_path):
    words = [*LAYA, "attribute", str(run), "--out", "a"]
    with subprocess.Popen(
        words, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr.readline().startswith("explaining")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM
    assert err.splitlines()[-1] == "laya: stopped by SIGTERM"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (["predict", "--data", "digits"], "p.csv"),
        (["attribute"], "a"),
        (["report"], "r.html"),
    ],
)
def test_a_full_disk_is_one_line_that_names_the_output_and_leaves_nothing(shell, run, tmp_path, words, out):
    # Stands for a full disk: no file can grow beyond 20 kB.
    line = laya(words[0], '"$1"', *words[1:], "--out", out)
    status, printed, err = shell(f"trap '' XFSZ; ulimit -f 20; {line}", run)
    assert (status, printed) == (2, "")
    assert err.splitlines()[-1] == f"laya: {out}: File too large"
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """A run on texts whose classes have names of all kinds."""
    folder = tmp_path_factory.mktemp("texts")
    with (folder / "t.csv").open("w", newline="", encoding="utf-8") as file:
        rows = [(f"{word} film", name) for _ in range(20) for word, name in zip("ab", CLASSES, strict=True)]
        csv.writer(file).writerows([("text", "label"), *rows])
    options = ["--data.max-length", "4", "--backbone.widths", "4", "--backbone.embedding-dim", "4"]
    words = ["train", f"texts:{folder / 't.csv'}", "--run-dir", str(folder / "run"), "--devices", "1"]
    assert main([*words, *options, "--epochs", "1", "--batch-size", "8"]) == 0
    return folder / "run"


CLASSES = ("=cmd|' /C calc'!A0", "café 日本 <img src=x>")


def test_files_are_utf_8_whatever_the_locale(shell, named, tmp_path):
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for command, out in (("report", "r.html"), ("attribute", "a")):
        status, _, err = shell(laya(command, '"$1"', "--split", "train", "--out", out), named, **locale)
        assert status == 0, err
    assert "café 日本 &lt;img" in (tmp_path / "r.html").read_text("utf-8")
    assert json.loads((tmp_path / "a" / "attribution.json").read_text("utf-8"))["runs"]
    rows = list(csv.DictReader((tmp_path / "a" / "samples.csv").read_text("utf-8").splitlines()))
    assert {row["label"] for row in rows} == {f"'{CLASSES[0]}", CLASSES[1]}
