import dataclasses
import json
import shutil
import warnings
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

from laya_jax.engine.parallel import ParallelConfig
from laya_jax.engine.state import TrainState, checksum
from laya_jax.training import checkpoint, load_model, resume
from laya_jax.training.checkpoint import Checkpoints, DamagedCheckpointError
from laya_jax.training.run_directory import RunDirectory

ONE_DEVICE = ParallelConfig(devices=1)


def state(step):
    # Of several sizes and types, as an optimizer's is.
    arrays = {"kernel": np.full((64, 32), step, np.float32), "count": np.array(step, np.int32)}
    return TrainState(np.array(step, np.int32), arrays, ({"moment": np.full(5, step, np.float32)},))


def like(step):
    return jax.tree.map(np.zeros_like, state(step))


@pytest.fixture
def checkpoints(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    yield checkpoints
    checkpoints.close()


def test_a_state_comes_back_in_its_own_types_to_the_bit(checkpoints):
    checkpoints.save(state(3), {"epoch": 1, "share": 0.1 + 0.2}, best_step=3)
    checkpoints.wait()
    restored, progress = checkpoints.restore(3, like(3))
    assert isinstance(restored, TrainState)
    assert jax.tree.structure(restored) == jax.tree.structure(state(3))
    for mine, theirs in zip(jax.tree.leaves(restored), jax.tree.leaves(state(3)), strict=True):
        assert mine.dtype == theirs.dtype
        assert np.array_equal(mine, theirs)
    assert progress == {"epoch": 1, "share": 0.1 + 0.2}


def progress_file(checkpoints, step):
    return checkpoints.directory / str(step) / "progress" / "metadata"


@pytest.mark.parametrize(
    "change", [("epoch", 2), ("best_step", 1), ("version", 1), ("progress_checksum", None)]
)
def test_a_number_that_changed_in_the_progress_is_noticed(checkpoints, change):
    checkpoints.save(state(3), {"epoch": 1}, best_step=3)
    checkpoints.wait()
    path = progress_file(checkpoints, 3)
    path.write_text(json.dumps(json.loads(path.read_text()) | dict([change])))
    with pytest.raises(DamagedCheckpointError, match="checkpoint 3 is damaged"):
        checkpoints.restore(3, like(3))


def test_a_best_checkpoint_that_is_gone_as_a_whole_is_told(checkpoints):
    scores = {1: 0.5, 2: 0.9, 3: 0.7}
    for step in scores:
        checkpoints.save(state(step), {}, best_step=min(step, 2))
    checkpoints.wait()
    assert checkpoints.best(like(3), scores)[0].step == 2
    assert checkpoints.warnings == []
    assert checkpoints.best(like(3), {**scores, 4: 0.9})[0].step == 2
    with pytest.warns(
        UserWarning, match="the best epoch, after step 4, has no checkpoint; using that of step 2"
    ):
        checkpoints.best(like(3), {**scores, 4: 0.95})
    assert len(checkpoints.warnings) == 1


def test_a_state_that_cannot_be_written_is_an_error_of_the_system_with_a_name(checkpoints, monkeypatch):
    def fail(*arguments, **options):
        raise ValueError("RESOURCE_EXHAUSTED: Failed writing [os_error_code='28']\nand more")

    monkeypatch.setattr(checkpoints._manager, "save", fail)
    with pytest.raises(OSError, match=f"No space left on device: '{checkpoints.directory}'"):
        checkpoints.save(state(3), {}, best_step=3)


def test_a_checkpoint_from_before_states_had_a_seed_is_read(checkpoints):
    class Older(NamedTuple):
        step: Any
        parameters: Any
        optimizer_state: Any

    old = Older(*(getattr(state(3), name) for name in Older._fields))
    written = {"version": 1, "checksum": checksum(old), "best_step": 3, "epoch": 1}
    args = checkpoints._arguments
    checkpoints._manager.save(
        3, args=args.Composite(state=args.StandardSave(old), progress=args.JsonSave(written))
    )
    checkpoints.wait()
    restored, _ = checkpoints.restore(3, like(3))
    jax.tree.map(np.testing.assert_array_equal, restored, state(3))


def test_a_seed_comes_back(checkpoints):
    seeded = state(3).replace(seed=np.uint32(7))
    checkpoints.save(seeded, {"epoch": 1}, best_step=3)
    checkpoints.wait()
    assert checkpoints.restore(3, jax.tree.map(np.zeros_like, seeded))[0].seed == 7


def test_the_latest_two_and_the_best_are_kept(checkpoints):
    for step, best in [(1, 1), (2, 2), (3, 2), (4, 2), (5, 5), (6, 5), (7, 5)]:
        checkpoints.save(state(step), {}, best_step=best)
    checkpoints.wait()
    assert checkpoints.steps() == [7, 6, 5]
    (best, _), (latest, _) = checkpoints.best(like(7), {}), checkpoints.latest(like(7))
    assert (best.step, latest.step) == (5, 7)
    checkpoints.save(state(8), {}, best_step=8)
    checkpoints.wait()
    assert checkpoints.steps() == [8, 7, 5]  # 5 is the best that 7 knows of, if 8 should be damaged


def files_of(directory):
    return sorted(path for path in directory.rglob("*") if path.is_file() and path.stat().st_size)


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_damage_to_any_file_is_noticed_or_harmless(checkpoints, damage):
    checkpoints.save(state(3), {"epoch": 1}, best_step=3)
    checkpoints.wait()
    noticed = 0
    for path in files_of(checkpoints.directory / "3"):
        content = path.read_bytes()
        if damage == "gone":
            path.unlink()
        elif damage == "cut":
            path.write_bytes(content[: len(content) // 2])
        else:
            middle = len(content) // 2
            path.write_bytes(content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :])
        try:
            restored, progress = checkpoints.restore(3, like(3))
        except DamagedCheckpointError:
            noticed += 1
        else:
            assert checksum(restored) == checksum(state(3))
            assert progress == {"epoch": 1}
        path.write_bytes(content)
    assert noticed >= 3
    assert checksum(checkpoints.restore(3, like(3))[0]) == checksum(state(3))


def test_another_version_is_refused(checkpoints, monkeypatch):
    checkpoints.save(state(3), {}, best_step=3)
    checkpoints.wait()
    monkeypatch.setattr(checkpoint, "VERSION", 1)
    of_another_structure = dataclasses.replace(like(3), parameters={"another": np.zeros(3)})
    for each in (like(3), of_another_structure):
        with pytest.raises(ValueError, match="checkpoint 3 has version 2, expected at most 1"):
            checkpoints.restore(3, each)


def damage_latest(run):
    latest = max(int(path.name) for path in (run / "checkpoints").glob("*") if path.name.isdecimal())
    for path in files_of(run / "checkpoints" / str(latest) / "state"):
        path.write_bytes(path.read_bytes()[:10])
    return latest


@pytest.mark.slow
def test_a_run_whose_latest_checkpoint_is_damaged_goes_on_from_the_one_before(
    unfinished_run, finished_run, silent
):
    latest = damage_latest(unfinished_run)
    (unfinished_run / "checkpoints" / f"{latest + 99}.orbax-checkpoint-tmp").mkdir()  # half-written
    with pytest.warns(UserWarning, match=f"checkpoint {latest} cannot be read.*the previous one"):
        result = resume(RunDirectory.open(unfinished_run), ONE_DEVICE, silent)
    assert [line["epoch"] for line in silent.lines] == [3]
    expected = json.loads((finished_run / "result.json").read_text())
    assert result["test"] == expected["test"]
    mine, theirs = (load_model(run).parameters for run in (unfinished_run, finished_run))
    assert checksum(mine) == checksum(theirs)


@pytest.mark.slow
def test_a_run_of_which_nothing_can_be_read_is_left_as_it_is(unfinished_run, finished_run, silent):
    def nothing_changed():
        return {path: path.read_bytes() for path in files_of(unfinished_run) if path.name != ".lock"}

    for path in files_of(unfinished_run / "checkpoints"):
        if "/state/" in str(path):
            path.write_bytes(b"")
    before = nothing_changed()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with pytest.raises(DamagedCheckpointError, match=r"has no readable checkpoint; delete .*start"):
            resume(RunDirectory.open(unfinished_run), ONE_DEVICE, silent)
    assert nothing_changed() == before
    shutil.rmtree(unfinished_run / "checkpoints")
    result = resume(RunDirectory.open(unfinished_run), ONE_DEVICE, silent)
    assert [line["epoch"] for line in silent.lines] == [1, 2, 3]
    assert result["test"] == json.loads((finished_run / "result.json").read_text())["test"]


@pytest.mark.slow
@pytest.mark.parametrize("parallel", [ParallelConfig(), ParallelConfig(parallel="pmap")], ids=["jit", "pmap"])
def test_what_one_device_saved_goes_on_on_eight_and_back(unfinished_run, finished_run, silent, parallel):
    latest = damage_latest(unfinished_run)
    with pytest.warns(UserWarning, match=f"checkpoint {latest}"):
        on_eight = resume(RunDirectory.open(unfinished_run), parallel, silent)
    expected = json.loads((finished_run / "result.json").read_text())
    assert on_eight["test"]["loss"] == pytest.approx(expected["test"]["loss"], abs=1e-4)
    (unfinished_run / "result.json").unlink()
    back = resume(RunDirectory.open(unfinished_run), ONE_DEVICE, silent)
    assert back["test"]["loss"] == pytest.approx(on_eight["test"]["loss"], abs=1e-5)
