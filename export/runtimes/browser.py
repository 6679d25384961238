"""Headless Chromium on pages that are served from here, and that send back what they find."""

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
from urllib.parse import unquote

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
SILENCE = 300
"""Seconds without news after which a page is given up."""
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # which containers do not let it set up; it opens pages from here only
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",  # small in containers
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # what is not here is missing, not downloaded
)
NO_GPU = ("--disable-gpu",)
SOFTWARE_GPU = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")
"""Chromium's own, so that WebGPU is there, and the same, on every machine."""


class BrowserError(Exception):
    """The page did not come to its end."""


def find_browser() -> str | None:
    """The first Chromium on the `PATH` that starts: Ubuntu has a script of that name, which asks for a snap."""
    return next((program for program in filter(None, map(shutil.which, PROGRAMS)) if browser_version(program)), None)


@cache
def browser_version(browser: str) -> str | None:
    """Such as `156.0.8078.79`; None where it does not start."""
    said = subprocess.run([browser, "--version"], capture_output=True, text=True, check=False).stdout
    return next((word for word in said.split() if word[0].isdigit()), None)


def posts(
    browser: str, address: str, answer: Callable[[str], bytes | Path | None], flags: tuple[str, ...]
) -> Iterator[bytes]:
    """Opens a page and yields what it posts, one body after another, until it posts to `end`, which comes last.

    Args:
        browser: The program.
        address: Of the page, without the host; it may have a query and a fragment.
        answer: From a path, without the slash before it, to what is served there: content, a file, or None.
        flags: For the browser, beside `FLAGS`.

    Raises:
        BrowserError: Nothing comes for `SILENCE` seconds, or the browser ends.
    """
    news: Queue[tuple[str, bytes]] = Queue()
    with serving(answer, news) as host, _browsing(browser, f"{host}/{address}", flags) as process:
        path = ""
        while path != "end":
            path, body = _next(news, process)
            yield body


def _next(news: Queue[tuple[str, bytes]], process: subprocess.Popen) -> tuple[str, bytes]:
    end = time.monotonic() + SILENCE
    while time.monotonic() < end:
        try:
            return news.get(timeout=1)
        except Empty:
            if process.poll() is not None:
                raise BrowserError(f"the browser ended with {process.returncode}") from None
    raise BrowserError(f"the page sent nothing for {SILENCE} seconds")


@contextmanager
def serving(answer: Callable[[str], bytes | Path | None], news: Queue[tuple[str, bytes]]) -> Iterator[str]:
    """A server on this machine, for the block; its address."""
    server = _Server(("127.0.0.1", 0), partial(_Handler, answer, news))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def _browsing(browser: str, address: str, flags: tuple[str, ...]) -> Iterator[subprocess.Popen]:
    """A browser with a profile of its own on a page, for the block."""
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
    def handle_error(self, *request) -> None:
        """Tells of all but connections that the browser dropped when it ended."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*request)


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # one connection for all requests
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript", ".wasm": "application/wasm"}

    def __init__(self, answer: Callable[[str], bytes | Path | None], news: Queue[tuple[str, bytes]], *connection):
        self.answer, self.news = answer, news
        super().__init__(*connection)

    def do_GET(self) -> None:
        path = unquote(self.path.lstrip("/").partition("?")[0])
        # ".." leads out of a folder, and a part that is empty makes what follows it start at the root.
        found = None if {"..", ""} & set(path.split("/")) else self.answer(path)
        if isinstance(found, Path):
            found = found.read_bytes() if found.is_file() else None
        if found is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(path))
        self.send_header("Content-Length", str(len(found)))
        self.end_headers()
        self.wfile.write(found)

    def do_POST(self) -> None:
        self.news.put((self.path.lstrip("/"), self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_) -> None:
        """Says nothing."""
