"""Downloads from a real server on localhost."""

import gzip
import hashlib
import random
import resource
import socket

import pytest
from file_server import serving

from laya_jax.data import download
from laya_jax.data.download import RemoteFile, fetch

CONTENT = random.Random(0).randbytes(300_000)


@pytest.fixture
def server(monkeypatch):
    """A server that has CONTENT under /file; between two tries there is no pause."""
    monkeypatch.setattr(download, "PAUSE", 0)
    with serving() as server:
        server.files["/file"] = CONTENT
        yield server


def remote(url, content=CONTENT):
    return RemoteFile(url, "file", len(content), hashlib.sha256(content).hexdigest())


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_file_comes_whole_and_is_asked_for_once(server, tmp_path):
    server.redirects["/moved"] = "/file"
    heard = []
    assert fetch(remote(f"{server.url}/moved"), tmp_path, heard.append) == tmp_path / "file"
    assert contents(tmp_path) == {"file": CONTENT}
    assert heard == sorted(heard)
    assert heard[-1] == len(CONTENT)
    fetch(remote(f"{server.url}/moved"), tmp_path)
    assert [path for path, _ in server.requests] == ["/moved", "/file"]


def test_an_interrupted_download_goes_on_where_it_was(server, tmp_path):
    (tmp_path / "file.part").write_bytes(CONTENT[:200_000])
    fetch(remote(f"{server.url}/file"), tmp_path)
    assert contents(tmp_path) == {"file": CONTENT}
    assert server.requests == [("/file", "bytes=200000-")]


@pytest.mark.parametrize("tells_length", [True, False])
def test_a_connection_that_breaks_is_opened_again(server, tmp_path, tells_length):
    server.breaks_after, server.tells_length = 120_000, tells_length
    fetch(remote(f"{server.url}/file"), tmp_path)
    assert contents(tmp_path) == {"file": CONTENT}
    assert [asked for _, asked in server.requests] == [None, "bytes=120000-", "bytes=240000-"]


def test_a_server_that_sends_everything_again_is_understood(server, tmp_path):
    server.heeds_ranges = False
    (tmp_path / "file.part").write_bytes(CONTENT[:200_000])
    fetch(remote(f"{server.url}/file"), tmp_path)
    assert contents(tmp_path) == {"file": CONTENT}


def test_a_compressed_file_stays_compressed_even_if_the_server_calls_that_an_encoding(server, tmp_path):
    server.files["/file"] = compressed = gzip.compress(CONTENT, mtime=0)
    server.headers["Content-Encoding"] = "gzip"
    fetch(remote(f"{server.url}/file", compressed), tmp_path)
    assert contents(tmp_path) == {"file": compressed}


@pytest.mark.parametrize("left", [b"of another file", CONTENT + b"and more", b"x" * len(CONTENT)])
def test_what_is_left_of_another_file_is_fetched_anew(server, tmp_path, left):
    (tmp_path / "file.part").write_bytes(left)
    fetch(remote(f"{server.url}/file"), tmp_path)
    assert contents(tmp_path) == {"file": CONTENT}


def test_a_download_that_was_complete_needs_no_network(tmp_path):
    (tmp_path / "file.part").write_bytes(CONTENT)
    fetch(remote("http://nowhere.invalid/file"), tmp_path)
    assert contents(tmp_path) == {"file": CONTENT}


def test_a_part_that_is_longer_than_what_the_server_has_is_dropped(server, tmp_path):
    (tmp_path / "file.part").write_bytes(CONTENT)
    longer = remote(f"{server.url}/file", CONTENT + b"more")
    with pytest.raises(ValueError, match=r"has 300,000 bytes, expected 300,004: it is a different file"):
        fetch(longer, tmp_path)
    assert [asked for _, asked in server.requests] == ["bytes=300000-", None]


def test_a_wrong_checksum_is_told_with_both_and_the_file_deleted(server, tmp_path):
    server.files["/file"] = CONTENT[:-1] + b"?"
    found = hashlib.sha256(server.files["/file"]).hexdigest()
    expected = hashlib.sha256(CONTENT).hexdigest()
    with pytest.raises(ValueError, match=rf"has SHA-256 {found}, expected {expected}; it was deleted"):
        fetch(remote(f"{server.url}/file"), tmp_path)
    assert contents(tmp_path) == {}


