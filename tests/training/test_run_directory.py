import dataclasses
import json
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

import laya_jax
from laya_jax.data import DataConfig, Preprocessing, Schema
from laya_jax.engine.metrics import Metrics
from laya_jax.training import BackboneConfig, Config, ParallelConfig, find_runs, load_model, resume
from laya_jax.training.environment import environment
from laya_jax.training.run_directory import RunDirectory, check_is_new, free_path

SCHEMA = Schema(("no", "yes"), Preprocessing("features", (3,)), None)


@pytest.fixture
def run(tmp_path):
    return RunDirectory.create(tmp_path / "runs" / "a", Config(seed=5), SCHEMA, fingerprint=7)


def epoch_line(epoch):
    validation = dataclasses.asdict(Metrics(10, 1.0, 0.5, 0.5, 0.1, 1.5, [0.25, 0.75]))
    train = {"loss": 1.0, "accuracy": 0.5}
    times = {"seconds": 0.1, "examples_per_second": 100}
    return {
        "epoch": epoch,
        "step": 10 * epoch,
        "train": train,
        "validation": validation,
        **times,
        "details": {},
    }


def test_a_new_run_tells_what_made_it(run):
    assert RunDirectory.open(run.path).config == Config(seed=5)
    environment = json.loads((run.path / "environment.json").read_text())
    assert environment["packages"].keys() >= {"jax", "flax", "optax", "orbax-checkpoint"}
    assert environment["backend"] == "cpu"
    assert len(environment["commit"].rstrip("+")) == 40


