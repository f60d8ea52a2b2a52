"""A real server of files on localhost, whose misbehaviour can be set."""

import http.server
import threading
from contextlib import contextmanager


class Files(http.server.ThreadingHTTPServer):
    """Serves files from memory, by path.

    Attributes:
      files: Contents by path.
      requests: What was asked for so far: path and Range, if there was one.
      heeds_ranges: Whether a part of a file may be asked for.
      breaks_after: Number of bytes after which every connection is closed.
      tells_length: Whether an answer says how long it is.
      failures: Number of requests that are answered by 503 before the others.
      redirects: Other paths by path.
      headers: More headers of every answer that has a file.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.redirects, self.headers, self.requests = {}, {}, {}, []
        self.heeds_ranges = self.tells_length = True
        self.breaks_after, self.failures = None, 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        """Says nothing of a client that was killed."""


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server, path, asked = self.server, self.path, self.headers.get("Range")
        server.requests.append((path, asked))
        if server.failures:
            server.failures -= 1
            self.send_error(503)
        elif path in server.redirects:
            self.send_response(302)
            self.send_header("Location", server.redirects[path])
            self.end_headers()
        elif path not in server.files:
            self.send_error(404)
        else:
            self._send(server.files[path], asked)

    def _send(self, content, asked):
        server, start = self.server, 0
        if asked and server.heeds_ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if server.tells_length:
            self.send_header("Content-Length", str(len(content) - start))
        for name, value in server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        end = len(content) if server.breaks_after is None else start + server.breaks_after
        self.wfile.write(content[start:end])

    def log_message(self, *arguments):
        """Says nothing."""


@contextmanager
def serving():
    """Runs such a server in a thread."""
    with Files() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()
