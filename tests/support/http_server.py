"""A server on the loopback interface that serves a folder, or responds as a test says."""

import functools
import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class Server(http.server.ThreadingHTTPServer):
    """Server of a folder that supports ranges, records requests, and stops after `most` bytes if set."""

    def __init__(self, folder: Path):
        super().__init__(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
        self.folder = folder
        self.most: int | None = None
        self.requests: list[tuple[str, str | None]] = []
        self.answers: list[Callable[[Handler], object]] = []
        """Handlers of the next requests, instead of the folder; the last one handles all that follow."""

    def address(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"

    def handle_error(self, *_):
        """A client that hangs up is no news."""


class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        byte_range = self.headers.get("Range")
        self.server.requests.append((self.path, byte_range))
        if answers := self.server.answers:
            (answers.pop(0) if len(answers) > 1 else answers[0])(self)
            return
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        start = int(byte_range.removeprefix("bytes=").rstrip("-")) if byte_range else 0
        self.answer(content[start : self.server.most], 206 if byte_range else 200, length=len(content) - start)

    def answer(self, body: bytes = b"", status: int = 200, *, length: int | None = None, **headers: str):
        """Send a body; with no `length`, it ends where the connection does."""
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def serve(folder: Path) -> Iterator[Server]:
    """Run a server in a thread until the block ends."""
    with Server(folder) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.shutdown()
