"""Transfer of one file over HTTP: continued after interruptions, repeated where that can help, and bounded."""

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from ...core.limits import MODEL_BYTES, Limit
from .network_errors import CERTIFICATES, InterruptionError, TransferError, explain, explain_status

log = logging.getLogger("pocketzoo")

CHUNK = 1 << 16
"""Most bytes per read."""
CONNECT_SECONDS = 5.0
"""Longest wait for a connection."""
SILENT_SECONDS = 30.0
"""Longest wait for the next bytes, and the time over which the speed is measured."""
SLOWEST = 1024
"""Bytes per second below which a transfer is given up."""
WAITS = (0.5, 1.0, 2.0)
"""Seconds before each further try after an interruption."""
MOST_REDIRECTS = 10
SMALL = 2**20
"""Bytes of a file that needs no progress bar, and that an interruption must be apart to be counted anew."""


@dataclass
class _Progress:
    """What is known of a file from the responses so far."""

    offset: int
    """Bytes in the partial file that can be kept."""
    validator: str | None = None
    """ETag or date of the file at the source, by which a server tells whether it is still the same."""
    published: str | None = None
    """SHA-256 that the hub states for the file."""


def transfer(url: str, part: Path, *, resume: bool, token: str | None = None, limit: Limit = MODEL_BYTES) -> str | None:
    """Download a file to `part`, and return the SHA-256 that the server states for it, if it does, as the hub does.

    Interruptions (an overloaded server, silence, a lost connection) are tried again three times, from where the
    transfer stopped; what cannot pass, such as a missing network, is an error at once. The proxies and certificates are
    those of the environment: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`, and `REQUESTS_CA_BUNDLE`,
    `CURL_CA_BUNDLE` or `SSL_CERT_FILE`.

    Args:
        url: An `https://` or `http://` address.
        part: The partial file; it stays after an error, except where the disk is full.
        resume: Whether bytes in `part` from an earlier call belong to the file, as its hash will show.
        token: Sent to the host of `url`, but not to those it redirects to.
        limit: The most bytes that the file may have.

    Raises:
        TransferError: The file cannot be downloaded; the message is the reason.
        InputError: It is larger than the limit.
        OSError: It cannot be written.
    """
    progress = _Progress(part.stat().st_size if resume and part.is_file() else 0)
    waits = list(WAITS)
    with requests.Session() as session:
        session.verify = _certificates()
        while True:
            start = progress.offset
            try:
                _receive(session, url, part, progress, resume, token, limit)
                return progress.published
            except InterruptionError as interruption:
                if progress.offset >= start + SMALL:
                    waits = list(WAITS)
                if not waits:
                    raise TransferError(f"{interruption}, {len(WAITS) + 1} times") from interruption
                log.info("%s: %s; trying again.", url, interruption)
                time.sleep(max(waits.pop(0), interruption.wait))


def _certificates() -> str | bool:
    """Return the file of trusted certificates that the environment names; True for those of the package certifi."""
    for variable in CERTIFICATES:
        if path := os.environ.get(variable):
            if not Path(path).exists():
                raise TransferError(f"{variable} names the certificates {path}, which do not exist")
            return path
    return True


def _receive(
    session: requests.Session,
    url: str,
    part: Path,
    progress: _Progress,
    resume: bool,
    token: str | None,
    limit: Limit,
) -> None:
    """Request what is missing of the file and append it to `part`."""
    with _request(session, url, progress, token) as response:
        status = response.status_code
        if status == requests.codes.requested_range_not_satisfiable and progress.offset:
            progress.offset = 0  # the partial file is not of this file: from the start
            raise InterruptionError("the server refuses to continue the partial file")
        if status not in (requests.codes.ok, requests.codes.partial_content):
            raise explain_status(response)
        if status == requests.codes.partial_content:
            begin = response.headers.get("Content-Range", f"bytes {progress.offset}-").removeprefix("bytes ")
            if not progress.offset or begin.partition("-")[0] != str(progress.offset):
                raise TransferError(f"the server sends another part of the file ({begin!r}) than was requested")
        else:
            progress.offset = 0
        etag = response.headers.get("ETag", "W/")
        progress.validator = response.headers.get("Last-Modified") if etag.startswith("W/") else etag
        try:
            _write(response, part, progress, limit)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            is_known = resume or progress.validator or progress.published
            if not is_known or "Content-Encoding" in response.headers:
                progress.offset = 0  # the second half could be that of another file, which nothing would show
            raise explain(error, response.url) from error


