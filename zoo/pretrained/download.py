"""Files from the network: once, whole, and the ones that were published."""

import hashlib
import json
import os
from pathlib import Path

from ...core.atomic_files import atomic_path
from ...core.errors import InputError, first_line

CHUNK = 1 << 16
"""Bytes."""


def cache_folder() -> Path:
    """Where downloaded files are kept: `POCKETZOO_CACHE`, else `~/.cache/pocketzoo`."""
    return Path(os.environ.get("POCKETZOO_CACHE") or "~/.cache/pocketzoo").expanduser()


def is_offline() -> bool:
    """Whether nothing may be downloaded: `POCKETZOO_OFFLINE` is set, and to neither 0 nor false."""
    return os.environ.get("POCKETZOO_OFFLINE", "").lower() not in ("", "0", "false")


def fetch(source: str, published: str | None = None, *, filename: str = "model.safetensors") -> Path:
    """The file behind an address, from the cache or from the network.

    Args:
        source: An `https://` (or `http://`) address, or `hf://owner/repository` on the hub.
        published: Its hash, `md5:...` or `sha256:...`, of the latter maybe the first digits only. Where there is none,
            the SHA-256 of the first download is recorded, and another file is refused from then on.
        filename: Which file of a repository on the hub.

    Raises:
        InputError: The file cannot be had, or is not the one that was published.
    """
    if source.startswith("hf://"):
        path = _from_hub(source, filename)
        address = f"{source}/{filename}"
    else:
        path = cache_folder() / hashlib.sha256(source.encode()).hexdigest()[:8] / source.rpartition("/")[2]
        if not path.is_file():
            _download(source, path, published)
        address = source
    _check(address, path, published)
    return path


def _check(source: str, path: Path, published: str | None) -> None:
    known = published or _recorded(source)
    kind, _, wanted = (known or "sha256:").partition(":")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, kind).hexdigest()
    if not found.startswith(wanted):
        told = "was published" if published else "was recorded when it was first used"
        mend = f"Remove {path} to have it downloaded anew"
        if not published:
            mend += f"; if the publisher changed it and you trust the change, remove its line in {_records()}"
        raise InputError(
            f"the file of {source} is not the one it should be: its {kind} is {found}, {wanted} {told}. {mend}."
        )
    if known is None:
        _record(source, f"sha256:{found}")


def _records() -> Path:
    return cache_folder() / "first-use.json"


def _recorded(source: str) -> str | None:
    if not _records().is_file():
        return None
    try:
        return json.loads(_records().read_text()).get(source)
    except ValueError as error:
        raise InputError(
            f"{_records()} cannot be read: {error}. Remove it to trust anew what is in the cache."
        ) from error


def _record(source: str, found: str) -> None:
    from filelock import FileLock

    with FileLock(f"{_records()}.lock"):
        known = json.loads(_records().read_text()) if _records().is_file() else {}
        with atomic_path(_records()) as temporary:
            temporary.write_text(json.dumps(known | {source: found}, indent=1))


def _by_hand(source: str, path: Path, why: str) -> InputError:
    return InputError(f"{source} cannot be downloaded: {why}. Or put the file at {path} by hand.")


def _download(source: str, path: Path, published: str | None) -> None:
    """Into `<path>.part`, which a broken download leaves for the next to go on with, then renamed."""
    import requests
    from filelock import FileLock

    if is_offline():
        raise _by_hand(source, path, "POCKETZOO_OFFLINE (--offline) is set")
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{part}.lock").acquire()
    except OSError as error:
        raise _by_hand(source, path, f"{path.parent} cannot be written: {error.strerror}") from error
    with lock:
        if path.is_file():  # another process was faster
            return
        # Without a published hash nobody would notice that the second half is another file's.
        have = part.stat().st_size if published and part.is_file() else 0
        try:
            with requests.get(source, headers=_range(have), stream=True, timeout=30) as answer:
                if answer.status_code != requests.codes.requested_range_not_satisfiable:  # else there is no more
                    answer.raise_for_status()
                    _write(answer, part, have if answer.status_code == requests.codes.partial_content else 0)
        except (requests.RequestException, OSError) as error:
            raise _by_hand(source, path, first_line(error)) from error
        try:
            _check(source, part, published)
        except InputError:
            part.unlink()
            raise
        part.replace(path)


def _range(have: int) -> dict[str, str]:
    # The bytes of the file itself: those of a compressed transfer could not be counted on from.
    return {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})


def _from_hub(source: str, filename: str) -> Path:
    from huggingface_hub import hf_hub_download

    repository = source.removeprefix("hf://")
    folder = cache_folder() / "hub"
    # The hub's own client resumes, keeps to its cache and shows its progress.
    options = {"cache_dir": folder, "local_files_only": is_offline(), "endpoint": os.environ.get("HF_ENDPOINT")}
    try:
        return Path(hf_hub_download(repository, filename, **options))
    except (OSError, ValueError) as error:  # all that the hub's client raises is one of these
        raise InputError(
            f"{filename} of {source} cannot be downloaded: {first_line(error).rstrip('.')}. Or download it by hand and "
            "give weights='TAG=PATH' with the card's tag and the file's path."
        ) from error


def _write(answer, part: Path, have: int) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    length = answer.headers.get("Content-Length")
    with Progress(*columns, console=Console(stderr=True)) as progress, part.open("ab" if have else "wb") as file:
        task = progress.add_task(part.stem, total=None if length is None else have + int(length), completed=have)
        for chunk in answer.iter_content(CHUNK):
            file.write(chunk)
            progress.advance(task, len(chunk))
