"""What belongs to a run or an exported model is what was written, or it is told by name."""

import json

import pytest

from laya_jax.training import manifest
from laya_jax.training.run_directory import RunDirectory


def change_a_digit(path):
    """Changes the last digit of a file."""
    text = path.read_text()
    place = max(text.rfind(digit) for digit in "0123456789")
    path.write_text(f"{text[:place]}{(int(text[place]) + 1) % 10}{text[place + 1 :]}")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("config.json", r"has changed since it was written \(dtype\)"),
        ("environment.json", r"has changed since it was written \(started_on.devices\)"),
        ("data.json", r"has changed since it was written \(examples.test\)"),
        ("result.json", r"has changed since it was written \(seconds\)"),
        ("metrics.jsonl", "has changed since it was written"),
        ("manifest.json", "has changed since it was written"),
    ],
)
def test_a_digit_that_changed_is_told_with_its_file_and_what_to_do(run_copy, name, told):
    change_a_digit(run_copy / name)
    with pytest.raises(
        ValueError,
        match=rf"^\S*/{name} {told}; restore it, or, if this is intended, delete \S*/manifest\.json",
    ):
        RunDirectory.open(run_copy)


def test_a_run_without_a_manifest_opens_with_a_warning(run_copy):
    config = json.loads((run_copy / "config.json").read_text())
    (run_copy / "config.json").write_text(json.dumps({**config, "patience": 7}))
    (run_copy / "manifest.json").unlink()
    run = RunDirectory.open(run_copy)
    assert run.config.patience == 7
    (warning,) = run.warnings
    assert "has no manifest.json, so its files are not checked" in warning


def test_files_that_are_gone_or_were_put_there_are_told(run_copy):
    (run_copy / "vocabulary.txt").write_text("a\n")
    with pytest.raises(ValueError, match=r"vocabulary\.txt is not listed in manifest\.json"):
        RunDirectory.open(run_copy)
    (run_copy / "vocabulary.txt").unlink()
    (run_copy / "notes of my own.txt").write_text("fine")
    assert RunDirectory.open(run_copy).warnings == ()
    for name in ("metrics.jsonl", "environment.json"):
        (run_copy / name).rename(run_copy / "elsewhere")
        with pytest.raises(ValueError, match=f"{name} is missing"):
            RunDirectory.open(run_copy)
        (run_copy / "elsewhere").rename(run_copy / name)
    (run_copy / "result.json").unlink()  # to test again
    assert RunDirectory.open(run_copy).result() is None


def test_a_manifest_of_a_later_version_is_refused(run_copy):
    path = run_copy / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 9}))
    with pytest.raises(ValueError, match=r"manifest\.json has version 9, expected 1"):
        RunDirectory.open(run_copy)


def test_a_manifest_cannot_lead_elsewhere(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "secret.json").write_text("{}")
    manifest._store(tmp_path / "run", {"../secret.json": manifest.Listed(("0",))})
    with pytest.raises(ValueError, match=r"\.\./secret\.json"):
        manifest.check(tmp_path / "run", ())


@pytest.mark.parametrize("point", [0, 1, 2])
def test_a_file_that_is_replaced_fits_the_manifest_at_every_moment(tmp_path, monkeypatch, point):
    manifest._store(tmp_path, {})
    manifest.write(tmp_path, "a.json", {"value": "before"})
    writes = []

    def killed(write):
        def write_unless_killed(*arguments):
            if len(writes) == point:
                raise KeyboardInterrupt
            writes.append(arguments)
            write(*arguments)

        return write_unless_killed

    for name in ("write_text", "write_json"):
        monkeypatch.setattr(manifest, name, killed(getattr(manifest, name)))
    with pytest.raises(KeyboardInterrupt):
        manifest.write(tmp_path, "a.json", {"value": "after"})
    manifest.check(tmp_path, ["a.json"])
    found = json.loads((tmp_path / "a.json").read_text())["value"]
    assert found == ("after" if point == 2 else "before")
    monkeypatch.undo()
    manifest.write(tmp_path, "a.json", {"value": "later"})
    manifest.check(tmp_path, ["a.json"])
    assert len(manifest._load(tmp_path)["a.json"].sha256) == 1


def test_more_than_a_file_lists_is_what_was_cut_off(tmp_path):
    manifest._store(tmp_path, {})
    manifest.grow(tmp_path, "a.jsonl", "1\n")
    with (tmp_path / "a.jsonl").open("ab") as file:
        file.write(b"2\n\xff")
    manifest.check(tmp_path, [])
    assert manifest.read_growing(tmp_path, "a.jsonl") == b"1\n"
    manifest.grow(tmp_path, "a.jsonl", "3\n")
    assert (tmp_path / "a.jsonl").read_bytes() == b"1\n3\n"
    manifest.shrink(tmp_path, "a.jsonl", 2)
    assert (tmp_path / "a.jsonl").read_bytes() == b"1\n"
    (tmp_path / "a.jsonl").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a\.jsonl has changed since it was written"):
        manifest.read_growing(tmp_path, "a.jsonl")