@pytest.mark.slow
def test_the_commit_says_whether_any_file_of_the_package_differs_from_it(tmp_path):
    package = Path(laya_jax.__file__).parent
    copied = shutil.copytree(package, tmp_path / "laya_jax", ignore=shutil.ignore_patterns("__pycache__"))
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", tmp_path]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        subprocess.run([*git, *command], check=True)
    print_commit = "from laya_jax.training.environment import environment; print(environment().commit)"

    def commit():
        run = subprocess.run(
            [sys.executable, "-B", "-c", print_commit],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        return run.stdout.strip()

    clean = commit()
    (copied / "cost.py").write_text((copied / "cost.py").read_text() + "\n")
    assert commit() == f"{clean}+"


def test_a_run_remembers_what_it_was_started_on_but_for_the_processes(tmp_path):
    parts = ParallelConfig(devices=2, microbatches=4)
    several = dataclasses.replace(parts, coordinator="localhost:1", processes=2, process=0)
    run = RunDirectory.create(tmp_path / "a", Config(), SCHEMA, fingerprint=7, parallel=several)
    assert run.started_on() == parts


def test_a_run_of_an_earlier_version_was_started_on_all_devices(run):
    (run.path / "manifest.json").unlink()
    path = run.path / "environment.json"
    known = json.loads(path.read_text())
    path.write_text(json.dumps({name: known[name] for name in known if name != "started_on"}))
    assert run.started_on() == ParallelConfig()


def test_a_directory_that_exists_is_left_alone(run):
    before = {path.name: path.read_bytes() for path in run.path.iterdir()}
    with pytest.raises(FileExistsError, match=r"run_dir is .*already exists \('laya resume"):
        RunDirectory.create(run.path, Config(), SCHEMA, fingerprint=7)
    assert {path.name: path.read_bytes() for path in run.path.iterdir()} == before


@pytest.mark.parametrize("path", ["gs://bucket/a", "s3://bucket", "file:///a"])
def test_a_path_that_is_none_on_a_disk_is_refused(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, use in {
        "run_dir": lambda path: RunDirectory.create(path, Config(), SCHEMA, fingerprint=7),
        "run": RunDirectory.open,
        "out": lambda path: check_is_new(Path(path), "out"),
    }.items():
        with pytest.raises(
            ValueError, match=f"^{name} is {path.replace('///', '//')}, expected a local path"
        ):
            use(path)
    assert list(tmp_path.iterdir()) == []
    RunDirectory.create("C:", Config(), SCHEMA, fingerprint=7)  # a name as any other


def test_a_run_that_cannot_be_made_leaves_nothing_behind(tmp_path):
    unwritable = Schema(("no",), Preprocessing("features", (3,)), None)
    broken = unwritable._replace(class_names=({1, 2},))
    with pytest.raises(TypeError):
        RunDirectory.create(tmp_path / "a", Config(), broken, fingerprint=7)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("version", ["this", "earlier"])
def test_a_line_that_was_cut_off_is_left_out_and_later_ones_can_be_taken_back(run, version):
    if version == "earlier":
        (run.path / "manifest.json").unlink()
    lines = [epoch_line(number) for number in (1, 2, 3)]
    for line in lines:
        run.log(line)
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4')
    assert list(run.lines()) == lines
    run.forget_after(20)
    assert (run.path / "metrics.jsonl").read_text() == "".join(json.dumps(line) + "\n" for line in lines[:2])
    run.log(lines[2])
    assert list(run.lines()) == lines


@pytest.mark.slow
def test_only_one_process_trains_in_a_directory_and_a_dead_one_does_not_count(run):
    code = (
        "import sys, time; from laya_jax.training.run_directory import RunDirectory\n"
        f"with RunDirectory.open({str(run.path)!r}).lock(): print('locked', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "locked\n"
        for use in (run.lock, lambda: nullcontext(run.move(Config(seed=5)))):
            with pytest.raises(FileExistsError, match="another process is training"), use():
                pass
        other.kill()
        other.wait()
        with run.lock():
            pass


@pytest.mark.parametrize(
    "name",
    [
        *(".lock", ".metrics.jsonl.draft", ".result.json.draft", "result.json", "metrics.jsonl"),
        *("checkpoints", "checkpoints/7", "tensorboard", "manifest.json"),
    ],
)
def test_no_link_in_a_run_is_followed(run_copy, tmp_path, name):
    victim = tmp_path / "victim"
    (victim / "9").mkdir(parents=True)
    (victim / "9" / "file").write_text("precious")
    path, target = run_copy / name, victim if name[0] in "ct" else victim / "9" / "file"
    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    path.symlink_to(target)
    for use in (load_model, resume, lambda path: find_runs(path.parent)):
        with pytest.raises(ValueError, match=f"{path} is a symbolic link, expected a regular file or folder"):
            use(run_copy)
    assert (victim / "9" / "file").read_text() == "precious"
    assert len(list(victim.rglob("*"))) == 2


def test_a_run_directory_may_be_a_link_itself(run_copy, tmp_path):
    (tmp_path / "link").symlink_to(run_copy)
    assert RunDirectory.open(tmp_path / "link").result() == RunDirectory.open(run_copy).result()


def test_the_loser_of_two_that_make_the_same_directory_is_told_so(tmp_path, monkeypatch):
    def make_another(parallel):
        monkeypatch.undo()
        RunDirectory.create(tmp_path / "a", Config(seed=1), SCHEMA, fingerprint=7)
        return environment(parallel)

    monkeypatch.setattr("laya_jax.training.run_directory.environment", make_another)
    with pytest.raises(FileExistsError, match=r"^run_dir is .*a, which already exists \('laya resume"):
        RunDirectory.create(tmp_path / "a", Config(seed=2), SCHEMA, fingerprint=7)
    assert RunDirectory.open(tmp_path / "a").config.seed == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_was_started_is_what_goes_on(run):
    run.check_config(Config(seed=5))
    with pytest.raises(ValueError, match=r"config differs .*seed: 5 -> 6; to use it, start a new run"):
        run.check_config(Config(seed=6))
    run.check_data(7, run.config)
    with pytest.raises(ValueError, match="data of 'digits' are not those"):
        run.check_data(8, run.config)


def placed(source, path=None, **data):
    backbone = BackboneConfig(kind="vit", path=path) if path else BackboneConfig()
    return Config(data=DataConfig(source=source, **data), backbone=backbone)


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (placed("images:a", "a"), placed("images:b", "hub:b/c"), None),
        (placed("cifar10"), placed("cifar10", directory="b"), None),
        (placed("texts:a.csv", max_length=9), placed("texts:b.jsonl", max_length=9), None),
        (placed("images:a"), placed("npz:b"), "data.source: 'images:a' -> 'npz:b'$"),
        (
            placed("cifar10", directory="a"),
            placed("fashion_mnist"),
            "data.source: 'cifar10' -> 'fashion_mnist'$",
        ),
        (placed("npz:a"), placed("npz:b", split_seed=1), "data.split_seed: 0 -> 1$"),
        (
            placed("images:a"),
            placed("images:b", "b"),
            "backbone.kind: 'mlp' -> 'vit'; backbone.path: None -> 'b'$",
        ),
    ],
)
def test_only_places_may_change(tmp_path, before, after, change):
    run = RunDirectory.create(tmp_path / "a", before, SCHEMA, fingerprint=7)
    if change is None:
        run.check_config(after)
        run.move(after)
        assert RunDirectory.open(run.path).config == run.config == after
    else:
        with pytest.raises(ValueError, match=change.replace("$", "; to use it, start a new run")):
            run.check_config(after)


def test_no_run_and_a_broken_one_are_told_apart(tmp_path, run):
    with pytest.raises(FileNotFoundError, match="no run in"):
        RunDirectory.open(tmp_path)
    (run.path / "config.json").write_text("{")
    with pytest.raises(
        ValueError, match=r"config\.json has changed since it was written; restore it, or, if"
    ):
        RunDirectory.open(run.path)
    (run.path / "manifest.json").unlink()
    with pytest.raises(ValueError, match=r"config\.json cannot be read as JSON"):
        RunDirectory.open(run.path)


def test_a_free_path_is_found(tmp_path):
    assert free_path(tmp_path, "digits") == tmp_path / "digits"
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits-2").mkdir()
    assert free_path(tmp_path, "digits") == tmp_path / "digits-3"
