"""Ends a process in one line, at once, when another process of its run has died.

JAX alone would abort it from a thread in C++ and print that thread's stack: at once if process 0 has died,
after a minute or two if another one has. So every process keeps a connection to process 0 that only ever
carries a last word, and JAX's own connections to process 0 pass through relays, which keep a death from JAX
until this process has ended. Clusters that JAX finds by itself (``--coordinator auto``) do without.
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
"""Seconds in which process 0 has to be there, as in ``jax.distributed.initialize``."""

PATIENCE = 1.0
"""Seconds in which this process hears of another one's death, before JAX or the user hear of it."""

WATCH, RELAY = b"laya-watch", b"laya-relay"
"""First words on a connection to process 0, before the number of the process that opens it."""

GREETING = len(WATCH) + len(" 000000")

BYE, FAILED = b".", b"!"
"""Last words of a process that ends as it should, and of one that has an error to tell."""

_watched: list[socket.socket] = []
_failing = threading.Event()


def join(coordinator: str, process: int) -> str:
    """Watches the other processes of a run from now on.

    Args:
      coordinator: HOST:PORT of process 0.
      process: Number of this process.

    Returns:
      Address of JAX's own service in process 0, as this process reaches it.

    Raises:
      ValueError: The coordinator is no address, or its port cannot be opened.
      ConnectionError: Process 0 is not there.
    """
    host, _, port = coordinator.rpartition(":")
    if not (host and port.isdecimal() and int(port) < 2**16):
        raise ValueError(f"coordinator is {coordinator!r}, expected HOST:PORT")
    atexit.register(_say, BYE)
    return _host(coordinator, int(port)) if process == 0 else _visit(host.strip("[]"), int(port), process)


def settle() -> None:
    """Waits before an error is told: if another process's death has caused it, this process ends here."""
    if _watched:
        _failing.set()
        time.sleep(PATIENCE)


def leave(status: int) -> None:
    """Ends this process after it has told an error, if others would wait for it."""
    if _watched:
        _say(FAILED)
        sys.stderr.flush()
        os._exit(status)


def _host(coordinator: str, port: int) -> str:
    """Opens the port of process 0 to the others, and finds one for JAX, which only this machine reaches."""
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        server = socket.create_server(("", port), family=family, dualstack_ipv6=both)
    except OSError as error:
        raise ValueError(
            f"coordinator is {coordinator!r}: its port cannot be opened, {error.strerror}"
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
    """Connects to process 0, and opens a port to the JAX of this process."""

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
                raise ConnectionError(f"process 0 is not at {host}:{port}: {error.strerror}") from error
            time.sleep(0.2)
    threading.Thread(target=_watch, args=(watched, 0), daemon=True).start()
    server = socket.create_server(("127.0.0.1", 0))
    _accept(server, lambda local: _relay(local, dial(RELAY)))
    return f"127.0.0.1:{server.getsockname()[1]}"


def _accept(server: socket.socket, receive: Callable[[socket.socket], None]) -> None:
    """Handles every connection to a server in a thread of its own."""

    def handle(connection: socket.socket) -> None:
        with suppress(OSError, ValueError):  # anybody may connect, and say anything
            receive(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=handle, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def _watch(connection: socket.socket, process: int) -> None:
    """Waits for the last word of another process, and ends this one if it is not good-bye."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 4), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):  # a machine without power says nothing for ten seconds
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    _watched.append(connection)
    word = b""
    with suppress(OSError):
        word = connection.recv(1)
    if word == BYE or (word == FAILED and _failing.is_set()):
        return
    how = "has failed, and tells why" if word == FAILED else "has ended, or cannot be reached"
    sys.stderr.write(
        f"laya: process {process} of this run {how}; start all of them again with: laya resume\n"
    )
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
