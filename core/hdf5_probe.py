"""Reads all of an HDF5 file, in a process that the file may hang or end; run by `hdf5_files`, as a program.

A few changed bytes make libhdf5 follow its structures for ever, allocate what they state, or read freed memory. What it
raises is of no interest here: the process that asks meets it again.
"""

import sys
from typing import Any

import h5py

try:
    import resource
except ImportError:  # Windows, where only the time on the clock is limited
    resource = None  # type: ignore[assignment]

MOST_MEMORY = 2**32
"""Bytes of address space; a dataset is half of it at most."""
MOST_ATTRIBUTE_BYTES = 2**24
SECONDS = 2
"""Processor time for the structure of a file; real ones take 0.2 s."""
BYTES_PER_SECOND = 50e6
"""Slowest reading of values, compressed ones included."""
MOST_EXPANSION = 1000
"""Bytes of values per byte stored, above which a dataset was not written but only declared; compression of zeros
reaches this."""
SMALL = 2**20
"""Bytes that a dataset may have in any case."""
OUT_OF_MEMORY = 3
"""Exit code."""


def is_stored(dataset: h5py.Dataset) -> bool:
    """Return whether as many bytes are stored as the shape of a dataset needs, compressed ones included."""
    return bool(dataset.nbytes <= max(SMALL, MOST_EXPANSION * dataset.id.get_storage_size()))


def attribute_bytes(item: h5py.Group | h5py.Dataset, name: str) -> int:
    """Return the size that an attribute states."""
    attribute = item.attrs.get_id(name)
    return int(attribute.get_space().get_simple_extent_npoints() * attribute.get_type().get_size())


def main(path: str) -> int:
    """Read the file; returns the exit code."""
    if resource:
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _allow(SECONDS)
    try:
        with h5py.File(path) as file:
            _read(file, set())
    except MemoryError:
        return OUT_OF_MEMORY
    except Exception:
        return 0
    return 0


def _allow(seconds: float) -> None:
    """Extend the time of this process."""
    if resource:
        limit, most = resource.getrlimit(resource.RLIMIT_CPU)
        before = 0 if limit == resource.RLIM_INFINITY else limit
        resource.setrlimit(resource.RLIMIT_CPU, (before + round(seconds), most))


def _read(item: Any, seen: set[int]) -> None:
    for name in item.attrs:
        if attribute_bytes(item, name) <= MOST_ATTRIBUTE_BYTES:
            item.attrs[name]
    if isinstance(item, h5py.Group):
        seen.add(h5py.h5o.get_info(item.id).addr)
        for name in item:
            if isinstance(item.get(name, getlink=True), h5py.HardLink):
                part = item[name]
                if h5py.h5o.get_info(part.id).addr not in seen:
                    _read(part, seen)
    elif isinstance(item, h5py.Dataset) and _lies_in_file(item) and item.nbytes <= MOST_MEMORY / 2:
        _allow(item.nbytes / BYTES_PER_SECOND)
        item[()]


def _lies_in_file(dataset: h5py.Dataset) -> bool:
    return dataset.shape is not None and not dataset.external and not dataset.is_virtual and is_stored(dataset)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
