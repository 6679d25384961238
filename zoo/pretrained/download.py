"""Download of files: cached, complete, and verified by hash."""

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.atomic_files import atomic_path
from ...core.errors import InputError, first_line

if TYPE_CHECKING:
    pass

if TYPE_CHECKING:
    import requests

CHUNK = 1 << 16
"""Bytes per read."""


def cache_folder() -> Path:
    """Return the folder of downloaded files: `POCKETZOO_CACHE`, or else `~/.cache/pocketzoo`."""
    return Path(os.environ.get("POCKETZOO_CACHE") or "~/.cache/pocketzoo").expanduser()


def is_offline() -> bool:
    """Return whether downloads are disabled: `POCKETZOO_OFFLINE` is set, but not to 0 or false."""
    return os.environ.get("POCKETZOO_OFFLINE", "").lower() not in ("", "0", "false")


def fetch(source: str, published: str | None = None, *, filename: str = "model.safetensors") -> Path:
    """Return the path of a file, from the cache or downloaded.

    Args:
        source: An `https://` (or `http://`) URL, or `hf://owner/repository` on the Hugging Face Hub.
        published: Published hash, `md5:...` or `sha256:...`; a SHA-256 may be truncated to its first digits. Without
            one, the SHA-256 of the first download is recorded, and any other file is rejected from then on.
        filename: Name of the file in a repository on the hub.

    Raises:
        InputError: The file cannot be downloaded, or its hash is wrong.
    """
    if source.startswith("hf://"):
        path = _from_hub(source, filename)
        url = f"{source}/{filename}"
    else:
        path = cache_folder() / hashlib.sha256(source.encode()).hexdigest()[:8] / source.rpartition("/")[2]
        if not path.is_file():
            _download(source, path, published)
        url = source
    _verify(url, path, published)
    return path


def _verify(source: str, path: Path, published: str | None) -> None:
    """Check the hash of a file, or record it if none was published or recorded."""
    known = published or _recorded_hash(source)
    algorithm, _, expected = (known or "sha256:").partition(":")
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, algorithm).hexdigest()
    if not actual.startswith(expected):
        origin = "was published" if published else "was recorded at its first use"
        remedy = f"Remove {path} to download it again"
        if not published:
            remedy += f"; if the publisher changed it and you trust the change, remove its line in {_records()}"
        raise InputError(
            f"the file of {source} is not the expected one: its {algorithm} is {actual}, but {expected} {origin}. "
            f"{remedy}."
        )
    if known is None:
        _record_hash(source, f"sha256:{actual}")


def _records() -> Path:
    return cache_folder() / "first-use.json"


def _recorded_hash(source: str) -> str | None:
    if not _records().is_file():
        return None
    try:
        hashes: dict[str, str] = json.loads(_records().read_text())
    except ValueError as error:
        raise InputError(
            f"{_records()} cannot be read: {error}. Remove it if you trust the files in the cache."
        ) from error
    return hashes.get(source)


def _record_hash(source: str, value: str) -> None:
    from filelock import FileLock

    with FileLock(f"{_records()}.lock"):
        known = json.loads(_records().read_text()) if _records().is_file() else {}
        with atomic_path(_records()) as temporary:
            temporary.write_text(json.dumps(known | {source: value}, indent=1))


def _download_error(source: str, path: Path, reason: str) -> InputError:
    return InputError(f"{source} cannot be downloaded: {reason}. Or save the file as {path} manually.")


def _download(source: str, path: Path, published: str | None) -> None:
    """Download to `<path>.part`, from which an interrupted download continues, and rename it when complete."""
    import requests
    from filelock import FileLock

    if is_offline():
        raise _download_error(source, path, "POCKETZOO_OFFLINE (--offline) is set")
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{part}.lock").acquire()
    except OSError as error:
        raise _download_error(source, path, f"{path.parent} cannot be written: {error.strerror}") from error
    with lock:
        if path.is_file():  # another process was faster
            return
        # Without a published hash, a second half from a changed file would go unnoticed.
        offset = part.stat().st_size if published and part.is_file() else 0
        try:
            with requests.get(source, headers=_range_headers(offset), stream=True, timeout=30) as response:
                if response.status_code != requests.codes.requested_range_not_satisfiable:  # else it is complete
                    response.raise_for_status()
                    _write(response, part, offset if response.status_code == requests.codes.partial_content else 0)
        except (requests.RequestException, OSError) as error:
            raise _download_error(source, path, first_line(error)) from error
        try:
            _verify(source, part, published)
        except InputError:
            part.unlink()
            raise
        part.replace(path)


def _range_headers(offset: int) -> dict[str, str]:
    # Uncompressed: an offset into a compressed transfer would not be an offset into the file.
    return {"Accept-Encoding": "identity"} | ({"Range": f"bytes={offset}-"} if offset else {})


def _from_hub(source: str, filename: str) -> Path:
    from huggingface_hub import hf_hub_download

    repository = source.removeprefix("hf://")
    folder = cache_folder() / "hub"
    try:
        # The hub's client resumes downloads, has a cache and shows its progress.
        path = hf_hub_download(
            repository,
            filename,
            cache_dir=folder,
            local_files_only=is_offline(),
            endpoint=os.environ.get("HF_ENDPOINT"),
        )
    except (OSError, ValueError) as error:  # all errors of the hub's client are one of these
        raise InputError(
            f"{filename} of {source} cannot be downloaded: {first_line(error).rstrip('.')}. Or download it manually "
            "and pass weights='TAG=PATH' with the card's tag and the file's path."
        ) from error
    return Path(path)


def _write(response: "requests.Response", part: Path, offset: int) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    length = response.headers.get("Content-Length")
    with Progress(*columns, console=Console(stderr=True)) as progress, part.open("ab" if offset else "wb") as file:
        task = progress.add_task(part.stem, total=None if length is None else offset + int(length), completed=offset)
        for chunk in response.iter_content(CHUNK):
            file.write(chunk)
            progress.advance(task, len(chunk))
