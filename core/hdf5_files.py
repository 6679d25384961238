"""HDF5 files from strangers: everything that is read of one lies in the file itself, and was written in it.

HDF5 can refer to other files in three ways: external links, external storage, and virtual datasets. The library follows
them all, so that a file of weights could contain the user's own files once it is saved again. A dataset can also state
any shape without storing a value. And damaged structures can hang or end the process that reads them.
"""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py

from .errors import InputError
from .hdf5_probe import OUT_OF_MEMORY, attribute_bytes, is_stored
from .limits import MODEL_BYTES, MODEL_PARTS, TEXT_BYTES

PROBE = Path(__file__).with_name("hdf5_probe.py")
LONGEST_PROBE = 120.0
"""Seconds on the clock, for computers where processor time cannot be limited."""


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading, once another process has read it unharmed, and check it.

    Raises:
        InputError: As in `check_hdf5`, or the file hangs or ends the process that reads it.
        OSError: It is no HDF5 file, is truncated or damaged.
    """
    if h5py.is_hdf5(path):
        _probe(path, path.stat().st_size, path.stat().st_mtime_ns)
    with h5py.File(path) as file:
        check_hdf5(file)
        yield file


@lru_cache(maxsize=8)
def _probe(path: Path, _size: int, _modified: int) -> None:
    """Read a file in another process; once for the same file."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", PROBE, path.absolute()], capture_output=True, check=False, timeout=LONGEST_PROBE
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(f"it is damaged: it cannot be read in {LONGEST_PROBE:.0f} s.") from error
    except OSError:  # no process can be started here
        return
    if done.returncode == OUT_OF_MEMORY:
        raise InputError("it is damaged: it asks for more memory than it can fill.")
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        reason = "reading it does not end" if name == "SIGXCPU" else "it ends the process that reads it"
        raise InputError(f"it is damaged: {reason} ({name}).")


def check_hdf5(file: h5py.File) -> None:
    """Check every link and dataset of an open file, without reading values.

    Raises:
        InputError: Something lies in another file or is a link of another kind, or a dataset declares values that are
            not stored. The message names it, but not the file, which the caller knows.
    """
    bytes_of_values = 0
    _check_attributes("/", file)
    for count, (name, item) in enumerate(_items(file), start=1):
        MODEL_PARTS.check(count, "it")
        _check_attributes(name, item)
        if isinstance(item, h5py.Dataset):
            _check_dataset(name, item)
            bytes_of_values += item.nbytes
    MODEL_BYTES.check(bytes_of_values, "it, without compression,")


def _items(file: h5py.File) -> Iterator[tuple[str, Any]]:
    """Yield the path and the object of all that is in a file; each group once, since links can lead back."""
    groups, seen = [("", file)], {_address(file)}
    while groups:
        path, group = groups.pop()
        for name in group:
            full = f"{path}/{name}"
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise InputError(f"{full!r} is a link to {_target(link)}, which is not followed.")
            item = group[name]
            yield full, item
            if isinstance(item, h5py.Group) and _address(item) not in seen:
                seen.add(_address(item))
                groups.append((full, item))


def _address(item: Any) -> int:
    address: int = h5py.h5o.get_info(item.id).addr
    return address


def _target(link: Any) -> str:
    if isinstance(link, h5py.ExternalLink):
        return f"{link.path!r} in the file {link.filename!r}"
    return repr(getattr(link, "path", "an unknown place"))


def _check_attributes(name: str, item: Any) -> None:
    """Check the sizes of attributes, which are read whole: that of a damaged one can be anything."""
    for count, attribute in enumerate(item.attrs, start=1):
        MODEL_PARTS.check(count, f"{name!r}")
        TEXT_BYTES.check(attribute_bytes(item, attribute), f"attribute {attribute!r} of {name!r}")


def _check_dataset(name: str, dataset: h5py.Dataset) -> None:
    if dataset.external or dataset.is_virtual:
        raise InputError(f"the values of {name!r} lie in another file, which is not read.")
    if dataset.shape is None:
        raise InputError(f"{name!r} has no values.")
    if not is_stored(dataset):
        stored = dataset.id.get_storage_size()
        raise InputError(f"{name!r} declares {dataset.nbytes:,} bytes, of which {stored:,} are stored.")
