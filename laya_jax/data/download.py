"""Files from the web that are whole and checked, and go on where an earlier try was interrupted."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from laya_jax.files import digest

if TYPE_CHECKING:
    import requests

OPENING = 20.0
"""Seconds until a server has answered, however many addresses and name servers it takes."""

CONNECTING, SILENCE = 5.0, 30.0
"""Seconds until one address is given up, and until a connection that has fallen silent is."""

TRIES, PAUSE = 3, 1.0
"""Maximum number of tries in a row that bring nothing new, and seconds after the first of them."""

GAIN = 2**20
"""Minimum number of new bytes that make a try count as a gain."""

CHUNK = 2**18


class RemoteFile(NamedTuple):
    """Description of a file that is known before it is downloaded.

    Attributes:
      url: Address of the file.
      name: Name of the file on the disk.
      size: Number of bytes.
      sha256: SHA-256 of its content, in hexadecimal digits.
    """

    url: str
    name: str
    size: int
    sha256: str


def fetch(remote: RemoteFile, folder: Path, moved: Callable[[int], None] = lambda done: None) -> Path:
    """Downloads a file, unless it is there already, and checks its content.

    What has arrived is kept under the file's name with ``.part`` at the end, and the next call goes on from
    there, at whatever server: the file gets its own name only if its SHA-256 is right. Proxies and
    certificates are taken from the environment, as ``requests`` does.

    Args:
      remote: Description of the file.
      folder: Path of the directory for the file.
      moved: Function that is called with the number of bytes that are there so far.

    Returns:
      The path of the file.

    Raises:
      ConnectionError: The server cannot be reached, or does not send the file.
      ValueError: The file has another size or checksum than expected. If it was downloaded, it is deleted.
      OSError: The file cannot be written.
    """
    path, part = folder / remote.name, folder / f"{remote.name}.part"
    if path.exists():
        if (found := digest(path)) != remote.sha256:
            raise ValueError(
                f"{path} has SHA-256 {found}, expected {remote.sha256}; delete it, and run this again"
            )
        moved(remote.size)
        return path
    goes_on = part.exists()
    _complete(remote, part, moved)
    if goes_on and digest(part) != remote.sha256:  # what an earlier try left may belong to another file
        part.unlink()
        _complete(remote, part, moved)
    if (found := digest(part)) != remote.sha256:
        part.unlink()
        raise ValueError(f"{remote.url} has SHA-256 {found}, expected {remote.sha256}; it was deleted")
    part.replace(path)
    return path


def _complete(remote: RemoteFile, part: Path, moved: Callable[[int], None]) -> None:
    """Requests what is missing until the file has its size, again where a connection breaks."""
    # Importing the heads alone needs neither.
    import requests
    import urllib3

    farthest, tries = _size(part), 0
    while (have := _size(part)) < remote.size:
        try:
            _append(remote, part, have, moved)
        except (requests.RequestException, urllib3.exceptions.HTTPError, TimeoutError) as error:
            gained = _size(part) - farthest >= GAIN
            farthest, tries = (_size(part), 1) if gained else (farthest, tries + 1)
            if tries == TRIES or not _may_pass(error):
                raise ConnectionError(f"{remote.url} cannot be downloaded: {_reason(error)}") from error
            time.sleep(tries * PAUSE)


def _append(remote: RemoteFile, part: Path, have: int, moved: Callable[[int], None]) -> None:
    """Requests the file once, from a byte on, and writes what comes."""
    import requests

    # An encoding of the transfer would hide how long the file is.
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    with _within(
        OPENING,
        lambda: requests.get(remote.url, headers=headers, stream=True, timeout=(CONNECTING, SILENCE)),
    ) as response:
        if have and response.status_code == requests.codes.requested_range_not_satisfiable:
            part.unlink()
            return
        if response.status_code not in (requests.codes.ok, requests.codes.partial_content):
            answer = f"the server answers {response.status_code} {response.reason}"
            raise requests.HTTPError(answer, response=response)
        if not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            have = 0  # the server sends everything
        length = response.headers.get("Content-Length", "")
        if length.isdecimal() and have + int(length) != remote.size:
            raise ValueError(
                f"{remote.url} has {have + int(length):,} bytes, expected {remote.size:,}: it is "
                "another file, or a login page of the network"
            )
        with _opened(part, have) as file:
            for chunk in response.raw.stream(CHUNK, decode_content=False):
                have += len(chunk)
                if have > remote.size:
                    raise ValueError(f"{remote.url} has more than the expected {remote.size:,} bytes")
                file.write(chunk)
                moved(have)
        if have < remote.size:
            raise requests.ConnectionError(f"it ended after {have:,} of {remote.size:,} bytes")


@contextmanager
def _opened(path: Path, start: int) -> Iterator[IO[bytes]]:
    """Opens a file to write from a byte on. No link is followed, and errors of the system name the file."""
    flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    try:
        with os.fdopen(os.open(path, flags, 0o666), "wb") as file:
            file.truncate(start)
            file.seek(start)
            yield file
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        error.filename = error.filename or os.fspath(path)
        raise


def _within(seconds: float, call: Callable[[], "requests.Response"]) -> "requests.Response":
    """Calls a function and raises TimeoutError if it takes too long.

    A timeout of ``requests`` counts anew for every address of a host, and not while its name is resolved.
    """
    future: Future[requests.Response] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return future.result(timeout=seconds)
    except TimeoutError as error:
        raise (error if future.done() else TimeoutError(f"no answer within {seconds:g} s")) from None


def _may_pass(error: Exception) -> bool:
    """Tells whether another try may do better: a connection broke, rather than could not be opened."""
    import requests
    from urllib3 import exceptions

    if isinstance(error, requests.HTTPError):
        status = 0 if error.response is None else error.response.status_code
        return status >= 500 or status in (requests.codes.request_timeout, requests.codes.too_many_requests)
    unopened = (exceptions.NewConnectionError, exceptions.ConnectTimeoutError, exceptions.SSLError)
    broken = isinstance(error, requests.ConnectionError | requests.Timeout | exceptions.HTTPError)
    return broken and not any(isinstance(cause, unopened) for cause in _causes(error))


def _reason(error: BaseException) -> str:
    """Describes what went wrong in a few words: the first cause, without the layers of libraries above it."""
    *_, first = _causes(error)
    return getattr(first, "strerror", None) or str(first) or type(first).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yields an exception, the one that caused it, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
