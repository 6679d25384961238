"""The cache: first uses, records, and processes that share it."""

import json
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time

import pytest
from support.downloads import PORTAL, WEIGHTS, break_off, cached

from pocketzoo import zoo
from pocketzoo.core.file_lock import hold_lock
from pocketzoo.zoo import registry
from pocketzoo.zoo.cards import Pretrained
from pocketzoo.zoo.pretrained import transfer
from pocketzoo.zoo.pretrained.download import cache_folder, fetch, forget


@pytest.fixture
def tagged(server, monkeypatch):
    """resnet20 with weights of no published hash; sets what is served."""

    def tag(content: bytes) -> str:
        (server.folder / "net.safetensors").write_bytes(content)
        address = server.address("net.safetensors")
        entry = Pretrained.model_construct(source=address, layout="timm", pixels="signed", labels="digits")
        card = registry._cards()["resnet18"].model_copy(update={"pretrained": {"served": entry}})
        monkeypatch.setitem(registry._cards(), "resnet18", card)
        return address

    return tag


def test_first_use_that_fails_to_load_is_discarded(tagged):
    tagged(WEIGHTS["safetensors"])
    with pytest.raises(zoo.InputError, match=r"only in the file 1: conv/kernel.*were removed from the cache"):
        zoo.create_model("resnet18", weights="served")
    assert cached() == ["first-use.json"]
    assert json.loads((cache_folder() / "first-use.json").read_text()) == {}


def test_first_use_recorded_without_a_look_at_its_content_is_discarded(tagged, server):
    """Caches of earlier versions can hold the login page of a network."""
    address = tagged(WEIGHTS["safetensors"])
    path = fetch(address)
    path.write_bytes(PORTAL)
    records = cache_folder() / "first-use.json"
    records.write_text(json.dumps({address: f"sha256:{transfer.hashlib.sha256(PORTAL).hexdigest()}"}))
    with pytest.raises(zoo.InputError, match=r"it is an HTML page.* were removed from the cache"):
        zoo.create_model("resnet18", weights="served")
    assert cached() == ["first-use.json"]


def test_files_of_the_user_are_never_forgotten(server, tmp_path):
    fetch(server.address("w.safetensors"))
    (tmp_path / "w.h5").write_bytes(WEIGHTS["safetensors"])
    assert not forget(tmp_path / "w.h5")
    assert cached() == ["first-use.json", "w.safetensors"]


@pytest.mark.parametrize("records", [b"[]", b'{"a": 5}', b"\xff", b"{", b'{"a":' * 50_000])
def test_damaged_records_are_reported(server, records):
    cache_folder().mkdir()
    (cache_folder() / "first-use.json").write_bytes(records)
    with pytest.raises(zoo.InputError, match=r"first-use\.json cannot be read"):
        fetch(server.address("w.safetensors"))


def test_shared_cache_that_cannot_be_written_is_used(server, caplog):
    """As root every folder can be written, so the lock is a folder here."""
    (cache_folder() / "first-use.json.lock").mkdir(parents=True)
    assert fetch(server.address("w.safetensors")).read_bytes() == WEIGHTS["safetensors"]
    assert "first-use.json cannot be written" in caplog.text
    assert fetch(server.address("w.safetensors")).is_file()


def test_cache_on_a_full_disk_keeps_nothing(server, monkeypatch):
    def write(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(transfer, "_write", write)
    with pytest.raises(zoo.InputError, match=r"cannot be written: No space left on device; POCKETZOO_CACHE can name"):
        fetch(server.address("w.safetensors"), "md5:" + "0" * 32)
    assert cached() == []


def test_download_ends_on_a_full_disk_and_starts_again_with_room(server):
    """A limit on the size of files gives the same error out of the same call."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(WEIGHTS["safetensors"]) // 2, before[1]))
    try:
        with pytest.raises(zoo.InputError, match=r"cannot be downloaded: .* cannot be written: File too large; POCKET"):
            fetch(server.address("w.safetensors"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path for path in cache_folder().rglob("*") if path.is_file()] == []
    assert fetch(server.address("w.safetensors")).read_bytes() == WEIGHTS["safetensors"]


def test_old_partial_files_are_removed_unless_a_process_uses_them(server):
    parts = {name: cache_folder() / name / "w.h5.part" for name in ("old", "new", "used")}
    for part in parts.values():
        part.parent.mkdir(parents=True)
        part.write_bytes(b"half")
    for name in ("old", "used"):
        os.utime(parts[name], (time.time() - 8 * 24 * 3600,) * 2)
    with hold_lock(parts["used"].with_name("w.h5.part.lock"), what="it", busy="held"):
        fetch(server.address("w.safetensors"))
    assert [name for name, part in parts.items() if part.exists()] == ["new", "used"]


def test_cache_that_names_no_folder_is_reported(server, monkeypatch):
    monkeypatch.setenv("POCKETZOO_CACHE", "~nobody-of-this-name/cache")
    with pytest.raises(zoo.InputError, match="POCKETZOO_CACHE is '~nobody"):
        fetch(server.address("w.safetensors"))


CHILD = """
import sys
from pocketzoo.zoo.pretrained.download import fetch
print(fetch(*sys.argv[1:]))
"""


def test_two_processes_share_a_download_and_a_killed_one_is_continued(server, monkeypatch, caplog):
    published = f"md5:{transfer.hashlib.md5(WEIGHTS['safetensors']).hexdigest()}"
    stalled, go_on = threading.Event(), threading.Event()

    def stall(handler):
        handler.answer(WEIGHTS["safetensors"][:20_000], length=len(WEIGHTS["safetensors"]))
        handler.wfile.flush()
        stalled.set()
        go_on.wait(30)

    rest = break_off(10**6)
    server.answers = [stall, rest]
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, server.address("w.safetensors"), published], stdout=-1, stderr=-1
    ) as child:
        assert stalled.wait(60)
        got = []
        with caplog.at_level(logging.WARNING):
            second = threading.Thread(target=lambda: got.append(fetch(server.address("w.safetensors"), published)))
            second.start()
            while "Another process downloads w.safetensors" not in caplog.text:
                time.sleep(0.01)
            time.sleep(0.2)  # the child has written what it got
            os.kill(child.pid, signal.SIGKILL)
            second.join(60)
        go_on.set()
    assert got[0].read_bytes() == WEIGHTS["safetensors"]
    assert [byte_range for _, byte_range in server.requests] == [None, "bytes=20000-"]
    assert cached() == ["w.safetensors"]
