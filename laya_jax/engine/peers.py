"""Prompt, one-line termination of a process when another process of the same run dies.

JAX alone would abort from a C++ thread and print its stack trace: immediately if process 0 has died, after a
minute or two otherwise. Therefore every process keeps a connection to process 0 that carries only a closing
message, and JAX's own connections to process 0 go through relays, which hide the death of a peer from JAX
until this process has exited. Clusters that JAX detects by itself (``--coordinator auto``) do not use this.
"""

import atexit
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

TIMEOUT = 300.0
"""Timeout in seconds for connecting to process 0, as in ``jax.distributed.initialize``."""

PATIENCE = 1.0
"""Seconds to wait for news of another process's death before an error reaches JAX or the user."""

WATCH, RELAY = b"laya-watch", b"laya-relay"
"""Opening messages of a connection to process 0, followed by the index of the connecting process."""

GREETING = len(WATCH) + len(" 000000")

BYE, FAILED = b".", b"!"
"""Closing messages of a process that exits normally, and of one that reports an error."""

_watched: list[socket.socket] = []
_failing, _leaving = threading.Event(), threading.Event()


def join(coordinator: str, process: int) -> str:
    """Starts watching the other processes of a run.

    Args:
      coordinator: HOST:PORT of process 0.
      process: Index of this process.

    Returns:
      Address at which this process reaches JAX's coordination service in process 0.

    Raises:
      ValueError: The coordinator is not a valid address, or its port cannot be opened.
      ConnectionError: Process 0 cannot be reached.
    """
    host, _, port = coordinator.rpartition(":")
    if not (host and port.isdecimal() and int(port) < 2**16):
        raise ValueError(f"coordinator is {coordinator!r}, expected HOST:PORT")
    atexit.register(_say, BYE)
    return _host(coordinator, int(port)) if process == 0 else _visit(host.strip("[]"), int(port), process)


def settle() -> None:
    """Waits before an error is reported; exits here if the death of another process has caused it."""
    if _watched:
        _failing.set()
        time.sleep(PATIENCE)


def leave(status: int) -> None:
    """Exits after an error has been reported, if other processes would wait for this one."""
    if _watched:
        _leaving.set()
        _say(FAILED)
        sys.stderr.flush()
        os._exit(status)


def _host(coordinator: str, port: int) -> str:
    """Opens the port of process 0 to the others, and finds a local port for JAX."""
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        server = socket.create_server(("", port), family=family, dualstack_ipv6=both)
    except OSError as error:
        raise ValueError(
            f"coordinator is {coordinator!r}, whose port cannot be opened: {error.strerror}"
        ) from error
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = free.getsockname()

    def receive(connection: socket.socket) -> None:
        word, _, process = connection.recv(GREETING, socket.MSG_WAITALL).partition(b" ")
        if word == WATCH:
            _watch(connection, int(process))
        elif word == RELAY:
            _relay(connection, socket.create_connection(address))

    _accept(server, receive)
    return f"127.0.0.1:{address[1]}"


def _visit(host: str, port: int, process: int) -> str:
    """Connects to process 0, and opens a local relay port for this process's JAX."""

    def dial(word: bytes) -> socket.socket:
        connection = socket.create_connection((host, port), timeout=10)
        connection.settimeout(None)
        connection.sendall(b"%s %06d" % (word, process))
        return connection

    until = time.monotonic() + TIMEOUT
    while True:
        try:
            watched = dial(WATCH)
            break
        except OSError as error:
            if time.monotonic() > until:
                raise ConnectionError(f"no process 0 at {host}:{port}: {error.strerror}") from error
            time.sleep(0.2)
    threading.Thread(target=_watch, args=(watched, 0), daemon=True).start()
    server = socket.create_server(("127.0.0.1", 0))
    _accept(server, lambda local: _relay(local, dial(RELAY)))
    return f"127.0.0.1:{server.getsockname()[1]}"


def _accept(server: socket.socket, receive: Callable[[socket.socket], None]) -> None:
    """Handles every connection to a server in its own thread."""

    def handle(connection: socket.socket) -> None:
        with suppress(OSError, ValueError):  # untrusted peers may connect and send anything
            receive(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=handle, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def _watch(connection: socket.socket, process: int) -> None:
    """Waits for the closing message of another process, and exits unless it is ``BYE``."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 4), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):  # detects a powered-off machine after ten seconds
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    _watched.append(connection)
    word = b""
    with suppress(OSError):
        word = connection.recv(1)
    if word == BYE or _leaving.is_set() or (word == FAILED and _failing.is_set()):
        return
    how = "has failed (see its error)" if word == FAILED else "has died or cannot be reached"
    sys.stderr.write(f"laya: process {process} of this run {how}; restart all processes with: laya resume\n")
    sys.stderr.flush()
    os._exit(1)


def _relay(left: socket.socket, right: socket.socket) -> None:
    for source, target in ((left, right), (right, left)):
        threading.Thread(target=_pump, args=(source, target), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(2**16):
            target.sendall(data)
    time.sleep(PATIENCE)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def _say(word: bytes) -> None:
    for connection in _watched:
        with suppress(OSError):
            connection.sendall(word)
