"""HDF5 files from strangers: everything that is read of one lies in the file itself, and was written in it.

HDF5 can refer to other files in four ways: links, external links, external storage, and virtual datasets. The library
follows them all, so that a file of weights could contain the user's own files once it is saved again. A dataset can
also state any shape without storing a value.
"""

from collections.abc import Iterator
from typing import Any

import h5py

from .errors import InputError
from .limits import MODEL_BYTES, MODEL_PARTS

MOST_EXPANSION = 1000
"""Bytes of values per byte stored, above which a dataset was not written but only declared; compression of zeros
reaches this."""
SMALL = 2**20
"""Bytes that a dataset may have in any case."""


def check_hdf5(file: h5py.File) -> None:
    """Check every link and dataset of an open file, without reading values.

    Raises:
        InputError: Something lies in another file or is a link of another kind, or a dataset declares values that are
            not stored. The message names it, but not the file, which the caller knows.
    """
    bytes_of_values = 0
    for count, (name, item) in enumerate(_items(file), start=1):
        MODEL_PARTS.check(count, "it")
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


def _check_dataset(name: str, dataset: h5py.Dataset) -> None:
    if dataset.external or dataset.is_virtual:
        raise InputError(f"the values of {name!r} lie in another file, which is not read.")
    if dataset.shape is None:
        raise InputError(f"{name!r} has no values.")
    stored = dataset.id.get_storage_size()
    if dataset.nbytes > max(SMALL, MOST_EXPANSION * stored):
        raise InputError(f"{name!r} declares {dataset.nbytes:,} bytes, of which {stored:,} are stored.")
