import json
import os
import signal
import stat
import subprocess
import sys

import pytest

from laya_jax.files import (
    append_text,
    cache_home,
    check_writable,
    digest,
    locked,
    new_directory,
    read_json,
    read_text,
    refuse_links,
    write_json,
    writing,
)


def write_half(path):
    with writing(path) as file:
        file.write("half")
        raise RuntimeError


def write_while_another_writes(path):
    with writing(path, new=True) as file:
        file.write("mine")
        path.write_text("theirs")


def fill_half(path):
    with new_directory(path) as draft:
        (draft / "config.json").write_text("{}")
        raise RuntimeError


def fill_while_another_fills(path):
    with new_directory(path) as mine:
        (mine / "a").write_text("mine")
        with new_directory(path) as theirs:
            (theirs / "a").write_text("theirs")


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(RuntimeError):
        write_half(tmp_path / "a.txt")
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_stays_if_writing_fails(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("before")
    with pytest.raises(RuntimeError):
        write_half(path)
    assert path.read_text() == "before"
    with writing(path) as file:
        file.write("after")
    assert path.read_text() == "after"


def test_a_new_file_never_replaces_one_that_was_written_meanwhile(tmp_path):
    with pytest.raises(FileExistsError, match=r"a\.txt already exists"):
        write_while_another_writes(tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text() == "theirs"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_link_is_replaced_and_not_followed(tmp_path):
    victim, link = tmp_path / "victim", tmp_path / "link.json"
    victim.write_text("precious")
    link.symlink_to(victim)
    write_json(link, {"a": 1})
    assert victim.read_text() == "precious"
    assert not link.is_symlink()
    assert read_json(link) == {"a": 1}


def test_what_is_appended_to_a_hard_link_is_not_in_the_files_other_names(tmp_path):
    path, other = tmp_path / "metrics.jsonl", tmp_path / "other"
    other.write_text("1\n2\n3\n")
    os.link(other, path)
    append_text(path, "two\n", after=2)
    append_text(path, "three\n", after=6)
    assert path.read_text() == "1\ntwo\nthree\n"
    assert other.read_text() == "1\n2\n3\n"
    assert sorted(tmp_path.iterdir()) == [path, other]


def test_errors_name_the_file_that_was_asked_for(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, writing(tmp_path / "no" / "a.txt"):
        pass
    assert caught.value.filename == str(tmp_path / "no" / "a.txt")
    assert "draft" not in str(caught.value)


def test_modes_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        with writing(tmp_path / "file") as file:
            file.write("x")
        with new_directory(tmp_path / "folder"):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o750


def test_a_directory_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(RuntimeError):
        fill_half(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
    with new_directory(tmp_path / "deep" / "run") as draft:
        (draft / "config.json").write_text("{}")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["run"]
    with pytest.raises(FileExistsError, match="already exists"), new_directory(tmp_path / "deep" / "run"):
        pass


def test_the_loser_of_two_is_told_that_the_directory_exists(tmp_path):
    with pytest.raises(FileExistsError, match="run already exists"):
        fill_while_another_fills(tmp_path / "run")
    assert (tmp_path / "run" / "a").read_text() == "theirs"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "cannot be read as JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"\xff", "is not UTF-8"),
    ],
)
def test_damaged_json_is_refused_by_name(tmp_path, content, message):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=rf"a\.json .*{message}"):
        read_json(tmp_path / "a.json")


def test_links_and_what_is_no_file_and_what_is_too_large_is_not_read(tmp_path):
    (tmp_path / "a").write_text("0123456789")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="symbolic link"):
        read_text(tmp_path / "link")
    with pytest.raises(ValueError, match="not a regular file"):
        read_text(tmp_path / "pipe")
    with pytest.raises(ValueError, match="has 10 bytes, expected at most 9"):
        read_text(tmp_path / "a", largest=9)
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "none")


def test_links_inside_a_directory_are_refused_by_name(tmp_path):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    refuse_links(tmp_path / "run")
    (tmp_path / "run" / "checkpoints" / "7").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="7 is a symbolic link"):
        refuse_links(tmp_path / "run")


def test_a_lock_is_held_by_one_and_free_again_afterwards(tmp_path):
    path = tmp_path / "lock"
    with (
        locked(path, wait=False),
        pytest.raises(BlockingIOError, match="locked by another"),
        locked(path, wait=False),
    ):
        pass
    with locked(path, wait=True):
        pass


def test_a_lock_that_is_a_link_leaves_its_target_alone(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "lock").symlink_to(victim)
    with pytest.raises(ValueError, match="symbolic link"), locked(tmp_path / "lock", wait=False):
        pass
    assert victim.read_text() == "precious"


def test_the_digest_is_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert digest(tmp_path / "a").startswith("ba7816bf8f01cfea")


def test_caches_need_no_home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_home() == tmp_path / "laya_jax"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_home() == tmp_path / "home" / ".cache" / "laya_jax"


def test_what_is_written_is_utf_8(tmp_path):
    with writing(tmp_path / "a.json") as file:
        file.write(json.dumps({"a": "é"}, ensure_ascii=False))
    assert (tmp_path / "a.json").read_bytes() == '{"a": "é"}'.encode()


def test_a_killed_process_leaves_no_draft_of_a_new_file(tmp_path):
    if not hasattr(os, "O_TMPFILE"):
        pytest.skip("files without a name are Linux's")
    code = (
        "import os, signal; from laya_jax.files import writing\n"
        "with writing('new.txt', new=True) as file:\n"
        "    file.write('half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_a_new_file_is_written_where_every_file_has_a_name_at_once(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    with writing(tmp_path / "new.txt", new=True) as file:
        file.write("whole")
    assert (tmp_path / "new.txt").read_text() == "whole"
    with pytest.raises(FileExistsError, match="already exists"), writing(tmp_path / "new.txt", new=True):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["new.txt"]


def test_places_where_nothing_can_be_written_are_told_and_nothing_is_left(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("nothing")
    check_writable(tmp_path / "new")
    check_writable(tmp_path / "a" / "b" / "new")
    for name, reason in (
        ("file", "File exists"),
        ("link", "File exists"),
        ("file/new", "Not a directory"),
        ("n" * 300, "File name too long"),
    ):
        with pytest.raises(OSError, match=reason) as caught:
            check_writable(tmp_path / name)
        assert caught.value.filename == str(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


def test_what_utf_8_cannot_hold_is_escaped_on_request(tmp_path):
    with writing(tmp_path / "names", errors="backslashreplace") as file:
        file.write("caf\udce9")
    assert (tmp_path / "names").read_bytes() == b"caf\\udce9"
