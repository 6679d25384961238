import os
import socket

import pytest

from pocketzoo.core.errors import InputError
from pocketzoo.core.input_files import check_file, read_file, read_text
from pocketzoo.core.limits import MODEL_BYTES, TEXT_BYTES


@pytest.fixture
def special(tmp_path):
    """Paths of what is not a regular file, by what messages call it."""
    os.mkfifo(tmp_path / "pipe")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "socket"))
    (tmp_path / "link").symlink_to("pipe")
    yield {
        "a pipe": tmp_path / "pipe",
        "a socket": tmp_path / "socket",
        "a folder": tmp_path,
        "a device": "/dev/zero",
        "a pipe, not": tmp_path / "link",
    }
    server.close()


def test_what_is_not_a_regular_file_is_refused_without_opening_it(special):
    for kind, path in special.items():
        with pytest.raises(InputError, match=f"cannot be read: it is {kind}"):
            read_file(path, TEXT_BYTES)


def test_sparse_file_is_refused_by_its_size(tmp_path):
    path = tmp_path / "huge.keras"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(InputError, match=r"has 1,099,511,627,776 bytes; the limit is 2,147,483,648"):
        read_file(path, MODEL_BYTES)
    with pytest.raises(InputError, match="POCKETZOO_LIMIT_TEXT_BYTES"):
        check_file(path, TEXT_BYTES)


@pytest.mark.parametrize(
    ("name", "message"),
    [("none", "there is no such file"), ("a\0b", "null character"), ("x" * 300, "File name too long")],
)
def test_path_that_cannot_be_opened_is_named(tmp_path, name, message):
    with pytest.raises(InputError, match=message):
        read_file(tmp_path / name, TEXT_BYTES)


def test_link_in_a_circle_is_refused(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(InputError, match="Too many levels of symbolic links"):
        read_file(tmp_path / "a", TEXT_BYTES)


def test_text_is_read_without_byte_order_mark_and_other_encodings_are_refused(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_bytes("\ufeffä\n".encode())
    assert read_text(path) == "ä\n"
    path.write_bytes("ä".encode("latin-1"))
    with pytest.raises(InputError, match=r"labels.txt cannot be read: it is not in UTF-8 \(at byte 0\)"):
        read_text(path)
