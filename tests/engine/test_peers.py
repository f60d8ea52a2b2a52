"""Processes of one run hear of each other's end, whatever JAX does."""

import socket
import subprocess
import sys

import pytest
from real_processes import free_port

from laya_jax.engine import peers

MEMBER = f"""
import importlib.util, sys
# Alone, for all that it belongs to takes seconds to import.
spec = importlib.util.spec_from_file_location("peers", {peers.__file__!r})
peers = importlib.util.module_from_spec(spec)
spec.loader.exec_module(peers)
peers.PATIENCE = 0.2
address = peers.join(sys.argv[1], int(sys.argv[2]))
print(address, flush=True)
for line in sys.stdin:
    if line == "good-bye\\n":
        sys.exit(0)
    if line == "fail\\n":
        peers.settle()
        print("laya: my own error", file=sys.stderr)
        peers.leave(2)
"""


@pytest.fixture
def members():
    """Three processes that have joined."""
    coordinator = f"localhost:{free_port()}"
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    started = [
        subprocess.Popen([sys.executable, "-c", MEMBER, coordinator, str(number)], **pipes, text=True)
        for number in range(3)
    ]
    for member in started:
        host, port = member.stdout.readline().strip().split(":")
        assert (host, int(port) > 0) == ("127.0.0.1", True)
    yield coordinator, started
    for member in started:
        member.kill()
        member.communicate()


def tell(member, word):
    member.stdin.write(f"{word}\n")
    member.stdin.flush()


def ended(member):
    """Exit status, and standard error. (Its standard input has to stay open until then.)"""
    return member.wait(60), member.stderr.read()


@pytest.mark.parametrize("victim", [0, 2])
def test_if_one_is_killed_the_others_end_in_a_line(members, victim):
    members[1][victim].kill()
    for number, member in enumerate(members[1]):
        if number != victim:
            cause = 0 if number else victim
            line = f"laya: process {cause} of this run has died or cannot be reached; restart all processes"
            assert ended(member) == (1, f"{line} with: laya resume\n")


def test_a_process_that_says_goodbye_exits_normally(members):
    coordinator, (first, second, third) = members
    tell(second, "good-bye")
    assert ended(second) == (0, "")
    with socket.create_connection(("localhost", int(coordinator.rpartition(":")[2]))) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
    for member in (third, first):
        tell(member, "good-bye")
        assert ended(member) == (0, "")


def test_a_process_that_fails_reports_why_and_the_others_exit(members):
    first, second, third = members[1]
    tell(second, "fail")
    assert ended(second) == (2, "laya: my own error\n")
    status, said = ended(first)
    assert (status, said.startswith("laya: process 1 of this run has failed (see its error); ")) == (1, True)
    status, said = ended(third)
    assert (status, said.startswith("laya: process 0 of this run has died or cannot be ")) == (1, True)


def test_processes_that_fail_together_all_report_why(members):
    for member in members[1]:
        tell(member, "fail")
    for member in members[1]:
        assert ended(member) == (2, "laya: my own error\n")


@pytest.mark.parametrize(
    "coordinator", ["localhost", "localhost:", ":80", "localhost:http", "localhost:99999"]
)
def test_a_coordinator_that_is_no_address_is_refused(coordinator):
    with pytest.raises(ValueError, match=rf"coordinator is '{coordinator}', expected HOST:PORT"):
        peers.join(coordinator, 0)


def test_a_port_in_use_is_reported():
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            ValueError, match=f"coordinator is 'localhost:{port}', whose port cannot be opened: Addr"
        ):
            peers.join(f"localhost:{port}", 0)


def test_a_process_that_cannot_reach_process_0_gives_up(monkeypatch):
    monkeypatch.setattr(peers, "TIMEOUT", 0.3)
    with pytest.raises(ConnectionError, match=r"no process 0 at localhost:\d+: Connection refused"):
        peers.join(f"localhost:{free_port()}", 1)
