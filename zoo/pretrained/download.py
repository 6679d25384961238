"""Download of files: cached, whole, of the expected kind, and verified by hash."""

import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

from ...core.atomic_files import atomic_path
from ...core.errors import InputError, describe, first_line, write_error_reason
from ...core.file_lock import hold_lock, wait_for_lock
from ...core.input_files import read_file
from ...core.limits import TEXT_BYTES
from .network_errors import TransferError, switched_off
from .tensor_files import check_content, foreign_content

log = logging.getLogger("pocketzoo")

PART = ".part"
"""Suffix of files that are not complete yet."""
PART_SECONDS = 7 * 24 * 3600
"""Age at which one is removed where no process works on it."""
HUB = "https://huggingface.co"
HUB_SOURCE = re.compile(r"hf://([A-Za-z0-9][\w.-]*)/(\w[\w.-]*?)(?:@([\w.-]+))?", re.ASCII)
"""Owner, repository, and a commit, branch or tag."""


def cache_folder() -> Path:
    """Return the folder of downloaded files: `POCKETZOO_CACHE`, or else `~/.cache/pocketzoo`."""
    folder = os.environ.get("POCKETZOO_CACHE") or "~/.cache/pocketzoo"
    try:
        return Path(folder).expanduser()
    except RuntimeError as error:
        raise InputError(f"POCKETZOO_CACHE is {folder!r}, which names no folder: {first_line(error)}") from error


@dataclass(frozen=True)
class _Remote:
    """A file at a source."""

    key: str
    """Names the file in the records of first uses."""
    name: str
    """Names it in messages."""
    url: str
    path: Path
    """Place in the cache."""
    token: str | None = None
    """Authorizes the request."""


