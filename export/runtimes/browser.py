"""Headless Chromium on pages that are served from this process and post their results back."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any
from urllib.parse import unquote

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
MAX_SILENCE = 300
"""Seconds without a message after which a page counts as failed."""
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # it cannot be set up in containers, and only our own pages are opened
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",  # small in containers
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # a missing file is an error, not a download
)
NO_GPU = ("--disable-gpu",)
SOFTWARE_GPU = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")
"""Chromium's own, so that WebGPU is available, and the same, on every machine."""
Server = Callable[[str], bytes | Path | None]
"""From a path, without its leading slash, to the content served there: bytes, a file, or None."""


class BrowserError(Exception):
    """The page did not finish."""


def find_browser() -> str | None:
    """The first Chromium on the `PATH` that starts: Ubuntu has a script of that name that only recommends a snap."""
    return next((program for program in filter(None, map(shutil.which, PROGRAMS)) if browser_version(program)), None)


@cache
def browser_version(browser: str) -> str | None:
    """Version such as `156.0.8078.79`; None where the browser does not start."""
    output = subprocess.run([browser, "--version"], capture_output=True, text=True, check=False).stdout
    return next((word for word in output.split() if word[0].isdigit()), None)


def open_page(browser: str, address: str, serve: Server, flags: tuple[str, ...]) -> Iterator[bytes]:
    """Open a page and yield each body that it posts, ending with the one posted to `end`.

    Args:
        browser: The program.
        address: Address of the page without the host; it may have a query and a fragment.
        serve: The content of the server.
        flags: Browser flags in addition to `FLAGS`.

    Raises:
        BrowserError: Nothing is posted for `MAX_SILENCE` seconds, or the browser exits.
    """
    messages: Queue[tuple[str, bytes]] = Queue()
    with serving(serve, messages) as host, _browsing(browser, f"{host}/{address}", flags) as process:
        path = ""
        while path != "end":
            path, body = _next_message(messages, process)
            yield body


def _next_message(messages: Queue[tuple[str, bytes]], process: subprocess.Popen[bytes]) -> tuple[str, bytes]:
    end = time.monotonic() + MAX_SILENCE
    while time.monotonic() < end:
        try:
            return messages.get(timeout=1)
        except Empty:
            if process.poll() is not None:
                raise BrowserError(f"the browser exited with code {process.returncode}") from None
    raise BrowserError(f"the page posted nothing for {MAX_SILENCE} seconds")


@contextmanager
def serving(serve: Server, messages: Queue[tuple[str, bytes]]) -> Iterator[str]:
    """Run a server on this machine during the block, and yield its address."""
    server = _Server(("127.0.0.1", 0), partial(_Handler, serve, messages))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def _browsing(browser: str, address: str, flags: tuple[str, ...]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a browser with its own profile on a page during the block."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [browser, *FLAGS, *flags, f"--user-data-dir={profile}", address]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class _Server(ThreadingHTTPServer):
    def handle_error(self, *request: Any) -> None:
        """Report all errors except connections that the browser dropped when it exited."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*request)


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # one connection for all requests
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript", ".wasm": "application/wasm"}

    def __init__(self, serve: Server, messages: Queue[tuple[str, bytes]], *connection: Any):
        self.serve, self.messages = serve, messages
        super().__init__(*connection)

    def do_GET(self) -> None:
        path = unquote(self.path.lstrip("/").partition("?")[0])
        # ".." leads out of a folder, and an empty part makes the following parts start at the root.
        content = None if {"..", ""} & set(path.split("/")) else self.serve(path)
        if isinstance(content, Path):
            content = content.read_bytes() if content.is_file() else None
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(path))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        self.messages.put((self.path.lstrip("/"), self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Log nothing."""
