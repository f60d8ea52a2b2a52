"""Resumable downloads with verified checksums."""

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
"""Timeout in seconds for a server's first response, over all its addresses and name servers."""

CONNECTING, SILENCE = 5.0, 30.0
"""Timeouts in seconds for connecting to one address, and for a silent connection."""

TRIES, PAUSE = 3, 1.0
"""Maximum number of consecutive attempts without progress, and seconds to wait after the first of them."""

GAIN = 2**20
"""Minimum number of new bytes for an attempt to count as progress."""

CHUNK = 2**18


class RemoteFile(NamedTuple):
    """Remote file with known size and checksum.

    Attributes:
      url: URL of the file.
      name: Name of the file on disk.
      size: Size in bytes.
      sha256: SHA-256 of the content, in hexadecimal.
    """

    url: str
    name: str
    size: int
    sha256: str


def fetch(remote: RemoteFile, folder: Path, moved: Callable[[int], None] = lambda done: None) -> Path:
    """Downloads a file, unless it already exists, and verifies its content.

    Partial content is kept under the file's name with ``.part`` appended, and the next call resumes from
    there, with any server: the file is renamed only once its SHA-256 matches. Proxies and certificates are
    taken from the environment by ``requests``.

    Args:
      remote: Remote file.
      folder: Path of the directory for the file.
      moved: Callback, called with the number of bytes downloaded so far.

    Returns:
      The path of the file.

    Raises:
      ConnectionError: The server cannot be reached, or does not send the file.
      ValueError: The file has an unexpected size or checksum. A downloaded file is then deleted.
      OSError: The file cannot be written.
    """
    path, part = folder / remote.name, folder / f"{remote.name}.part"
    if path.exists():
        if (found := digest(path)) != remote.sha256:
            raise ValueError(
                f"{path} has SHA-256 {found}, expected {remote.sha256}; delete it and run this again"
            )
        moved(remote.size)
        return path
    goes_on = part.exists()
    _complete(remote, part, moved)
    if goes_on and digest(part) != remote.sha256:  # a partial download may belong to another file
        part.unlink()
        _complete(remote, part, moved)
    if (found := digest(part)) != remote.sha256:
        part.unlink()
        raise ValueError(f"{remote.url} has SHA-256 {found}, expected {remote.sha256}; it was deleted")
    part.replace(path)
    return path


def _complete(remote: RemoteFile, part: Path, moved: Callable[[int], None]) -> None:
    """Requests the missing bytes until the file has its full size, retrying broken connections."""
    # Imported here because the heads alone need neither.
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
    """Requests the file once, starting from a byte offset, and appends the response."""
    import requests

    # A content encoding would hide the length of the file.
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    with _within(
        OPENING,
        lambda: requests.get(remote.url, headers=headers, stream=True, timeout=(CONNECTING, SILENCE)),
    ) as response:
        if have and response.status_code == requests.codes.requested_range_not_satisfiable:
            part.unlink()
            return
        if response.status_code not in (requests.codes.ok, requests.codes.partial_content):
            answer = f"the server answered {response.status_code} {response.reason}"
            raise requests.HTTPError(answer, response=response)
        if not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            have = 0  # the server sends the whole file
        length = response.headers.get("Content-Length", "")
        if length.isdecimal() and have + int(length) != remote.size:
            raise ValueError(
                f"{remote.url} has {have + int(length):,} bytes, expected {remote.size:,}: it is a "
                "different file, or the network's login page"
            )
        with _opened(part, have) as file:
            for chunk in response.raw.stream(CHUNK, decode_content=False):
                have += len(chunk)
                if have > remote.size:
                    raise ValueError(f"{remote.url} has more than the expected {remote.size:,} bytes")
                file.write(chunk)
                moved(have)
        if have < remote.size:
            raise requests.ConnectionError(f"the response ended after {have:,} of {remote.size:,} bytes")


@contextmanager
def _opened(path: Path, start: int) -> Iterator[IO[bytes]]:
    """Opens a file for writing from a byte offset, without following links; OS errors name the file."""
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

    The timeout of ``requests`` restarts for every address of a host, and does not include name resolution.
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
    """Returns True if a retry may succeed: the connection broke, rather than failed to open."""
    import requests
    from urllib3 import exceptions

    if isinstance(error, requests.HTTPError):
        status = 0 if error.response is None else error.response.status_code
        return status >= 500 or status in (requests.codes.request_timeout, requests.codes.too_many_requests)
    unopened = (exceptions.NewConnectionError, exceptions.ConnectTimeoutError, exceptions.SSLError)
    broken = isinstance(error, requests.ConnectionError | requests.Timeout | exceptions.HTTPError)
    return broken and not any(isinstance(cause, unopened) for cause in _causes(error))


def _reason(error: BaseException) -> str:
    """Describes an error briefly by its root cause, without the wrapping exceptions of libraries."""
    *_, first = _causes(error)
    return getattr(first, "strerror", None) or str(first) or type(first).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yields an exception and its chain of causes."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
