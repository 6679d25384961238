"""Chromium as tests drive it: DevTools' protocol through pipes, for which no package is needed."""

import base64
import fcntl
import json
import os
import select
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pocketzoo.export.runtimes.browser import FLAGS, NO_GPU

FIRST_FREE = 10
"""Numbers of files from here on are none that the browser expects."""
MAX_SILENCE = 60
"""Seconds without a message after which the browser counts as hanging."""
VIOLATIONS = """
window.violations = [];
addEventListener("securitypolicyviolation", ({effectiveDirective, blockedURI}) =>
  violations.push(`${effectiveDirective} ${blockedURI}`));
"""
LOADED = "document.readyState === 'complete'"


class Browser:
    """A running browser. `events` are all that it has reported so far."""

    def __init__(self, write: int, read: int):
        self._write, self._read = write, read
        self._number = 0
        self._unread = b""
        self.events: list[dict[str, Any]] = []

    def send(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Call a method and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        os.write(self._write, json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0")
        while True:
            answer = self._next_message()
            if "method" in answer:
                self.events.append(answer)
            elif answer["id"] == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def _next_message(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            assert select.select([self._read], [], [], MAX_SILENCE)[0], "the browser does not answer"
            part = os.read(self._read, 1 << 16)
            assert part, "the browser exited"
            self._unread += part
        message, self._unread = self._unread.split(b"\0", 1)
        return json.loads(message)

    @contextmanager
    def page(self, *, width: int = 360, height: int = 640, permissions: tuple[str, ...] = ()) -> Iterator["Page"]:
        """A page with storage of its own, in a viewport of a phone's size."""
        context = self.send("Target.createBrowserContext")["browserContextId"]
        if permissions:
            self.send("Browser.grantPermissions", permissions=list(permissions), browserContextId=context)
        target = self.send("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        for domain in ("Page", "Network", "Runtime"):
            page.send(f"{domain}.enable")
        page.send("Page.addScriptToEvaluateOnNewDocument", source=VIOLATIONS)
        page.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=True)
        try:
            yield page
        finally:
            self.send("Target.disposeBrowserContext", browserContextId=context)


class Page:
    """A page of a browser."""

    def __init__(self, browser: Browser, session: str):
        self._browser, self._session = browser, session

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the page and return its result."""
        return self._browser.send(method, self._session, **parameters)

    def open(self, address: str) -> None:
        """Open an address, and wait until it is loaded."""
        self.send("Page.navigate", url=address)
        self.wait_for(f"location.href.startsWith({json.dumps(address)}) && {LOADED}")

    def evaluate(self, expression: str) -> Any:
        """The value of an expression, for which it waits if it is a promise."""
        answer = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, condition: str, seconds: float = 20) -> None:
        """Wait until an expression is true; what the page says is shown where it never is."""
        told = self.evaluate(
            f"(async () => {{ const end = Date.now() + {1000 * seconds};"
            f" while (Date.now() < end) {{ if ({condition}) return '';"
            " await new Promise(next => setTimeout(next, 20)); }"
            " return document.body.innerText; })()"
        )
        assert not told, f"{condition} is never true: {told}"

    def choose_file(self, selector: str, file: Path) -> None:
        """Choose a file in an `<input>`."""
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def press(self, key: str) -> None:
        """Press a key of the keyboard, such as `Tab`."""
        code = {"Tab": 9, " ": 32, "ArrowDown": 40}[key]
        text = {"text": key} if len(key) == 1 else {}
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **text)

    def accessible(self, role: str) -> list[str]:
        """The accessible names of the elements that have a role."""
        nodes = self.send("Accessibility.getFullAXTree")["nodes"]
        return [node["name"]["value"] for node in nodes if node.get("role", {}).get("value") == role]

    def requests(self) -> list[str]:
        """Addresses that the page has asked for."""
        return [
            event["params"]["request"]["url"]
            for event in self._browser.events
            if event["method"] == "Network.requestWillBeSent" and event.get("sessionId") == self._session
        ]

    def save_screenshot(self, file: Path, *, whole: bool = True) -> None:
        """Save a picture of the whole page, or of the viewport, as PNG."""
        answer = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(answer["data"]))


@contextmanager
def browsing(program: str, *flags: str) -> Iterator[Browser]:
    """Run a browser during the block."""
    theirs_read, write = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE) for end in os.pipe())
    read, theirs_write = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE) for end in os.pipe())
    silence = os.open(os.devnull, os.O_WRONLY)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [program, *FLAGS, *NO_GPU, *flags, "--remote-debugging-pipe", f"--user-data-dir={profile}"]
        actions = [(os.POSIX_SPAWN_DUP2, silence, 1), (os.POSIX_SPAWN_DUP2, silence, 2)]
        actions += [(os.POSIX_SPAWN_DUP2, theirs_read, 3), (os.POSIX_SPAWN_DUP2, theirs_write, 4)]
        process = os.posix_spawnp(program, command, os.environ, file_actions=actions)
        for end in (theirs_read, theirs_write, silence):
            os.close(end)
        browser = Browser(write, read)
        try:
            yield browser
        finally:
            os.kill(process, signal.SIGKILL)  # its profile is removed anyway
            os.waitpid(process, 0)
            for end in (write, read):
                os.close(end)