def test_a_file_of_the_users_own_is_not_deleted(tmp_path):
    (tmp_path / "file").write_bytes(b"theirs")
    with pytest.raises(ValueError, match=r"file has SHA-256 .*, expected .*; delete it"):
        fetch(remote("http://nowhere.invalid/file"), tmp_path)
    assert contents(tmp_path) == {"file": b"theirs"}


def test_a_file_of_another_size_is_refused_before_it_is_written(server, tmp_path):
    server.files["/file"] = b"<html>Please log in</html>"
    with pytest.raises(
        ValueError,
        match=r"has 26 bytes, expected 300,000: it is a different file, or the network's login page",
    ):
        fetch(remote(f"{server.url}/file"), tmp_path)
    assert contents(tmp_path) == {}


def test_no_more_than_the_file_is_written_whatever_comes(server, tmp_path):
    server.files["/file"], server.tells_length = CONTENT * 20, False
    with pytest.raises(ValueError, match="has more than the expected 300,000 bytes"):
        fetch(remote(f"{server.url}/file"), tmp_path)
    assert sum(map(len, contents(tmp_path).values())) <= len(CONTENT)


def test_a_server_that_always_breaks_is_given_up_and_what_came_is_kept(server, tmp_path):
    server.breaks_after = 1_000
    with pytest.raises(ConnectionError, match=r"cannot be downloaded: .*1000 bytes read"):
        fetch(remote(f"{server.url}/file"), tmp_path)
    assert contents(tmp_path) == {"file.part": CONTENT[:3_000]}
    assert len(server.requests) == download.TRIES


def test_a_server_that_is_busy_is_asked_again_and_one_without_the_file_is_not(server, tmp_path):
    server.failures = 2
    fetch(remote(f"{server.url}/file"), tmp_path)
    assert len(server.requests) == 3
    with pytest.raises(
        ConnectionError, match="/none cannot be downloaded: the server answered 404 Not Found"
    ):
        fetch(remote(f"{server.url}/none")._replace(name="none"), tmp_path)
    assert len(server.requests) == 4


def test_no_network_is_told_at_once(monkeypatch, tmp_path):
    monkeypatch.setattr(download.time, "sleep", lambda seconds: pytest.fail("it is tried again"))
    with socket.create_server(("127.0.0.1", 0)) as busy:
        refusing = f"127.0.0.1:{busy.getsockname()[1]}"
    with pytest.raises(ConnectionError, match="cannot be downloaded: Connection refused"):
        fetch(remote(f"http://{refusing}/file"), tmp_path)
    with pytest.raises(ConnectionError, match=r"cannot be downloaded: .*[Nn]ame"):
        fetch(remote("http://nowhere.invalid/file"), tmp_path)
    with pytest.raises(ConnectionError, match="No scheme supplied"):
        fetch(remote("folder/file"), tmp_path)
    assert contents(tmp_path) == {}


def test_a_server_that_does_not_answer_is_not_waited_for(monkeypatch, tmp_path):
    monkeypatch.setattr(download, "OPENING", 0.05)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(ConnectionError, match=r"cannot be downloaded: no answer within 0\.05 s"),
    ):
        fetch(remote(f"http://127.0.0.1:{silent.getsockname()[1]}/file"), tmp_path)


def test_a_connection_that_cannot_be_encrypted_is_one_line(server, tmp_path):
    with pytest.raises(ConnectionError, match=r"cannot be downloaded: .*SSL"):
        fetch(remote(server.url.replace("http:", "https:") + "/file"), tmp_path)
    assert contents(tmp_path) == {}


def test_a_proxy_is_taken_from_the_environment(server, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url)
    server.files["http://nowhere.invalid/file"] = CONTENT
    fetch(remote("http://nowhere.invalid/file"), tmp_path)
    assert contents(tmp_path) == {"file": CONTENT}


def test_a_disk_without_room_is_told_with_the_name_of_the_file(server, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError, match=r"File too large: '.*file\.part'"):
            fetch(remote(f"{server.url}/file"), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert contents(tmp_path) == {"file.part": CONTENT[:100_000]}
    fetch(remote(f"{server.url}/file"), tmp_path)
    assert contents(tmp_path) == {"file": CONTENT}


def test_a_link_in_the_place_of_a_part_is_not_written_through(server, tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file.part").symlink_to(victim)
    with pytest.raises(OSError, match=r"symbolic links|symbolic link"):
        fetch(remote(f"{server.url}/file"), tmp_path / "folder")
    assert victim.read_bytes() == b"precious"