@contextmanager
def _request(
    session: requests.Session, url: str, progress: _Progress, token: str | None
) -> Iterator[requests.Response]:
    """Yield the response of the server, or of the one that it redirects to."""
    # Uncompressed: an offset into a compressed transfer would not be an offset into the file.
    headers = {"Accept-Encoding": "identity"}
    if progress.offset:
        headers["Range"] = f"bytes={progress.offset}-"
        if progress.validator:
            headers["If-Range"] = progress.validator
    first = urlsplit(url)
    for _ in range(MOST_REDIRECTS):
        trusted = {"Authorization": f"Bearer {token}"} if token and urlsplit(url)[:2] == first[:2] else {}
        try:
            response = session.get(
                url,
                headers=headers | trusted,
                stream=True,
                allow_redirects=False,
                verify=session.verify,
                timeout=(CONNECT_SECONDS, SILENT_SECONDS),
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise explain(error, url) from error
        with response:
            progress.published = _stated_hash(response) or progress.published
            if not response.is_redirect:
                yield response
                return
            url = _redirected(url, response.headers["Location"])
    raise TransferError(f"the server redirects more than {MOST_REDIRECTS} times, at last to {url!r}")


def _stated_hash(response: requests.Response) -> str | None:
    """Return the SHA-256 of a large file in the response of the hub."""
    value = response.headers.get("X-Linked-Etag", "").strip('"').lower()
    is_hash = len(value) == hashlib.sha256().digest_size * 2 and not value.strip("0123456789abcdef")
    return f"sha256:{value}" if is_hash else None


def _redirected(url: str, location: str) -> str:
    try:
        target = urljoin(url, location)
        scheme = urlsplit(target).scheme
    except ValueError as error:
        raise TransferError(f"the server redirects to {location!r}, which is no address") from error
    if scheme not in ("http", "https") or (scheme == "http" and urlsplit(url).scheme == "https"):
        raise TransferError(f"the server redirects from {urlsplit(url).scheme}:// to {target!r}, which is not followed")
    return target


def _write(response: requests.Response, part: Path, progress: _Progress, limit: Limit) -> None:
    """Append the body of a response to the partial file, from the offset on."""
    encoding = response.headers.get("Content-Encoding", "identity")
    length = response.headers.get("Content-Length", "") if encoding == "identity" else ""
    size = progress.offset + int(length) if length.isdecimal() else None
    if size is not None:
        limit.check(size, response.url)
        _check_space(size, progress.offset, part)
    since, received = time.monotonic(), 0
    with _progress_bar(part.stem, size, progress.offset) as advance, part.open("ab") as file:
        file.truncate(progress.offset)
        while chunk := response.raw.read1(CHUNK, decode_content=True):
            file.write(chunk)
            progress.offset += len(chunk)
            received += len(chunk)
            advance(len(chunk))
            limit.check(progress.offset, response.url)
            if time.monotonic() - since > SILENT_SECONDS:
                if received < SLOWEST * SILENT_SECONDS:
                    raise TransferError(f"it arrives at less than {SLOWEST // 1024} KiB per second")
                since, received = time.monotonic(), 0
    if size is not None and progress.offset != size:
        raise urllib3.exceptions.ProtocolError(f"{progress.offset} of {size} bytes")


def _check_space(size: int, present: int, part: Path) -> None:
    free = shutil.disk_usage(part.parent).free
    if size - present > free:
        raise TransferError(f"{size - present:,} bytes are needed in {part.parent}, where {free:,} are free")


@contextmanager
def _progress_bar(name: str, size: int | None, completed: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    text, is_small = TextColumn("{task.description}", markup=False), size is not None and size < SMALL
    with Progress(text, *columns, console=Console(stderr=True), disable=is_small) as progress:
        task = progress.add_task(name, total=size, completed=completed)
        yield lambda count: progress.advance(task, count)