def _remote(source: str, filename: str) -> _Remote:
    if not source.startswith("hf://"):
        name = source.rpartition("/")[2]
        return _Remote(source, source, source, cache_folder() / hashlib.sha256(source.encode()).hexdigest()[:8] / name)
    parts = HUB_SOURCE.fullmatch(source)
    if parts is None:
        raise InputError(f"{source!r} is not a repository on the hub: hf://OWNER/REPOSITORY or hf://O/R@COMMIT.")
    owner, repository, revision = parts[1], parts[2], parts[3] or "main"
    endpoint = (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")
    return _Remote(
        f"{source}/{filename}",
        f"{filename} of {source}",
        f"{endpoint}/{owner}/{repository}/resolve/{quote(revision)}/{filename}",
        cache_folder() / "hub" / owner / repository / revision / filename,
        os.environ.get("HF_TOKEN"),
    )


def fetch(source: str, published: str | None = None, *, filename: str = "model.safetensors") -> Path:
    """Return the path of a file, from the cache or downloaded.

    Args:
        source: An `https://` (or `http://`) URL, or `hf://owner/repository` on the Hugging Face Hub, with `@` and a
            commit if it is to be that of the commit.
        published: Published hash, `md5:...` or `sha256:...`; a SHA-256 may be truncated to its first digits. Without
            one, the file must be whole and of the kind that its name says, with finite tensors; its SHA-256 is
            recorded, and any other file is rejected from then on.
        filename: Name of the file in a repository on the hub.

    Raises:
        InputError: The file cannot be downloaded, is something else, or its hash is wrong.
    """
    remote = _remote(source, filename)
    if not remote.path.is_file():
        _download(remote, published)
    _verify(remote, remote.path, published)
    return remote.path


def forget(path: Path) -> bool:
    """Remove a downloaded file without a published hash, and the record of its first use; return whether it is one."""
    records = _read_records()
    keys = [key for key in records if _place(key) == path]
    if not keys:
        return False
    _change_records(remove=keys)
    path.unlink(missing_ok=True)
    return True


def _place(key: str) -> Path:
    """Return where the file of a record is in the cache."""
    source, _, filename = key.rpartition("/")
    return _remote(source, filename).path if key.startswith("hf://") else _remote(key, "").path


def _download(remote: _Remote, published: str | None) -> None:
    """Download to `<path>.part`, from which an interrupted download continues, and rename it once it is verified."""
    if setting := switched_off(remote.key):
        raise _download_error(remote, f"{setting} is set")
    part = remote.path.with_name(f"{remote.path.name}{PART}")
    try:
        remote.path.parent.mkdir(parents=True, exist_ok=True)
        _remove_forgotten()
        with _lock(part):
            if remote.path.is_file():  # another process was faster
                return
            _receive(remote, part, published)
            part.replace(remote.path)
    except TransferError as error:
        raise _download_error(remote, str(error)) from error
    except OSError as error:
        reason = f"{remote.path.parent} cannot be written: {write_error_reason(error)}"
        raise _download_error(remote, f"{reason}; POCKETZOO_CACHE can name another folder") from error


def _lock(part: Path) -> AbstractContextManager[None]:
    """Keep other processes from the partial file, until the block or this process ends."""

    def on_wait() -> None:
        log.warning("Another process downloads %s; waiting for it.", part.stem)

    return wait_for_lock(_lock_file(part), what=str(part.parent), on_wait=on_wait)


def _lock_file(file: Path) -> Path:
    return file.with_name(f"{file.name}.lock")


def _remove_forgotten() -> None:
    """Remove partial files, of killed processes for example, that nobody has continued for a long time."""
    for part in cache_folder().rglob(f"*{PART}"):
        with suppress(OSError, InputError):  # it is gone, another user's, or in use after all
            if time.time() - part.stat().st_mtime > PART_SECONDS:
                with hold_lock(_lock_file(part), what=str(part), busy=f"{part} is in use"):
                    part.unlink()


def _receive(remote: _Remote, part: Path, published: str | None) -> None:
    """Download and verify the partial file; it stays only where the next download can continue it."""
    from .transfer import transfer

    try:
        if published is None or not part.is_file() or not _matches(part, published):
            stated = transfer(remote.url, part, resume=published is not None, token=remote.token)
            if stated and not _matches(part, stated):
                raise TransferError(f"it was damaged on its way: the hub states its {stated}, which it does not have")
        _verify(remote, part, published)
    except (TransferError, InputError, OSError) as error:
        can_be_continued = published and isinstance(error, TransferError)
        if not can_be_continued:
            part.unlink(missing_ok=True)
        raise


def _download_error(remote: _Remote, reason: str) -> InputError:
    address = "" if remote.url == remote.key else f" ({remote.url})"
    return InputError(
        f"{remote.name} cannot be downloaded: {reason}{address}. Or save the file as {remote.path} manually."
    )


def _verify(remote: _Remote, path: Path, published: str | None) -> None:
    """Check the hash of a file; if none was published or recorded, check the content and record the hash."""
    known = published or _read_records().get(remote.key)
    algorithm, _, expected = (known or "sha256:").partition(":")
    actual = _hash(path, algorithm)
    if actual.startswith(expected) and known is not None:
        return
    if not published:
        try:
            check_content(path, remote.path.name)
        except InputError as error:
            remedy = "Nothing was kept" if path != remote.path else f"Remove {path} to download it again"
            reason = str(error).removeprefix(str(path)).lstrip(": ").rstrip(".")
            raise InputError(f"the file of {remote.key} is not the expected one: {reason}. {remedy}.") from error
    if known is None:
        _change_records(add={remote.key: f"sha256:{actual}"})
        return
    content = foreign_content(path)
    origin = f"was published{f'; it is {content}' if content else ''}" if published else "was recorded at its first use"
    remedy = f"Remove {remote.path} to download it again"
    if not published:
        remedy += f"; if the publisher changed it and you trust the change, remove its line in {_records()}"
    raise InputError(
        f"the file of {remote.key} is not the expected one: its {algorithm} is {actual}, but {expected} {origin}. "
        f"{remedy}."
    )


def _hash(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _matches(path: Path, known: str) -> bool:
    algorithm, _, expected = known.partition(":")
    return _hash(path, algorithm).startswith(expected)


def _records() -> Path:
    return cache_folder() / "first-use.json"


def _read_records() -> dict[str, str]:
    """Return the hashes of the first uses of files without a published one, by source."""
    if not _records().is_file():
        return {}
    try:
        return TypeAdapter(dict[str, str]).validate_json(read_file(_records(), TEXT_BYTES))
    except ValidationError as error:
        raise InputError(
            f"{_records()} cannot be read: {describe(error)}. Remove it if you trust the files in the cache."
        ) from error


def _change_records(*, add: Mapping[str, str] = MappingProxyType({}), remove: Iterable[str] = ()) -> None:
    try:
        with wait_for_lock(_lock_file(_records()), what=str(_records())):
            hashes = {key: value for key, value in _read_records().items() if key not in remove} | dict(add)
            with atomic_path(_records()) as temporary:
                temporary.write_text(json.dumps(hashes, indent=1))
    except OSError as error:  # such as a cache that is shared and read-only: its files are whole and of their kind
        log.warning("%s cannot be written: %s; a change of %s will not be noticed.", _records(), error.strerror, [*add])
